//! What may be asked of the engine.

use std::{path::PathBuf, time::SystemTime};

use tokio::time::Instant;

use crate::{
    domain::{edit::Edit, if_name::IfName, intent::Generation, name::TopologyKey, quota::Quota, spec::TopologySpec},
    kernel::Capability,
};

/// Whether a caller may change what an older or a newer one made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Fence {
    /// The caller's generation; 0: none.
    pub generation: Generation,
    /// Accept generation 0 on a fenced topology.
    pub force: bool,
}

/// A whole desired state, asked for by ApplyTopology.
#[derive(Debug, Clone)]
pub struct Apply {
    /// It.
    pub spec: TopologySpec,
    /// May it?
    pub fence: Fence,
    /// How much its namespace may have.
    pub quota: Quota,
    /// Wait for READY until then; `None`: reply at once.
    pub until: Option<Instant>,
}

/// One change, asked for by a single call.
#[derive(Debug, Clone)]
pub struct Change {
    /// Of which topology.
    pub key: TopologyKey,
    /// What.
    pub edit: Edit,
    /// May it?
    pub fence: Fence,
    /// How much its namespace may have.
    pub quota: Quota,
    /// Wait for READY of the element until then; `None`: reply at once.
    pub until: Option<Instant>,
}

/// What became of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal<T = SystemTime> {
    /// The lease runs in full again, until then.
    Renewed(T),
    /// There is no lease.
    NoLease,
    /// There is no such topology.
    NotFound,
    /// A newer scheduler owns it.
    Fenced,
}

/// What the agent knows of its node.
#[derive(Debug, Clone)]
pub struct Node {
    /// Name of the node.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// How pods are found: `cri`, `netns`, `announced`.
    pub pods: &'static str,
    /// Directory of the panels' network namespaces.
    pub netns_dir: PathBuf,
    /// What the kernel can do.
    pub capabilities: Vec<Capability>,
    /// Devices of the node that attachments may use.
    pub node_devices: Vec<String>,
    /// How many topologies there may be.
    pub max_topologies: usize,
    /// Why no changes are taken; `None`: they are.
    pub store_problem: Option<String>,
}

/// A named network namespace that may serve as a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedNetns {
    /// Its name.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// Whether the agent made it.
    pub owned: bool,
}

/// What an engine is made of.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Name of the node.
    pub node_name: String,
    /// Directory of network namespaces.
    pub netns_dir: PathBuf,
    /// Directory of the intents.
    pub state_dir: PathBuf,
    /// Devices of the node that attachments may use.
    pub node_devices: Vec<IfName>,
    /// Whether interfaces may name a network namespace instead of a pod.
    pub allow_netns: bool,
    /// How many topologies there may be.
    pub max_topologies: usize,
}
