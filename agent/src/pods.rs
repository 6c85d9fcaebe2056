//! Where a pod lives: the only room that knows how pod names become network namespaces.

mod announced;
mod announcements;
mod cri;
mod door;
mod named;
mod seen;
mod watch;

use std::{collections::BTreeMap, path::PathBuf, pin::Pin, sync::Arc};

use futures_util::Stream;

use crate::{
    domain::{
        announcement::{AnnouncedSandbox, Announcement},
        intent::PodKey,
        name::{Namespace, PodName, PodUid},
        observed::{Refusal, SandboxId},
        spec::PodOwner,
    },
    kernel::{KernelError, NetnsDir, PodDoor},
};

pub use announced::AnnouncedPods;
#[cfg(feature = "fuzzing")]
pub use cri::fuzzing;
pub use cri::{CriPods, RuntimeError};
pub use named::NamedPods;

/// Where containerd, CRI-O and k3s keep network namespaces, and cri-dockerd's Docker.
pub const NETNS_DIRS: [&str; 3] = ["/run/netns", "/var/run/netns", "/run/docker/netns"];

/// How pods are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// By the container runtime of the node.
    Cri {
        /// Its socket; `None`: looked for in the usual places.
        socket: Option<PathBuf>,
    },
    /// As named network namespaces.
    Netns,
    /// As the CNI plugin announces them.
    Announced,
}

impl Source {
    /// Starts to look for pods. Must be called within a tokio runtime; `dir` is the directory of named network namespaces.
    pub fn start(self, dir: NetnsDir) -> Arc<dyn Pods> {
        match self {
            Self::Cri { socket } => Arc::new(CriPods::start(socket, dir)),
            Self::Netns => Arc::new(NamedPods::new(dir)),
            Self::Announced => Arc::new(AnnouncedPods::default()),
        }
    }
}

/// The source of pods does not answer.
#[derive(Debug, thiserror::Error)]
pub enum PodsError {
    /// The kernel's words.
    #[error("the network namespaces of the pods cannot be read")]
    Kernel(#[from] KernelError),
    /// Changes of the pods cannot be followed.
    #[error("changes in {path} cannot be followed")]
    Watch {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// The container runtime does not answer.
    #[error("the container runtime does not answer")]
    Runtime(#[source] Arc<RuntimeError>),
}

/// A pod that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Namespace of the topology that asks.
    pub namespace: Namespace,
    /// Whom it names.
    pub owner: PodOwner,
    /// This incarnation and no other.
    pub uid: Option<PodUid>,
}

/// A pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `None` where pods are named network namespaces: they belong to every namespace.
    pub namespace: Option<Namespace>,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: Option<PodUid>,
    /// Its current sandbox.
    pub sandbox: Option<SandboxId>,
    /// Path of its network namespace as the agent sees it.
    pub netns_path: PathBuf,
    /// Why it cannot be plugged; `None`: it can.
    pub problem: Option<String>,
}

/// An announced sandbox with its path as the agent sees it: the plugin runs on the node and tells the node's path.
#[must_use]
pub fn as_seen_here(sandbox: AnnouncedSandbox) -> AnnouncedSandbox {
    AnnouncedSandbox { netns_path: seen::seen(sandbox.netns_path), ..sandbox }
}

impl Wanted {
    /// The pod of an announced sandbox.
    pub fn pod_of(sandbox: &AnnouncedSandbox) -> Self {
        Self { namespace: sandbox.namespace.clone(), owner: PodOwner::Pod(sandbox.pod.clone()), uid: None }
    }
}

/// Why a sandbox cannot be announced.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// This source of pods takes no announcements.
    #[error("pods are found by `--pods {0}` on this node, and that takes no announcements")]
    Unsupported(&'static str),
    /// There is no network namespace of a pod at its path.
    #[error("{}", .0.message)]
    Refused(Refusal),
    /// The source does not answer.
    #[error(transparent)]
    Pods(#[from] PodsError),
}

/// Something that happened to pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodChange {
    /// This pod has a new sandbox, or is new.
    Appeared(PodKey),
    /// This pod is gone.
    Gone(PodKey),
    /// Too much happened at once: look at everything.
    Overrun,
}

/// The changes of pods as they come.
pub type PodChanges = Pin<Box<dyn Stream<Item = PodChange> + Send>>;

/// A source of pods.
pub trait Pods: Send + Sync + 'static {
    /// How it finds them, in one word: `cri`, `netns`, `announced`.
    fn kind(&self) -> &'static str;

    /// Which network namespace a name means.
    fn key(&self, namespace: &Namespace, owner: &PodOwner) -> PodKey;

    /// Opens the namespaces of pods, all at once. Blocking.
    ///
    /// # Errors
    ///
    /// The source does not answer. A pod that is not there is no error.
    fn find(&self, wanted: &[Wanted]) -> Result<BTreeMap<PodKey, PodDoor>, PodsError>;

    /// All pods. Blocking.
    ///
    /// # Errors
    ///
    /// The source does not answer.
    fn list(&self) -> Result<Vec<Pod>, PodsError>;

    /// Follows changes from now on.
    ///
    /// # Errors
    ///
    /// They cannot be followed.
    fn changes(&self) -> Result<PodChanges, PodsError>;

    /// Tells of a sandbox before its runtime lists it: it is the pod's current one from now on, until it is withdrawn, or
    /// until the runtime lists a newer one that is READY. The same one again changes nothing. Blocking.
    ///
    /// # Errors
    ///
    /// Why not.
    fn announce(&self, sandbox: &AnnouncedSandbox) -> Result<Announcement, AnnounceError> {
        let _ = sandbox;
        Err(AnnounceError::Unsupported(self.kind()))
    }

    /// Takes over the announcements of earlier runs of the agent, but for those whose network namespaces are gone: which.
    /// Blocking.
    fn recall(&self, announcements: Vec<Announcement>) -> Vec<SandboxId> {
        let _ = announcements;
        Vec::new()
    }

    /// Why there may be pods of this node of which it does not tell yet; `None`: one that it does not find is not there.
    fn unknown(&self) -> Option<String> {
        None
    }

    /// Whether it knows nothing but what is announced: then an announcement has to outlive the agent.
    fn only_announced(&self) -> bool {
        false
    }

    /// Takes an announcement back: the pod that it was of; `None`: there was none. Another sandbox of that pod is not
    /// touched.
    fn withdraw(&self, sandbox: &SandboxId) -> Option<PodKey> {
        let _ = sandbox;
        None
    }

    /// The sandboxes whose announcements were not taken back.
    fn announced(&self) -> Vec<SandboxId> {
        Vec::new()
    }
}

/// A pod of Kubernetes: a name with a `/` in it, so never that of a named network namespace.
fn pod_key(namespace: &Namespace, pod: &PodName) -> PodKey {
    PodKey::new(format!("{namespace}/{pod}"))
}
