//! What is asked for: a topology as a caller wrote it, every value parsed, nothing chosen yet.

use std::{fmt, net::IpAddr, time::Duration};

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use super::{
    bridge::L2Profile,
    if_name::IfName,
    impairment::Impairment,
    mac::Mac,
    mtu::Mtu,
    name::{ElementName, PodName, PodUid, TopologyKey},
    stored,
    uplink::{self, UplinkSpec, Way},
    vlans::Membership,
};

/// A whole topology as asked for. Elements keep the caller's order, so that violations can name their index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopologySpec {
    /// Its key.
    pub key: TopologyKey,
    /// LAN segments.
    pub bridges: Vec<BridgeSpec>,
    /// Wires.
    pub links: Vec<LinkSpec>,
    /// Interfaces on bridges or devices.
    pub attachments: Vec<AttachmentSpec>,
    /// Time without a renewal after which it is deleted. `None`: never.
    pub lease: Option<Duration>,
}

/// A bridge as asked for.
#[expect(clippy::struct_excessive_bools, reason = "each is an option that means something by itself")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BridgeSpec {
    /// Its name.
    pub name: ElementName,
    /// `None`: 1500.
    pub mtu: Option<Mtu>,
    /// `None`: derived from its names.
    pub mac: Option<Mac>,
    /// `None`: only static addresses.
    pub ipam: Option<IpamSpec>,
    /// Default of its attachments.
    pub hairpin: bool,
    /// Default of its attachments.
    pub isolated: bool,
    /// What it does with frames.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub l2_profile: L2Profile,
    /// Spanning tree.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub stp: bool,
    /// Multicast snooping.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub mcast_snooping: bool,
    /// Seconds that it remembers an address. `None`: the profile's.
    #[serde(default, skip_serializing_if = "stored::is_default", deserialize_with = "stored::ageing")]
    pub ageing: Option<u32>,
    /// It tells VLANs apart.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub vlan_aware: bool,
    /// What it reaches of the node's network.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub uplink: Option<UplinkSpec>,
}

impl BridgeSpec {
    /// A bridge of which only the name is said.
    pub fn named(name: ElementName) -> Self {
        Self {
            name,
            mtu: None,
            mac: None,
            ipam: None,
            hairpin: false,
            isolated: false,
            l2_profile: L2Profile::default(),
            stp: false,
            mcast_snooping: false,
            ageing: None,
            vlan_aware: false,
            uplink: None,
        }
    }
}

/// How a link is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkMode {
    /// Two ports in the panel, joined frame for frame.
    Stitched,
    /// One veth pair from pod to pod.
    Direct,
}

/// A link as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// Its name.
    pub name: ElementName,
    /// One end.
    pub a: InterfaceSpec,
    /// The other.
    pub b: InterfaceSpec,
    /// How it is made.
    pub mode: LinkMode,
    /// Whether the cable is plugged.
    pub up: bool,
    /// `None`: only static addresses.
    pub ipam: Option<IpamSpec>,
    /// What happens to frames from `a` to `b`.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub a_to_b: Impairment,
    /// What happens to frames from `b` to `a`.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub b_to_a: Impairment,
}

/// An attachment as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachmentSpec {
    /// Its name.
    pub name: ElementName,
    /// What is plugged.
    pub interface: InterfaceSpec,
    /// What it is plugged into.
    pub target: Target,
    /// `None`: the bridge's.
    pub hairpin: Option<bool>,
    /// `None`: the bridge's.
    pub isolated: Option<bool>,
    /// Whether frames to unknown addresses come.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub flood: Option<bool>,
    /// Whether frames to groups come.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub mcast_flood: Option<bool>,
    /// VLANs on a bridge that tells them apart. `None`: the default one.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub vlan: Option<Membership>,
    /// Whether the cable is plugged.
    pub up: bool,
    /// What happens to frames from the bridge to the interface.
    #[serde(default, skip_serializing_if = "stored::is_default")]
    pub to_interface: Impairment,
}

/// What an attachment is plugged into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// A bridge of the same topology.
    Bridge(ElementName),
    /// A device of the node, shared by macvlan.
    Device(DeviceSpec),
    /// A device of the node, by an uplink of its own.
    Uplink(UplinkTarget),
}

impl Target {
    /// The uplink that it is.
    pub fn uplink(&self) -> Option<&UplinkSpec> {
        match self {
            Self::Uplink(target) => Some(&target.uplink),
            Self::Bridge(_) | Self::Device(_) => None,
        }
    }

    /// The device of the node whose segment it is: others may have addresses there. A VLAN is its topology's own.
    pub fn shared_device(&self) -> Option<&IfName> {
        match self {
            Self::Device(device) => Some(&device.parent),
            Self::Uplink(UplinkTarget { uplink: UplinkSpec { parent, way: Way::BridgePort }, .. }) => Some(parent),
            Self::Bridge(_) | Self::Uplink(_) => None,
        }
    }

    /// What hands out addresses, where that is the target's own affair.
    pub fn ipam(&self) -> Option<&IpamSpec> {
        match self {
            Self::Bridge(_) => None,
            Self::Device(device) => device.ipam.as_ref(),
            Self::Uplink(target) => target.ipam.as_ref(),
        }
    }
}

/// A VLAN of a device of the node, or a port of a bridge of the node, for one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UplinkTarget {
    /// Which.
    pub uplink: UplinkSpec,
    /// Scope: the VLAN, or the node.
    pub ipam: Option<IpamSpec>,
}

