//! The only room that talks to the kernel: netlink, namespaces, mounts, sysctls. Blocking and small.

mod attribute;
mod begun;
mod bridge_vlan;
mod capture;
mod clock;
mod delays;
mod ear;
mod error;
mod ethtool;
mod execute;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inet;
mod lanes;
mod link;
mod named;
mod netem;
mod netns;
mod observe;
mod operation;
mod packet;
mod park;
mod probe;
mod queue;
mod reach;
mod retire;
mod rumour;
mod site;
mod socket;
mod stitch;
mod survey;
mod uplink;
mod verify;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::domain::{
    if_name::IfName,
    intent::PodKey,
    observed::{Observed, Refusal, SandboxId},
    step::Step,
};

pub use begun::PanelAhead;
pub use capture::{Chunk, End, Extent, Port, Recording, Side, Stamps, sight};
pub use clock::{boot_id, boottime, release};
pub use ear::{Ear, Heard, Moment, News, Place};
pub use error::KernelError;
pub use netns::{Netns, NetnsDir, NetnsError};
pub use packet::{Devices, PacketSocket, Sight};
pub use probe::{Capability, probe};
pub use reach::{Reach, ReachError};
pub use site::LinuxKernel;
pub use survey::{SightedKind, Sighting, Survey, Surveyed, survey};
pub use verify::{Nonce, Passes, Station, Verified, verify};

/// Everything that a converge of one topology looks at and works on.
#[derive(Debug)]
pub struct SiteView {
    /// File name of its panel in the netns directory.
    pub panel: String,
    /// Its pods. Their namespaces stay open until the site is dropped, and no longer.
    pub pods: BTreeMap<PodKey, PodDoor>,
    /// Pods whose routes matter: somebody wants a route there.
    pub routes_of: BTreeSet<PodKey>,
    /// Pods that a DIRECT link joins, each pair both ways.
    pub direct: BTreeSet<(PodKey, PodKey)>,
    /// Whether a port shall finish checksums, or did: only then is looked at them.
    pub checksums: bool,
    /// Devices of the node that it uses.
    pub devices: BTreeSet<IfName>,
    /// The part of the panel that is looked at; `None`: all of it.
    pub part: Option<PanelPart>,
}

/// A part of a panel.
#[derive(Debug, Clone)]
pub struct PanelPart {
    /// Names of the bridges and ports in it, there or not.
    pub devices: BTreeSet<String>,
    /// No device of the panel outside of it has a higher index, as far as is known.
    pub highest: u32,
}

/// The way into a pod.
#[derive(Debug)]
pub enum PodDoor {
    /// Open.
    Open(Netns, SandboxId),
    /// Not there; with the reason.
    Absent(String),
    /// There, and never to be plugged.
    Refused(Refusal),
}

/// A step that failed. Those before it were carried out, and perhaps some behind it.
#[derive(Debug, thiserror::Error)]
#[error("step {at} failed")]
pub struct StepFailed {
    /// Its index in the plan.
    pub at: usize,
    /// The kernel's words.
    #[source]
    pub source: KernelError,
}

/// The kernel of this node. A trait, so that a test can make each step of the real one fail once.
pub trait Kernel: Send + Sync + 'static {
    /// Opens what a converge works on.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    fn open(&self, view: SiteView) -> Result<Box<dyn Site>, KernelError>;

    /// Expects a change to make a panel, so that it is begun as soon as it is open and there is none. `None`: one waits for it, or is
    /// made when it is needed.
    fn panel_ahead(&self) -> Option<PanelAhead> {
        None
    }

    /// What hears of changes in everything that was opened, from its opening on.
    fn ear(&self) -> Arc<Ear>;

    /// Parks the panels that were retired, or removes them, slowly: other users of the node's networking wait while a bridge goes.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    fn reap(&self) -> Result<(), KernelError>;

    /// Removes all that waits for being used again too: the agent leaves.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    fn clear(&self) -> Result<(), KernelError> {
        self.reap()
    }
}

/// What a converge works on.
pub trait Site: Send {
    /// Looks at all of it.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    fn observe(&mut self) -> Result<Observed, KernelError>;

    /// When the last look began: what changed before it, it saw.
    fn looked_at(&self) -> Moment;

    /// Carries out steps in order.
    ///
    /// # Errors
    ///
    /// The first step that failed.
    fn execute(&mut self, steps: &[Step]) -> Result<(), StepFailed>;
}
