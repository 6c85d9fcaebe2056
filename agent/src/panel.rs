//! Multi-step work: one engine that makes the kernel look like the intents.

mod admission;
mod background;
mod capture;
mod carrier;
mod census;
mod converge;
mod engine;
pub mod error;
pub mod events;
mod fight;
mod found;
mod glance;
mod healer;
mod kept;
mod ledger;
mod netns;
mod orphans;
mod purge;
mod record;
mod recover;
mod request;
mod turns;
mod verify;
pub mod view;

pub use crate::{
    kernel::{Capability, KernelError, Passes, Verified},
    pods::{Pod, as_seen_here},
};
pub use capture::{Capture, CaptureRequest, CaptureTarget};
pub use census::Census;
pub use engine::{Engine, PluggedSandbox};
pub use error::{ChangeError, Unready};
pub use events::{Event, EventKind, Events, ResumeError, ResumeToken, Watcher};
pub use found::{Found, LookError};
pub use kept::keeping;
pub use purge::{Preview, Purge, Purged};
pub use recover::{NoSuchTopology, Recovery, Verdict};
pub use request::{Apply, Change, EngineConfig, Fence, NamedNetns, Node, Renewal};
pub use verify::LinkVerified;
pub use view::TopologyView;

#[cfg(test)]
pub(crate) use ledger::TOMBSTONES;
