//! A connection to the container runtime.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use podwire_proto::cri::{
    ContainerEventResponse, GetEventsRequest, ListPodSandboxRequest, PodSandbox, PodSandboxStatusRequest,
    VersionRequest, runtime_service_client::RuntimeServiceClient,
};
use tokio::time::timeout;
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::causes::causes;

use super::info::{self, Place};

/// Sockets that are looked for: those that only a Kubernetes node has come first, for a node of k3s or with cri-dockerd
/// may have the containerd of a Docker besides.
pub(super) const SOCKETS: [&str; 4] = [
    // k3s and RKE2, which embeds it.
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/containerd/containerd.sock",
];

/// How long connecting and the first question may take.
const GREETING: Duration = Duration::from_secs(2);

/// How long a list may take.
const LIST: Duration = Duration::from_secs(10);

/// How long the status of a sandbox may take.
const STATUS: Duration = Duration::from_secs(5);

/// The kubelet's own limit: maxMsgSize of staging/src/k8s.io/cri-client/pkg/remote_runtime.go.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Letters of a runtime's own words that are shown.
const MOST_WORDS: usize = 200;

/// Why the container runtime does not answer.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// Not started yet.
    #[error("the agent has not asked a container runtime yet")]
    NotAsked,
    /// No runtime runs, or it listens elsewhere.
    #[error("no container runtime: there is no socket at {0}; podwire looks again (--cri-socket says where it is)")]
    NoSocket(String),
    /// Nobody listens.
    #[error("nobody answers at {}", .path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// The transport's words.
        #[source]
        source: Box<tonic::transport::Error>,
    },
    /// It takes too long.
    #[error("{} does not answer to {call} within {after:?}", .path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
        /// The call of CRI.
        call: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// Something else listens there.
    #[error(
        "{} is not a container runtime that speaks CRI v1: Version was answered with `{seen}`; if it is containerd, its \
         plugin `cri` may be in `disabled_plugins`", .path.display()
    )]
    NotCri {
        /// The socket.
        path: PathBuf,
        /// Its answer.
        seen: String,
    },
    /// A call fails.
    #[error("{} answers to {call} with `{seen}`", .path.display())]
    Call {
        /// The socket.
        path: PathBuf,
        /// The call of CRI.
        call: &'static str,
        /// Its answer.
        seen: String,
    },
}

/// Where the runtime's socket is.
#[derive(Debug, Clone)]
pub(super) struct Sockets(Vec<PathBuf>);

impl Sockets {
    /// The given one, or all that are looked for.
    pub(super) fn new(given: Option<PathBuf>) -> Self {
        Self(given.map_or_else(|| SOCKETS.iter().map(PathBuf::from).collect(), |path| vec![path]))
    }

    /// Connects to the first that answers.
    pub(super) async fn connect(&self) -> Result<Runtime, RuntimeError> {
        let mut refused = None;
        for path in &self.0 {
            if !path.exists() {
                continue;
            }
            match Runtime::connect(path).await {
                Ok(runtime) => return Ok(runtime),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let shown = || self.0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        Err(refused.unwrap_or_else(|| RuntimeError::NoSocket(shown())))
    }
}

/// A runtime that answered.
#[derive(Debug, Clone)]
pub(super) struct Runtime {
    path: PathBuf,
    client: RuntimeServiceClient<Channel>,
    name: String,
}

impl Runtime {
    async fn connect(path: &Path) -> Result<Self, RuntimeError> {
        let failed = |source| RuntimeError::Connect { path: path.to_owned(), source: Box::new(source) };
        let endpoint = Endpoint::try_from(format!("unix://{}", path.display())).map_err(failed)?;
        let silent = || RuntimeError::Silent { path: path.to_owned(), call: "Version", after: GREETING };
        let channel = timeout(GREETING, endpoint.connect()).await.map_err(|_| silent())?.map_err(failed)?;
        let mut client = RuntimeServiceClient::new(channel).max_decoding_message_size(MOST_BYTES);
        let question = VersionRequest { version: "v1".to_owned() };
        let answer = timeout(GREETING, client.version(question)).await.map_err(|_| silent())?;
        let version = answer.map_err(|status| match status.code() {
            // It speaks, but not yet: containerd while it starts.
            Code::Unavailable if !is_protocol_error(&status) => {
                RuntimeError::Call { path: path.to_owned(), call: "Version", seen: words(&status) }
            }
            _ if status.message().contains("not initialized yet") => {
                RuntimeError::Call { path: path.to_owned(), call: "Version", seen: words(&status) }
            }
            _ => RuntimeError::NotCri { path: path.to_owned(), seen: words(&status) },
        })?;
        let version = version.into_inner();
        let name = format!("{} {}", version.runtime_name, version.runtime_version);
        Ok(Self { path: path.to_owned(), client, name: shorten(&name) })
    }

    /// All sandboxes.
    pub(super) async fn list(&self) -> Result<Vec<PodSandbox>, RuntimeError> {
        let mut client = self.client.clone();
        let answer = timeout(LIST, client.list_pod_sandbox(ListPodSandboxRequest {})).await;
        let answer = answer.map_err(|_| self.silent("ListPodSandbox", LIST))?;
        Ok(answer.map_err(|status| self.call("ListPodSandbox", &status))?.into_inner().items)
    }

    /// Where the network of a sandbox is. `None`: there is no such sandbox any more.
    pub(super) async fn place(&self, id: &str) -> Result<Option<Place>, RuntimeError> {
        let question = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
        let mut client = self.client.clone();
        let answer = timeout(STATUS, client.pod_sandbox_status(question)).await;
        match answer.map_err(|_| self.silent("PodSandboxStatus", STATUS))? {
            Ok(answer) => Ok(Some(info::place(&answer.into_inner().info))),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.call("PodSandboxStatus", &status)),
        }
    }

    /// Its events. Returns at the first of them, not before.
    pub(super) async fn events(&self) -> Result<Streaming<ContainerEventResponse>, Status> {
        Ok(self.client.clone().get_container_events(GetEventsRequest {}).await?.into_inner())
    }

    fn silent(&self, call: &'static str, after: Duration) -> RuntimeError {
        RuntimeError::Silent { path: self.path.clone(), call, after }
    }

    fn call(&self, call: &'static str, status: &Status) -> RuntimeError {
        RuntimeError::Call { path: self.path.clone(), call, seen: words(status) }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.path.display())
    }
}

/// Whether whoever listens does not speak HTTP/2: tonic makes that UNAVAILABLE too.
fn is_protocol_error(status: &Status) -> bool {
    let mut words = causes(status).map(ToString::to_string);
    words.any(|words| words.contains("http2 error") || words.contains("frame with invalid"))
}

/// A status for a person, with its causes.
pub(super) fn words(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    for more in causes(status).map(ToString::to_string) {
        if !text.contains(&more) {
            text.extend([": ", &more]);
        }
    }
    shorten(&text)
}

/// Others' words may be of any length and have any letters.
fn shorten(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_WORDS).collect()
}
