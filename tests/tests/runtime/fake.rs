//! A container runtime that is made up: it answers what a test says.

use std::{
    collections::HashMap,
    path::Path,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
};

use podwire_proto::cri::{
    ContainerEventResponse, ContainerEventType, GetEventsRequest, ListPodSandboxRequest, ListPodSandboxResponse,
    PodSandbox, PodSandboxStatusRequest, PodSandboxStatusResponse, VersionRequest, VersionResponse,
    runtime_service_server::{RuntimeService, RuntimeServiceServer},
};
use podwire_tests::condition::{eventually, holds};
use tokio::{net::UnixListener, sync::broadcast};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{BroadcastStream, UnixListenerStream},
};
use tonic::{Request, Response, Status, transport::Server};

/// Where it listens.
pub(crate) const SOCKET: &str = "/run/fake.sock";

/// The runtime.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fake(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sandboxes: Mutex<Vec<PodSandbox>>,
    info: Mutex<HashMap<String, HashMap<String, String>>>,
    lists: AtomicUsize,
    statuses: AtomicUsize,
    streams: AtomicUsize,
    /// Events for all listeners; none: a stream of them ends at once.
    events: Option<broadcast::Sender<ContainerEventResponse>>,
}

impl Fake {
    /// Starts one without events.
    pub(crate) fn serve() -> Self {
        Self::default().at(SOCKET)
    }

    /// Starts one that has events.
    pub(crate) fn with_events() -> Self {
        let events = Some(broadcast::Sender::new(64));
        Self(Arc::new(Inner { events, ..Inner::default() })).at(SOCKET)
    }

    /// Starts it at another socket.
    pub(crate) fn at(self, socket: &str) -> Self {
        let fake = self;
        std::fs::create_dir_all(Path::new(socket).parent().unwrap()).unwrap();
        let listener = UnixListener::bind(socket).unwrap();
        let service = RuntimeServiceServer::new(fake.clone()).max_encoding_message_size(16 * 1024 * 1024);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(UnixListenerStream::new(listener)));
        fake
    }

    /// Its sandboxes.
    pub(crate) fn sandboxes(&self) -> MutexGuard<'_, Vec<PodSandbox>> {
        self.0.sandboxes.lock().unwrap()
    }

    /// Adds a sandbox of a pod of the namespace `lessons`, with these words about it under `info`.
    pub(crate) fn add(&self, id: &str, pod: &str, state: i32, created_at: i64, info: Option<String>) {
        let labels = [("name", pod), ("namespace", "lessons"), ("uid", "u-1")];
        let labels = labels.map(|(label, value)| (format!("io.kubernetes.pod.{label}"), value.to_owned()));
        let info = info.map(|text| ("info".to_owned(), text)).into_iter().collect();
        self.0.info.lock().unwrap().insert(id.to_owned(), info);
        self.sandboxes().push(PodSandbox { id: id.to_owned(), state, created_at, labels: labels.into() });
    }

    /// Adds one that is READY, with its network at a path.
    pub(crate) fn ready(&self, id: &str, pod: &str, path: &str, created_at: i64) {
        self.add(id, pod, 0, created_at, Some(info(path)));
    }

    /// Tells of an event of a sandbox to those who listen, and waits for the first of them.
    pub(crate) async fn tell(&self, id: &str, kind: ContainerEventType) {
        let events = self.0.events.as_ref().unwrap();
        eventually("somebody listens", async || holds(events.receiver_count() > 0, "nobody")).await;
        let event = ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind.into(),
            ..ContainerEventResponse::default()
        };
        events.send(event).unwrap();
    }

    /// How often it was asked for its list, for a status, for its events.
    pub(crate) fn asked(&self) -> (usize, usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (count(&self.0.lists), count(&self.0.statuses), count(&self.0.streams))
    }
}

/// What containerd says of a sandbox whose network is at a path.
pub(crate) fn info(path: &str) -> String {
    format!(r#"{{"runtimeSpec":{{"linux":{{"namespaces":[{{"type":"pid"}},{{"type":"network","path":"{path}"}}]}}}}}}"#)
}

#[tonic::async_trait]
impl RuntimeService for Fake {
    type GetContainerEventsStream = Pin<Box<dyn Stream<Item = Result<ContainerEventResponse, Status>> + Send>>;

    async fn version(&self, _: Request<VersionRequest>) -> Result<Response<VersionResponse>, Status> {
        let version = VersionResponse { runtime_name: "fake\nrt".into(), ..VersionResponse::default() };
        Ok(Response::new(version))
    }

    async fn list_pod_sandbox(
        &self,
        _: Request<ListPodSandboxRequest>,
    ) -> Result<Response<ListPodSandboxResponse>, Status> {
        self.0.lists.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(ListPodSandboxResponse { items: self.sandboxes().clone() }))
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<PodSandboxStatusRequest>,
    ) -> Result<Response<PodSandboxStatusResponse>, Status> {
        self.0.statuses.fetch_add(1, Ordering::SeqCst);
        let info = self.0.info.lock().unwrap().get(&request.get_ref().pod_sandbox_id).cloned();
        let info = info.ok_or_else(|| Status::not_found("no such sandbox"))?;
        Ok(Response::new(PodSandboxStatusResponse { status: None, info }))
    }

    /// Where it has no events it ends at once, each time.
    async fn get_container_events(
        &self,
        _: Request<GetEventsRequest>,
    ) -> Result<Response<Self::GetContainerEventsStream>, Status> {
        self.0.streams.fetch_add(1, Ordering::SeqCst);
        let Some(events) = &self.0.events else { return Ok(Response::new(Box::pin(tokio_stream::empty()))) };
        let events =
            BroadcastStream::new(events.subscribe()).map(|event| event.map_err(|_| Status::data_loss("lagged")));
        Ok(Response::new(Box::pin(events)))
    }
}
