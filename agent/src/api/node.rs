//! `NodeService`.

use podwire_proto::v1::{self, node_service_server::NodeService};
use tonic::{Request, Response, Status};

use crate::{domain::policy::Verb, panel::Engine};

use super::{door::Access, parse, render};

/// The engine's node.
pub(super) struct Nodes {
    /// The engine.
    pub(super) engine: Engine,
    /// How many topologies there may be.
    pub(super) max_topologies: usize,
}

#[tonic::async_trait]
impl NodeService for Nodes {
    async fn get_node(&self, request: Request<v1::GetNodeRequest>) -> Result<Response<v1::GetNodeResponse>, Status> {
        let access = Access::of(&request)?;
        let mut node = render::node(self.engine.node(), self.max_topologies);
        if !access.may_somewhere(Verb::NodeDevice) {
            node.node_devices.clear();
        }
        if !access.may_everywhere(Verb::Admin) {
            node.netns_dir.clear();
            // It may name topologies.
            if !node.store_problem.is_empty() {
                "whoever runs the node knows why: `admin` shows it".clone_into(&mut node.store_problem);
            }
        }
        Ok(Response::new(node))
    }

    async fn list_pods(&self, request: Request<v1::ListPodsRequest>) -> Result<Response<v1::ListPodsResponse>, Status> {
        let access = Access::of(&request)?;
        let namespace = parse::pods(request.get_ref())?;
        namespace.as_ref().map_or_else(|| access.check_any(), |namespace| access.check(namespace))?;
        let pods = self.engine.pods().await?.into_iter();
        // Pods without a namespace belong to every one.
        let pods = pods.filter(|pod| match (&pod.namespace, &namespace) {
            (None, _) => true,
            (Some(of), Some(wanted)) => of == wanted,
            (Some(of), None) => access.sees(of),
        });
        let pods = pods.map(|pod| v1::Pod {
            namespace: pod.namespace.map(|namespace| namespace.to_string()).unwrap_or_default(),
            name: pod.name,
            uid: pod.uid.map(|uid| uid.to_string()).unwrap_or_default(),
            sandbox_id: pod.sandbox.map(|sandbox| sandbox.to_string()).unwrap_or_default(),
            netns_path: pod.netns_path.display().to_string(),
            problem: pod.problem.unwrap_or_default(),
        });
        let mut pods: Vec<v1::Pod> = pods.collect();
        pods.sort_by(|x, y| (&x.namespace, &x.name).cmp(&(&y.namespace, &y.name)));
        Ok(Response::new(v1::ListPodsResponse { pods }))
    }
}
