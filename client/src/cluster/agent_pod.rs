//! The pod of an agent.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use super::{error::ClusterError, pod::Pod, settings::Settings};

/// The pod of an agent that is ready: of what an address is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentPod {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// UID of the pod: another one is another agent.
    pub uid: String,
    /// Node that it serves.
    pub node: String,
    /// Address of the node (`status.hostIP`), which the agent shares by `hostNetwork`. None while kubelet has not said it.
    pub host_ip: Option<IpAddr>,
    /// Annotations of the pod.
    pub annotations: BTreeMap<String, String>,
}

impl fmt::Display for AgentPod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The agent of the node, out of the pods that match. Of several that are ready, the youngest: the others are leaving.
pub(super) fn choose(mut pods: Vec<Pod>, node: &str, settings: &Settings) -> Result<AgentPod, ClusterError> {
    pods.retain(|pod| pod.node_name() == Some(node));
    let candidates = pods.iter().filter(|pod| pod.is_ready() && !pod.is_terminating());
    if let Some(pod) = candidates.max_by_key(|pod| pod.created()) {
        return Ok(AgentPod {
            namespace: settings.namespace.clone(),
            name: pod.name().to_owned(),
            uid: pod.uid().to_owned(),
            node: node.to_owned(),
            host_ip: pod.host_ip(),
            annotations: pod.annotations(),
        });
    }
    let (namespace, selector) = (settings.namespace.clone(), settings.selector.clone());
    if pods.is_empty() {
        return Err(ClusterError::NoAgent { node: node.to_owned(), namespace, selector });
    }
    let reasons = pods.iter().map(|pod| format!("pod {namespace}/{}: {}", pod.name(), pod.complaints())).collect();
    Err(ClusterError::AgentNotReady { node: node.to_owned(), reasons })
}
