//! An agent without a kernel: it keeps what it is told and says that all of it is READY.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use podwire_proto::v1::{
    self,
    node_service_server::{NodeService, NodeServiceServer},
    topology_service_server::{TopologyService, TopologyServiceServer},
};
use tempfile::TempDir;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, transport::Server};

/// An agent on a socket of its own, for one test.
pub(crate) struct Agent {
    directory: TempDir,
    pub(crate) kept: Kept,
}

/// What the agent keeps, by namespace and name.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<BTreeMap<(String, String), v1::Topology>>>);

impl Agent {
    /// Starts it; it listens when this returns.
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.sock");
        let kept = Kept::default();
        let (service, node) = (kept.clone(), kept.clone());
        let (listening, heard) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::UnixListener::bind(path).unwrap();
                listening.send(()).unwrap();
                let router = Server::builder()
                    .add_service(TopologyServiceServer::new(service))
                    .add_service(NodeServiceServer::new(node));
                router.serve_with_incoming(UnixListenerStream::new(listener)).await.unwrap();
            });
        });
        heard.recv().unwrap();
        Self { directory, kept }
    }

    /// Runs the command against it, in the directory of the manifests.
    pub(crate) fn podwire(&self, arguments: &[&str]) -> Output {
        podwire(&self.target(), arguments)
    }

    /// The same as in a terminal of so many columns.
    pub(crate) fn in_columns(&self, columns: usize, arguments: &[&str]) -> Output {
        command(&self.target(), arguments).env("COLUMNS", columns.to_string()).output().unwrap()
    }

    fn target(&self) -> String {
        format!("unix://{}", self.directory.path().join("agent.sock").display())
    }
}

/// Runs the command against an agent.
pub(crate) fn podwire(target: &str, arguments: &[&str]) -> Output {
    command(target, arguments).output().unwrap()
}

fn command(target: &str, arguments: &[&str]) -> Command {
    let inputs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/inputs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_podwire"));
    command.args(arguments).env("PODWIRE_AGENT", target).env_remove("COLUMNS").current_dir(inputs);
    command
}

impl Kept {
    /// How many topologies there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn get(&self, namespace: &str, name: &str) -> Option<v1::Topology> {
        let namespace = if namespace.is_empty() { "default" } else { namespace };
        self.0.lock().unwrap().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }
}

/// The topology as if it were wired, but for pod `late`, which is not there.
fn wired(mut topology: v1::Topology) -> v1::Topology {
    let mut states = Vec::new();
    for (index, attachment) in topology.attachments.iter_mut().enumerate() {
        let Some(interface) = &mut attachment.interface else { continue };
        let there = interface.owner != Some(v1::interface::Owner::Pod("late".to_owned()));
        interface.mac = format!("02:5e:00:00:00:{:02x}", index + 1);
        interface.mtu = 1500;
        let mut status = v1::InterfaceStatus { state: v1::State::Pending.into(), ..Default::default() };
        "no pod `late`".clone_into(&mut status.reason);
        if there {
            let addresses = vec![format!("10.10.31.{}/24", index + 2)];
            status = v1::InterfaceStatus {
                state: v1::State::Ready.into(),
                index: 3,
                carrier: true,
                addresses,
                ..Default::default()
            };
        }
        if let Some(v1::attachment::Target::Device(_)) = attachment.target {
            status.skipped_routes = vec![v1::Route { destination: "0.0.0.0/0".to_owned(), ..Default::default() }];
        }
        states.push(status.state);
        interface.status = Some(status);
    }
    let ready = states.iter().filter(|state| **state == 2).count();
    topology.status = Some(v1::TopologyStatus {
        state: if ready == states.len() { v1::State::Ready.into() } else { v1::State::Pending.into() },
        reason: if ready == states.len() { String::new() } else { "no pod `late`".to_owned() },
        owner: v1::Owner::Apply.into(),
        panel: format!("podwire.{}.{}", topology.namespace, topology.name),
        interfaces_ready: u32::try_from(ready).unwrap(),
        interfaces: u32::try_from(states.len()).unwrap(),
        ..Default::default()
    });
    topology
}

#[tonic::async_trait]
impl TopologyService for Kept {
    async fn apply_topology(
        &self,
        request: Request<v1::ApplyTopologyRequest>,
    ) -> Result<Response<v1::ApplyTopologyResponse>, Status> {
        let request = request.into_inner();
        let topology = wired(request.topology.unwrap_or_default());
        let key = (topology.namespace.clone(), topology.name.clone());
        self.0.lock().unwrap().insert(key, topology.clone());
        if request.until_ready && topology.status.as_ref().unwrap().state != 2 {
            return Err(Status::deadline_exceeded("interface `late/net1` is PENDING: no pod `late`"));
        }
        Ok(Response::new(v1::ApplyTopologyResponse { topology: Some(topology) }))
    }

