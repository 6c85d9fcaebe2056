//! Agents by the Kubernetes API: the agent of a node, and the node of a pod.
//!
//! The agents' own pods are the register: no other one is needed, and none can be out of date.

mod agent_pod;
mod connections;
mod error;
mod name;
mod pod;
mod question;
mod settings;

use std::{fmt, sync::Arc};

use connections::Connections;
use settings::Settings;

pub use agent_pod::AgentPod;
pub use error::{ClusterError, PodState};
pub use settings::{AGENT_NAMESPACE, AGENT_PORT, AGENT_SELECTOR, API_TIMEOUT, ClusterBuilder};

use crate::{client::Client, target::Target};

/// Finds the agents of a cluster and connects to them. Cheap to clone; clones share the connections.
///
/// It needs `get` on the pods that are looked up and `list` on pods in the agents' namespace
/// (`deploy/kustomize/components/scheduler` has both), and agents that listen on TCP.
///
/// Each question is asked of the API server anew, so what is found is as of now; connections are kept, one for each
/// agent's pod, until an hour has passed in which nobody asked for it. Who asks one agent often keeps the [`Client`].
#[derive(Clone)]
pub struct Cluster {
    api: kube::Client,
    settings: Arc<Settings>,
    connections: Arc<Connections>,
}

impl Cluster {
    /// The cluster that this program runs in, else that of the kubeconfig (`KUBECONFIG`, `~/.kube/config`), with default
    /// settings.
    ///
    /// # Errors
    ///
    /// There is neither, or it cannot be used.
    pub async fn try_default() -> Result<Self, ClusterError> {
        Self::builder().try_default().await
    }

    /// The cluster that the client talks to, with default settings.
    pub fn new(api: kube::Client) -> Self {
        Self::builder().build(api)
    }

    /// Settings other than the default ones.
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// A client of the agent that wires the pod.
    ///
    /// # Errors
    ///
    /// The pod is not there, has no node yet, cannot be wired (terminating, finished, `hostNetwork`), or what
    /// [`Cluster::agent_on`] says.
    pub async fn agent_for(&self, namespace: &str, pod: &str) -> Result<Client, ClusterError> {
        let found = self.pod(namespace, pod).await?;
        let node = found.node(namespace, pod)?;
        found.check_wirable(namespace, pod, &node)?;
        self.agent_on(&node).await
    }

    /// A client of the agent of the node. A connection to the same pod of an agent is used again.
    ///
    /// # Errors
    ///
    /// There is no agent on the node, it is not ready, or it cannot be reached.
    pub async fn agent_on(&self, node: &str) -> Result<Client, ClusterError> {
        let (agent, target) = self.locate(node).await?;
        self.connections.client(agent, target, &self.settings.client).await
    }

    /// The node that the pod was scheduled to, also of a pod that is terminating or has `hostNetwork`.
    ///
    /// # Errors
    ///
    /// The pod is not there, or has no node yet.
    pub async fn node_of(&self, namespace: &str, pod: &str) -> Result<String, ClusterError> {
        self.pod(namespace, pod).await?.node(namespace, pod)
    }

    /// Where the agent of the node listens, by the settings; nobody is asked whether it does.
    ///
    /// # Errors
    ///
    /// There is no agent on the node, it is not ready, or its pod has no address.
    pub async fn address_on(&self, node: &str) -> Result<Target, ClusterError> {
        Ok(self.locate(node).await?.1)
    }

    async fn pod(&self, namespace: &str, pod: &str) -> Result<pod::Pod, ClusterError> {
        name::check("namespace", namespace)?;
        name::check("pod", pod)?;
        question::pod(&self.api, self.settings.api_timeout, namespace, pod).await
    }

    async fn locate(&self, node: &str) -> Result<(AgentPod, Target), ClusterError> {
        name::check("node", node)?;
        let settings = &*self.settings;
        name::check("namespace", &settings.namespace)?;
        let pods = question::pods_on(&self.api, settings, node).await?;
        match agent_pod::choose(pods, node, settings) {
            Ok(agent) => match settings.target(&agent) {
                Some(target) => Ok((agent, target)),
                None => Err(ClusterError::NoAddress { agent: agent.to_string(), node: node.to_owned() }),
            },
            Err(error) => {
                // What was connected there has gone with its pod.
                if matches!(error, ClusterError::NoAgent { .. }) {
                    self.connections.forget(node);
                }
                Err(error)
            }
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("settings", &self.settings).finish_non_exhaustive()
    }
}
