//! Where the agents of a cluster are.

use std::{fmt, net::SocketAddr, sync::Arc, time::Duration};

use super::{Cluster, agent_pod::AgentPod, connections::Connections, error::ClusterError, question};
use crate::{
    client::{Client, ClientBuilder},
    target::Target,
};

/// Namespace of the agents' pods unless told, as in `deploy/kustomize/base`.
pub const AGENT_NAMESPACE: &str = "podwire-system";

/// Labels of the agents' pods unless told, as in `deploy/kustomize/base`.
pub const AGENT_SELECTOR: &str = "app.kubernetes.io/name=podwire-agent";

/// TCP port of the agents unless told: 7411.
pub const AGENT_PORT: u16 = 7411;

/// Time that the API server has for an answer unless told: 10 s.
pub const API_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) type Address = Arc<dyn Fn(&AgentPod) -> Option<Target> + Send + Sync>;

/// Settings of a [`Cluster`].
#[derive(Clone, Debug)]
pub struct ClusterBuilder(Settings);

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) namespace: String,
    pub(super) selector: String,
    pub(super) port: u16,
    pub(super) address: Option<Address>,
    pub(super) client: ClientBuilder,
    pub(super) api_timeout: Duration,
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self(Settings {
            namespace: AGENT_NAMESPACE.to_owned(),
            selector: AGENT_SELECTOR.to_owned(),
            port: AGENT_PORT,
            address: None,
            client: Client::builder(),
            api_timeout: API_TIMEOUT,
        })
    }
}

impl Settings {
    /// Where an agent listens: with TLS where its clients have files for it.
    pub(super) fn target(&self, agent: &AgentPod) -> Option<Target> {
        if let Some(address) = &self.address {
            return address(agent);
        }
        let target = Target::from(SocketAddr::new(agent.host_ip?, self.port));
        Some(if self.client.is_tls() { target.with_tls() } else { target })
    }
}

impl ClusterBuilder {
    /// Namespace of the agents' pods. Default: [`AGENT_NAMESPACE`].
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.0.namespace = namespace.into();
        self
    }

    /// Label selector of the agents' pods, as `kubectl get -l` takes it. Default: [`AGENT_SELECTOR`].
    pub fn selector(mut self, selector: impl Into<String>) -> Self {
        self.0.selector = selector.into();
        self
    }

    /// TCP port of the agents, at the address of their node. Default: [`AGENT_PORT`]. It is TLS where the clients have
    /// files for it (`ClientBuilder::tls`): give their `Tls` a `server_name` where the agents' certificates have no
    /// addresses of nodes.
    pub fn port(mut self, port: u16) -> Self {
        (self.0.port, self.0.address) = (port, None);
        self
    }

    /// How the address of an agent is made of its pod, in place of [`ClusterBuilder::port`]. None is an error that names
    /// the pod.
    pub fn address(mut self, address: impl Fn(&AgentPod) -> Option<Target> + Send + Sync + 'static) -> Self {
        self.0.address = Some(Arc::new(address));
        self
    }

    /// Deadlines of the clients that are made, and their files of TLS.
    pub fn client(mut self, client: ClientBuilder) -> Self {
        self.0.client = client;
        self
    }

    /// Time that the API server has for each answer. Default: [`API_TIMEOUT`].
    pub fn api_timeout(mut self, timeout: Duration) -> Self {
        self.0.api_timeout = timeout;
        self
    }

    /// The cluster that the client talks to.
    pub fn build(self, api: kube::Client) -> Cluster {
        Cluster { api, settings: Arc::new(self.0), connections: Arc::new(Connections::default()) }
    }

    /// The cluster that this program runs in, else that of the kubeconfig.
    ///
    /// # Errors
    ///
    /// There is neither, or it cannot be used.
    pub async fn try_default(self) -> Result<Cluster, ClusterError> {
        match kube::Client::try_default().await {
            Ok(api) => Ok(self.build(api)),
            Err(seen) => Err(ClusterError::NoCluster { seen: question::chain(&seen) }),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("namespace", &self.namespace)
            .field("selector", &self.selector)
            .field("api_timeout", &self.api_timeout)
            .finish_non_exhaustive()
    }
}
