//! What the kernel looks like: read anew for every converge, never kept.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use super::{
    bridge::{BridgeOptions, BridgePort},
    intent::PodKey,
    mac::Mac,
    queue::Egress,
    spec::MacvlanMode,
    vlans::PortVlans,
};

/// Identity of a pod's current sandbox: the runtime's id of it and the cookie of its network namespace, which the
/// kernel never gives twice (`SO_NETNS_COOKIE`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SandboxId(String);

impl SandboxId {
    /// An id as the source of pods makes it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One look at everything that a topology touches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Its panel; `None`: there is none.
    pub panel: Option<Panel>,
    /// Its pods.
    pub pods: BTreeMap<PodKey, PodView>,
    /// Index and MTU of the devices of the node that it uses; absent ones are not in it.
    pub devices: BTreeMap<String, (u32, u32)>,
    /// Which of those are bridges.
    pub node_bridges: BTreeSet<String>,
}

/// What is in a panel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Panel {
    /// Its bridges, by device name.
    pub bridges: BTreeMap<String, BridgeState>,
    /// Its ports, by device name.
    pub ports: BTreeMap<String, PortState>,
    /// Its uplinks, by device name.
    pub uplinks: BTreeMap<String, UplinkState>,
    /// Devices that nobody asked for: index and name.
    pub strangers: Vec<(u32, String)>,
}

/// A bridge as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeState {
    /// Its index in the panel.
    pub index: u32,
    /// Its alternative names: the full name of one whose own had to be shortened.
    pub altnames: Vec<String>,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// Its MTU.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Its options.
    pub options: BridgeOptions,
}

/// A port as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortState {
    /// Its index in the panel.
    pub index: u32,
    /// Its MTU.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// Its options as a port of that bridge.
    pub bridge_port: Option<BridgePort>,
    /// Its VLANs, where a bridge of the panel tells them apart.
    pub vlans: Option<PortVlans>,
    /// Whether it may pass frames: operational state up and, in a bridge, forwarding.
    pub forwarding: bool,
    /// The pod in whose current namespace its other end lies, and the index there. `None`: that lies elsewhere, in an old sandbox.
    pub nic: Option<(PodKey, u32)>,
    /// Where what comes in at it goes.
    pub redirect: Redirect,
    /// What it does with frames towards its NIC.
    pub egress: Egress,
    /// Whether it leaves checksums to its NIC.
    pub tx_checksum: bool,
    /// What came and went.
    pub counters: Counters,
}

/// An uplink as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UplinkState {
    /// Its index in the panel.
    pub index: u32,
    /// Its MTU.
    pub mtu: u32,
    /// Whether it is up.
    pub up: bool,
    /// Whether it takes frames to everybody.
    pub promiscuous: bool,
    /// Whether it sees carrier.
    pub carrier: bool,
    /// Index of the bridge that it is a port of.
    pub master: Option<u32>,
    /// Its options as a port of that bridge.
    pub bridge_port: Option<BridgePort>,
    /// Its VLANs, where a bridge of the panel tells them apart.
    pub vlans: Option<PortVlans>,
    /// Where what comes in at it goes.
    pub redirect: Redirect,
    /// What it leads to.
    pub far: UplinkFar,
}

/// What an uplink leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UplinkFar {
    /// A VLAN.
    Vlan {
        /// Index and name of its device in the node's namespace, where it lies there.
        parent: Option<(u32, String)>,
        /// Its id.
        id: u16,
    },
    /// The port in the node's namespace that is the other end of its pair.
    Port(NodePort),
    /// Nothing that podwire makes.
    Nowhere,
}

/// A port of podwire's in the node's own namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePort {
    /// Its index.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is in podwire's device group.
    pub ours: bool,
    /// Whether it is up.
    pub up: bool,
    /// Its MTU.
    pub mtu: u32,
    /// Index and name of the bridge that it is a port of.
    pub master: Option<(u32, String)>,
    /// Its alternative names.
    pub altnames: Vec<String>,
}

/// What came and went at a port. `rx` is what its NIC sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames from the NIC.
    pub rx_frames: u64,
    /// Bytes of them.
    pub rx_bytes: u64,
    /// Of them dropped.
    pub rx_dropped: u64,
    /// Of them broken.
    pub rx_errors: u64,
    /// Frames to the NIC.
    pub tx_frames: u64,
    /// Bytes of them.
    pub tx_bytes: u64,
    /// Frames to the NIC that were dropped, in its queue or behind it.
    pub tx_dropped: u64,
    /// Frames to the NIC that were broken.
    pub tx_errors: u64,
}

/// Where what comes in at a port goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect {
    /// To its bridge, or nowhere: there is no filter.
    Nowhere,
    /// All of it to the port of this index.
    To(u32),
    /// There are filters that are not one redirect of everything.
    Unknown,
}

/// A pod as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodView {
    /// Not there, or not yet: its interfaces wait. With the reason.
    Absent(String),
    /// There, but never to be plugged: another UID, the node's own namespace, no namespace at all. With the reason.
    Refused(Refusal),
    /// There.
    Present(PodState),
}

/// Why a pod that is there is not plugged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A stable word for programs: `UID_MISMATCH`, `HOST_NETWORK`, `NOT_A_NETNS`.
    pub reason: &'static str,
    /// For a person.
    pub message: String,
}

impl PodView {
    /// Whether what was plugged into the pod may still be there, out of sight. `known`: one that was not found is not there.
    pub fn may_hide(&self, known: bool) -> bool {
        match self {
            Self::Present(_) => false,
            Self::Absent(_) => !known,
            // It is the same pod, and only cannot be looked into.
            Self::Refused(refusal) => matches!(refusal.reason, "NETNS_UNREADABLE" | "NO_NETNS_PATH"),
        }
    }
}

/// What is in a pod's namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodState {
    /// Its current sandbox.
    pub sandbox: SandboxId,
    /// Its devices, by name.
    pub links: BTreeMap<String, PodLink>,
    /// Indexes of devices that cannot be read: a name of theirs is no text, say.
    pub unreadable: Vec<u32>,
    /// Its routes of the main table.
    pub routes: Vec<PodRoute>,
}

/// A device in a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the kernel's that means something by itself")]
pub struct PodLink {
    /// Its index.
    pub index: u32,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// Its MTU.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it sees carrier.
    pub carrier: bool,
    /// Whether its operational state lets it send.
    pub operational: bool,
    /// Whether it is in podwire's device group.
    pub ours: bool,
    /// Whether it is part of a bond, team or bridge inside the pod: its MAC and MTU are then that one's affair.
    pub enslaved: bool,
    /// What it is.
    pub kind: LinkKind,
    /// Its alternative names.
    pub altnames: Vec<String>,
    /// Its addresses.
    pub addresses: Vec<IpNetwork>,
}

/// Kind of a device in a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkKind {
    /// One end of a veth pair, with the pod and the index of the other where that is a pod of the topology.
    Veth {
        /// Where the other end is.
        peer: Option<(PodKey, u32)>,
    },
    /// A macvlan, with the index of its parent where that lies in the node's namespace.
    Macvlan {
        /// Its parent.
        parent: Option<u32>,
        /// Its mode.
        mode: Option<MacvlanMode>,
    },
    /// Anything else.
    Other,
}

/// A route of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRoute {
    /// Destination; host bits are none.
    pub destination: IpNetwork,
    /// Next hop.
    pub via: Option<std::net::IpAddr>,
    /// Metric, as the kernel has it.
    pub metric: u32,
    /// Index of the device that it leaves by.
    pub device: Option<u32>,
}
