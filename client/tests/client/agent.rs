//! An agent that does what a test tells it.

use std::{path::Path, pin::Pin, time::Duration};

use podwire_client::{
    Target,
    v1::{
        self,
        node_service_server::{NodeService, NodeServiceServer},
        topology_service_server::{TopologyService, TopologyServiceServer},
    },
};
use tempfile::TempDir;
use tokio::{net::UnixListener, sync::oneshot, task::JoinHandle};
use tokio_stream::{Stream, StreamExt, wrappers::UnixListenerStream};
use tonic::{Request, Response, Status, metadata::MetadataMap, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};

/// What the agent does with GetNode.
#[derive(Clone, Copy)]
pub(crate) enum GetNode {
    /// Answers at once; `kernel` is the deadline that it was given.
    Answer,
    /// Says after this time what is not ready.
    Reasons(Duration),
    /// Never answers.
    Never,
}

/// A running agent with a socket in a directory of its own.
pub(crate) struct Agent {
    pub(crate) directory: TempDir,
    pub(crate) target: Target,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Agent {
    pub(crate) fn start(get_node: GetNode) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), get_node)
    }

    pub(crate) fn start_in(directory: TempDir, get_node: GetNode) -> Self {
        let socket = directory.path().join("agent.sock");
        let incoming = UnixListenerStream::new(UnixListener::bind(&socket).unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = Server::builder()
            .add_service(NodeServiceServer::new(Node(get_node)))
            .add_service(TopologyServiceServer::new(Topologies))
            .serve_with_incoming_shutdown(incoming, async move { drop(stopped.await) });
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self { target: target(&socket), directory, stop, task }
    }

    /// Stops as an agent does that is told to: the socket goes with it.
    pub(crate) async fn stop(self) -> TempDir {
        drop(self.stop);
        self.task.await.unwrap();
        std::fs::remove_file(self.directory.path().join("agent.sock")).unwrap();
        self.directory
    }
}

pub(crate) fn target(socket: &Path) -> Target {
    Target::unix(socket).unwrap()
}

struct Node(GetNode);

#[tonic::async_trait]
impl NodeService for Node {
    async fn get_node(&self, request: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeResponse>, Status> {
        match self.0 {
            GetNode::Answer => {}
            GetNode::Reasons(after) => {
                tokio::time::sleep(after).await;
                let details = ErrorDetails::with_precondition_failure_violation("PENDING", "bb1/net1", "no such pod");
                return Err(Status::with_error_details(tonic::Code::DeadlineExceeded, "not ready in time", details));
            }
            GetNode::Never => std::future::pending().await,
        }
        let kernel = timeout_of(request.metadata());
        Ok(Response::new(v1::GetNodeResponse { kernel, ..Default::default() }))
    }

    async fn list_pods(&self, _: Request<v1::ListPodsRequest>) -> Result<Response<v1::ListPodsResponse>, Status> {
        Ok(Response::new(v1::ListPodsResponse::default()))
    }
}

fn timeout_of(metadata: &MetadataMap) -> String {
    metadata.get("grpc-timeout").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Answers with what it was asked.
struct Topologies;

type Events = Pin<Box<dyn Stream<Item = Result<v1::WatchTopologiesResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TopologyService for Topologies {
    type WatchTopologiesStream = Events;

    async fn apply_topology(
        &self,
        request: Request<v1::ApplyTopologyRequest>,
    ) -> Result<Response<v1::ApplyTopologyResponse>, Status> {
        let v1::ApplyTopologyRequest { mut topology, force, until_ready } = request.into_inner();
        if let Some(topology) = &mut topology {
            let reason = format!("force {force}, until_ready {until_ready}");
            topology.status = Some(v1::TopologyStatus { reason, ..Default::default() });
        }
        Ok(Response::new(v1::ApplyTopologyResponse { topology }))
    }

    async fn plan_topology(
        &self,
        request: Request<v1::PlanTopologyRequest>,
    ) -> Result<Response<v1::PlanTopologyResponse>, Status> {
        let topology = request.into_inner().topology;
        let step = v1::PlanStep { action: "create".to_owned(), ..Default::default() };
        Ok(Response::new(v1::PlanTopologyResponse { steps: vec![step], topology }))
    }

    async fn get_topology(
        &self,
        _: Request<v1::GetTopologyRequest>,
    ) -> Result<Response<v1::GetTopologyResponse>, Status> {
        Ok(Response::new(v1::GetTopologyResponse { topology: None }))
    }

    async fn list_topologies(
        &self,
        request: Request<v1::ListTopologiesRequest>,
    ) -> Result<Response<v1::ListTopologiesResponse>, Status> {
        let namespace = request.into_inner().namespace;
        // Larger than the 4 MiB that tonic reads unless told otherwise.
        let name = "x".repeat(5 << 20);
        let topologies = vec![v1::Topology { namespace, name, ..Default::default() }];
        Ok(Response::new(v1::ListTopologiesResponse { topologies }))
    }

    async fn delete_topology(
        &self,
        request: Request<v1::DeleteTopologyRequest>,
    ) -> Result<Response<v1::DeleteTopologyResponse>, Status> {
        match request.into_inner() {
            v1::DeleteTopologyRequest { force: true, .. } => Ok(Response::new(v1::DeleteTopologyResponse {})),
            request => Err(Status::aborted(format!("generation {}", request.generation))),
        }
    }

    async fn renew_leases(
        &self,
        request: Request<v1::RenewLeasesRequest>,
    ) -> Result<Response<v1::RenewLeasesResponse>, Status> {
        let answer = |item: v1::renew_leases_request::Item| v1::renew_leases_response::Item {
            namespace: item.namespace,
            name: format!("{} {}", item.name, item.generation),
            ..Default::default()
        };
        let topologies = request.into_inner().topologies.into_iter().map(answer).collect();
        Ok(Response::new(v1::RenewLeasesResponse { topologies }))
    }

    async fn watch_topologies(&self, request: Request<v1::WatchTopologiesRequest>) -> Result<Response<Events>, Status> {
        let cause = timeout_of(request.metadata());
        let first = v1::WatchTopologiesResponse {
            resume_token: format!("{}1", request.into_inner().resume_token),
            cause,
            ..Default::default()
        };
        let events = tokio_stream::once(Ok(first)).chain(tokio_stream::pending());
        Ok(Response::new(Box::pin(events)))
    }
}