/// A device of the node, used by macvlan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSpec {
    /// The device in the node's own namespace.
    pub parent: IfName,
    /// How interfaces on it see each other.
    pub mode: MacvlanMode,
    /// Scope: the node.
    pub ipam: Option<IpamSpec>,
}

/// How macvlan interfaces of one parent see each other. Passthru is not offered: it changes the parent's MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MacvlanMode {
    /// Directly.
    Bridge,
    /// Never.
    Private,
    /// By a switch outside that sends frames back.
    Vepa,
}

/// Whose interface it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PodOwner {
    /// A pod of the topology's namespace.
    Pod(PodName),
    /// A network namespace that is no pod.
    Netns(NetnsRef),
}

/// A network namespace by name or by process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NetnsRef {
    /// A file name below the agent's netns directory: not empty, no `/`, not `.` or `..`, not a panel's.
    #[serde(deserialize_with = "stored::netns_name")]
    Name(String),
    /// `/proc/<pid>/ns/net`.
    #[serde(deserialize_with = "stored::process")]
    Process(u32),
}

impl fmt::Display for PodOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(name) => name.fmt(f),
            Self::Netns(NetnsRef::Name(name)) => write!(f, "netns:{name}"),
            Self::Netns(NetnsRef::Process(pid)) => write!(f, "/proc/{pid}/ns/net"),
        }
    }
}

/// An interface as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceSpec {
    /// Whose it is.
    pub owner: PodOwner,
    /// This incarnation of the pod and no other.
    pub uid: Option<PodUid>,
    /// `None`: chosen at apply.
    pub name: Option<IfName>,
    /// Interfaces of one pod are made by it, then by natural name order.
    pub order: u16,
    /// `None`: derived.
    pub mac: Option<Mac>,
    /// `None`: that of the wire.
    pub mtu: Option<Mtu>,
    /// Static addresses with their prefix.
    pub addresses: Vec<IpNetwork>,
    /// Routes besides those of the IPAM.
    pub routes: Vec<RouteSpec>,
    /// Whether checksums of frames to it may be left unfinished.
    #[serde(default = "stored::on", skip_serializing_if = "stored::is_on")]
    pub tx_checksum: bool,
}

/// A route as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    /// Without host bits.
    #[serde(deserialize_with = "stored::network")]
    pub destination: IpNetwork,
    /// `None`: on the link; in an IPAM the subnet's gateway.
    pub via: Option<IpAddr>,
    /// 0: the kernel's default.
    pub metric: u32,
    /// Left out where the pod has it on another device.
    pub unless_present: bool,
}

/// How addresses are handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IpamSpec {
    /// One address of each for each interface.
    pub subnets: Vec<SubnetSpec>,
    /// Routes of each interface.
    pub routes: Vec<RouteSpec>,
}

/// A subnet of an IPAM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetSpec {
    /// Without host bits.
    #[serde(deserialize_with = "stored::network")]
    pub cidr: IpNetwork,
    /// First and last address of each range. Empty: the whole subnet.
    pub ranges: Vec<(IpAddr, IpAddr)>,
    /// `None`: the first address, which then is nobody's.
    pub gateway: Option<IpAddr>,
    /// Never handed out.
    pub exclude: Vec<IpNetwork>,
}

/// Which interface of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// The only one of an attachment.
    Only,
    /// End `a` of a link.
    A,
    /// End `b` of a link.
    B,
}

/// Which interface of a topology.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InterfaceId {
    /// The element that it is part of.
    pub element: ElementName,
    /// Which of its interfaces.
    pub end: End,
}

impl fmt::Display for InterfaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.end {
            End::Only => self.element.fmt(f),
            End::A => write!(f, "{}.a", self.element),
            End::B => write!(f, "{}.b", self.element),
        }
    }
}

impl TopologySpec {
    /// An empty topology, as the first single call of a name finds it.
    pub fn empty(key: TopologyKey) -> Self {
        Self { key, bridges: Vec::new(), links: Vec::new(), attachments: Vec::new(), lease: None }
    }

    /// Bridges, links and attachments together.
    pub fn elements(&self) -> usize {
        self.bridges.len() + self.links.len() + self.attachments.len()
    }

    /// The devices of the node that it uses.
    pub fn devices(&self) -> impl Iterator<Item = &IfName> {
        let shared = self.attachments.iter().filter_map(|attachment| match &attachment.target {
            Target::Device(device) => Some(&device.parent),
            Target::Bridge(_) | Target::Uplink(_) => None,
        });
        shared.chain(uplink::asked(self).map(|(_, uplink, _)| &uplink.parent))
    }

    /// Whether an element has this name.
    pub fn has(&self, name: &ElementName) -> bool {
        self.bridges.iter().any(|bridge| bridge.name == *name)
            || self.links.iter().any(|link| link.name == *name)
            || self.attachments.iter().any(|attachment| attachment.name == *name)
    }

    /// Every interface with its id and with the field path under which the caller wrote it, links first.
    pub fn interfaces(&self) -> impl Iterator<Item = (InterfaceId, &InterfaceSpec, String)> {
        let links = self.links.iter().enumerate().flat_map(|(i, link)| {
            [
                (InterfaceId { element: link.name.clone(), end: End::A }, &link.a, format!("links[{i}].a")),
                (InterfaceId { element: link.name.clone(), end: End::B }, &link.b, format!("links[{i}].b")),
            ]
        });
        let attachments = self.attachments.iter().enumerate().map(|(i, attachment)| {
            let id = InterfaceId { element: attachment.name.clone(), end: End::Only };
            (id, &attachment.interface, format!("attachments[{i}].interface"))
        });
        links.chain(attachments)
    }
}
