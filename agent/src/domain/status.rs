//! What became of an intent: a function of the intent, of what was observed and of the last failure.

use std::time::SystemTime;

use super::{
    observed::{Counters, SandboxId},
    queue::Egress,
    spec::RouteSpec,
};

/// State of an interface, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Configured and forwarding.
    Ready,
    /// Works, but differs from the intent.
    Degraded,
    /// Waits for something that may come.
    Pending,
    /// Tried and refused.
    Failed,
}

/// What was seen of the port of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortStatus {
    /// What it does with frames towards the interface.
    pub egress: Egress,
    /// What came and went.
    pub counters: Counters,
}

/// What was seen of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceStatus {
    /// Its state.
    pub state: State,
    /// Why it is not READY; empty when it is.
    pub reason: String,
    /// When the state last changed.
    pub since: SystemTime,
    /// Its index in the pod, where it is there.
    pub index: Option<u32>,
    /// Its MTU as the kernel has it, where it is there.
    pub mtu: Option<u32>,
    /// Whether it sees carrier.
    pub carrier: bool,
    /// Routes that the pod has on another device.
    pub skipped_routes: Vec<RouteSpec>,
    /// What it is plugged into.
    pub sandbox: Option<SandboxId>,
}

impl InterfaceStatus {
    /// Of an interface at which nobody has looked yet.
    pub fn unseen() -> Self {
        Self {
            state: State::Pending,
            reason: String::new(),
            since: SystemTime::now(),
            index: None,
            mtu: None,
            carrier: false,
            skipped_routes: Vec::new(),
            sandbox: None,
        }
    }
}
