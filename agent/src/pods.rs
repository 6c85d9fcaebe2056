//! Where a pod lives: the only room that knows how pod names become network namespaces.

mod named;
mod watch;

use std::{collections::BTreeMap, path::PathBuf, pin::Pin};

use futures_util::Stream;

use crate::{
    domain::{
        intent::PodKey,
        name::{Namespace, PodUid},
        observed::SandboxId,
        spec::PodOwner,
    },
    kernel::{KernelError, PodDoor},
};

pub use named::NamedPods;

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
    /// How it finds them, in one word: `netns`.
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
}