    async fn plan_topology(
        &self,
        request: Request<v1::PlanTopologyRequest>,
    ) -> Result<Response<v1::PlanTopologyResponse>, Status> {
        let topology = request.into_inner().topology.unwrap_or_default();
        let step = |action: &str, attachment: &v1::Attachment| v1::PlanStep {
            action: action.to_owned(),
            object: format!("attachment {}", attachment.name),
            detail: String::new(),
        };
        let before = self.get(&topology.namespace, &topology.name).unwrap_or_default().attachments;
        let has = |list: &[v1::Attachment], name: &str| list.iter().any(|attachment| attachment.name == name);
        let new = topology.attachments.iter().filter(|each| !has(&before, &each.name)).map(|each| step("create", each));
        let old = before.iter().filter(|each| !has(&topology.attachments, &each.name)).map(|each| step("remove", each));
        let steps = new.chain(old).collect();
        Ok(Response::new(v1::PlanTopologyResponse { steps, topology: Some(topology) }))
    }

    async fn get_topology(
        &self,
        request: Request<v1::GetTopologyRequest>,
    ) -> Result<Response<v1::GetTopologyResponse>, Status> {
        let v1::GetTopologyRequest { namespace, name } = request.into_inner();
        let topology = self.get(&namespace, &name);
        let missing = || Status::not_found(format!("no topology `{name}`"));
        Ok(Response::new(v1::GetTopologyResponse { topology: Some(topology.ok_or_else(missing)?) }))
    }

    async fn list_topologies(
        &self,
        _: Request<v1::ListTopologiesRequest>,
    ) -> Result<Response<v1::ListTopologiesResponse>, Status> {
        let topologies = self.0.lock().unwrap().values().cloned().collect();
        Ok(Response::new(v1::ListTopologiesResponse { topologies }))
    }

    async fn delete_topology(
        &self,
        request: Request<v1::DeleteTopologyRequest>,
    ) -> Result<Response<v1::DeleteTopologyResponse>, Status> {
        let request = request.into_inner();
        self.0.lock().unwrap().remove(&(request.namespace, request.name));
        Ok(Response::new(v1::DeleteTopologyResponse {}))
    }

    async fn renew_leases(
        &self,
        _: Request<v1::RenewLeasesRequest>,
    ) -> Result<Response<v1::RenewLeasesResponse>, Status> {
        Err(Status::unimplemented("no leases here"))
    }

    type WatchTopologiesStream = ReceiverStream<Result<v1::WatchTopologiesResponse, Status>>;

    async fn watch_topologies(
        &self,
        _: Request<v1::WatchTopologiesRequest>,
    ) -> Result<Response<Self::WatchTopologiesStream>, Status> {
        let (send, receive) = tokio::sync::mpsc::channel(8);
        for topology in self.0.lock().unwrap().values().cloned() {
            let event = v1::WatchTopologiesResponse {
                event: v1::TopologyEvent::Snapshot.into(),
                topology: Some(topology),
                cause: "apply".to_owned(),
                ..Default::default()
            };
            send.try_send(Ok(event)).unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receive)))
    }
}

#[tonic::async_trait]
impl NodeService for Kept {
    async fn get_node(&self, _: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeResponse>, Status> {
        let capability = |name: &str, reason: &str| v1::Capability {
            name: name.to_owned(),
            available: reason.is_empty(),
            reason: reason.to_owned(),
            used_for: "links".to_owned(),
        };
        Ok(Response::new(v1::GetNodeResponse {
            version: "0.1.0".to_owned(),
            node_name: "node1".to_owned(),
            kernel: "6.18.0".to_owned(),
            pods: "netns".to_owned(),
            capabilities: vec![capability("mirred", "No such file"), capability("macvlan", "Operation not supported")],
            ..Default::default()
        }))
    }

    async fn list_pods(&self, _: Request<v1::ListPodsRequest>) -> Result<Response<v1::ListPodsResponse>, Status> {
        let pod = v1::Pod { name: "bb1".to_owned(), netns_path: "/run/netns/bb1".to_owned(), ..Default::default() };
        Ok(Response::new(v1::ListPodsResponse { pods: vec![pod] }))
    }
}
