//! What a converge does, one step at a time.

use std::fmt;

use ipnetwork::IpNetwork;

use super::{
    bridge::{BridgeOptions, BridgePort},
    desired::{BridgeDevice, Nic},
    if_name::IfName,
    intent::NicKey,
    mac::Mac,
    mtu::Mtu,
    name::ElementName,
    queue::Queue,
    spec::{InterfaceId, MacvlanMode, RouteSpec},
    uplink::{Join, Uplink},
    vlans::PortVlans,
};

/// One change of the kernel. Devices that exist are named by index, those that the plan makes by identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Make the panel.
    CreatePanel,
    /// Make a bridge in the panel, with all its options, up.
    CreateBridge(BridgeDevice),
    /// Put a bridge's MAC, MTU, options and state right.
    ConfigureBridge(BridgeDevice),
    /// Make a veth pair: the port in the panel, part of a bridge or of none, and the NIC in the pod.
    CreateVeth(NewNic, Option<ElementName>),
    /// Make a veth pair from pod to pod.
    CreateDirect(NewNic, NewNic),
    /// Make a macvlan in the pod.
    CreateMacvlan {
        /// The NIC.
        nic: NewNic,
        /// Its parent in the node's namespace.
        parent: IfName,
        /// How they see each other.
        mode: MacvlanMode,
    },
    /// Make an uplink: a VLAN of a device of the node, or a port of a bridge of the node.
    CreateUplink(Uplink),
    /// Put an uplink's MTU and state right, and those of its port in the node's namespace.
    ConfigureUplink(Uplink),
    /// Make an uplink a port of its bridge, or stitch it to the port of its NIC.
    JoinUplink(Uplink),
    /// Let an uplink lead nowhere: take it off its bridge or its port.
    PartUplink(Uplink),
    /// Set a port's MTU.
    SetPortMtu(NicKey, Mtu),
    /// Make a port part of a bridge, or of none.
    SetMaster(NicKey, Option<ElementName>),
    /// Set the options of a bridge port.
    SetBridgePort(NicKey, BridgePort),
    /// Make a bridge port a member of these VLANs and of no others.
    SetPortVlans(NicKey, PortVlans),
    /// Redirect what comes in at the first port out of the second.
    Stitch(NicKey, NicKey),
    /// Remove what redirects a port.
    Unstitch(NicKey),
    /// Let frames towards a NIC wait in a queue, or change the numbers of the one that is there.
    Impair(NicKey, Queue),
    /// Remove the queue of a port.
    Unimpair(NicKey),
    /// Let a port leave checksums to its NIC, or finish them.
    SetPortChecksum(NicKey, bool),
    /// Set the administrative state of a port: with it the carrier of the NIC.
    SetPort(NicKey, bool),
    /// Set a NIC's MAC.
    SetMac(NicKey, Mac),
    /// Set a NIC's MTU.
    SetMtu(NicKey, Mtu),
    /// Bring a NIC up.
    BringUp(NicKey),
    /// Take an address from a NIC.
    RemoveAddress(NicKey, IpNetwork),
    /// Give a NIC an address.
    AddAddress(NicKey, IpNetwork),
    /// Take a route from a NIC.
    RemoveRoute(NicKey, RouteSpec),
    /// Give a NIC a route.
    AddRoute(NicKey, RouteSpec),
    /// Wait until the first frame would pass.
    Settle(NicKey),
    /// Set the altname that says that a NIC is complete.
    Mark(NicKey, String),
    /// Take such an altname away: it no longer holds, or another NIC of the pod shall have it.
    Unmark(NicKey, String),
    /// Remove a port and with it the NIC at its other end.
    RemovePort {
        /// The NIC, or the port's device name where the NIC is not known any more.
        label: String,
        /// The port's index in the panel.
        index: u32,
        /// The NIC, where it is known.
        nic: Option<NicKey>,
    },
    /// Remove an uplink, by its device name and index.
    RemoveUplink(String, u32),
    /// Remove a NIC that has no port, by its index in the pod.
    RemoveNic(NicKey, u32),
    /// Remove a bridge, by its device name and index.
    RemoveBridge(String, u32),
    /// Remove a device of the panel that nobody asked for.
    RemoveStranger(String, u32),
    /// Remove the panel with what is left in it.
    RemovePanel,
}

/// A NIC to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNic {
    /// Its identity.
    pub key: NicKey,
    /// Its MAC.
    pub mac: Mac,
    /// Its MTU. `None`: what the kernel gives.
    pub mtu: Option<Mtu>,
}

impl From<&Nic> for NewNic {
    fn from(nic: &Nic) -> Self {
        Self { key: nic.key.clone(), mac: nic.mac, mtu: nic.mtu }
    }
}

impl Step {
    /// The NIC that it is for.
    pub fn nic(&self) -> Option<&NicKey> {
        match self {
            Self::CreateVeth(nic, _) | Self::CreateDirect(nic, _) | Self::CreateMacvlan { nic, .. } => Some(&nic.key),
            Self::SetPortMtu(nic, _)
            | Self::SetMaster(nic, _)
            | Self::SetBridgePort(nic, _)
            | Self::SetPortVlans(nic, _)
            | Self::Stitch(nic, _)
            | Self::Unstitch(nic)
            | Self::Impair(nic, _)
            | Self::Unimpair(nic)
            | Self::SetPortChecksum(nic, _)
            | Self::SetPort(nic, _)
            | Self::SetMac(nic, _)
            | Self::SetMtu(nic, _)
            | Self::BringUp(nic)
            | Self::RemoveAddress(nic, _)
            | Self::AddAddress(nic, _)
            | Self::RemoveRoute(nic, _)
            | Self::AddRoute(nic, _)
            | Self::Settle(nic)
            | Self::Mark(nic, _)
            | Self::Unmark(nic, _)
            | Self::RemoveNic(nic, _) => Some(nic),
            Self::RemovePort { nic, .. } => nic.as_ref(),
            Self::CreateUplink(uplink)
            | Self::ConfigureUplink(uplink)
            | Self::JoinUplink(uplink)
            | Self::PartUplink(uplink) => uplink.nic(),
            Self::CreatePanel
            | Self::CreateBridge(_)
            | Self::ConfigureBridge(_)
            | Self::RemoveUplink(..)
            | Self::RemoveBridge(..)
            | Self::RemoveStranger(..)
            | Self::RemovePanel => None,
        }
    }

    /// The element that it is for, where that has an uplink which is for no single NIC.
    pub fn uplink(&self) -> Option<&InterfaceId> {
        match self {
            Self::CreateUplink(uplink)
            | Self::ConfigureUplink(uplink)
            | Self::JoinUplink(uplink)
            | Self::PartUplink(uplink) => Some(&uplink.id),
            _ => None,
        }
    }

    /// What it does, in one word: `create`, `configure` or `remove`.
    pub fn action(&self) -> &'static str {
        match self {
            Self::CreatePanel
            | Self::CreateBridge(_)
            | Self::CreateVeth(..)
            | Self::CreateDirect(..)
            | Self::CreateUplink(_)
            | Self::CreateMacvlan { .. } => "create",
            Self::RemovePort { .. }
            | Self::RemoveNic(..)
            | Self::RemoveUplink(..)
            | Self::RemoveBridge(..)
            | Self::RemoveStranger(..)
            | Self::RemovePanel => "remove",
            Self::ConfigureBridge(_)
            | Self::ConfigureUplink(_)
            | Self::JoinUplink(_)
            | Self::PartUplink(_)
            | Self::SetPortMtu(..)
            | Self::SetMaster(..)
            | Self::SetBridgePort(..)
            | Self::SetPortVlans(..)
            | Self::Stitch(..)
            | Self::Unstitch(_)
            | Self::Impair(..)
            | Self::Unimpair(_)
            | Self::SetPortChecksum(..)
            | Self::SetPort(..)
            | Self::SetMac(..)
            | Self::SetMtu(..)
            | Self::BringUp(_)
            | Self::RemoveAddress(..)
            | Self::AddAddress(..)
            | Self::RemoveRoute(..)
            | Self::AddRoute(..)
            | Self::Settle(_)
            | Self::Mark(..)
            | Self::Unmark(..) => "configure",
        }
    }

    /// What it works on: `bridge lan1`, `interface bb1/net1`.
    pub fn object(&self) -> String {
        match self {
            Self::CreatePanel | Self::RemovePanel => "panel".to_owned(),
            Self::CreateBridge(bridge) | Self::ConfigureBridge(bridge) => format!("bridge {}", bridge.name),
            Self::RemoveBridge(name, _) => format!("bridge {name}"),
            Self::CreateUplink(uplink)
            | Self::ConfigureUplink(uplink)
            | Self::JoinUplink(uplink)
            | Self::PartUplink(uplink) => format!("uplink of {}", uplink.id),
            Self::RemoveUplink(device, _) => format!("uplink {device}"),
            Self::RemoveStranger(name, _) => format!("device {name} of the panel"),
            Self::RemovePort { label, .. } => format!("interface {label}"),
            // All others are for a NIC.
            _ => self.nic().map_or_else(String::new, |nic| format!("interface {nic}")),
        }
    }

    /// In which way, for a person to read.
    pub fn detail(&self) -> String {
        let on = |on: bool| if on { "on" } else { "off" };
        match self {
            Self::CreatePanel => "network namespace of the topology".to_owned(),
            Self::RemovePanel => "with what is left in it".to_owned(),
            Self::CreateBridge(bridge) | Self::ConfigureBridge(bridge) => {
                let BridgeOptions { stp, mcast_snooping, vlan_filtering, ageing } = bridge.options;
                let ageing = ageing / 100;
                let (stp, snooping) = (on(stp), on(mcast_snooping));
                let vlans = if vlan_filtering { " vlan_filtering on" } else { "" };
                let (mac, mtu) = (bridge.mac, bridge.mtu);
                format!("mac {mac} mtu {mtu} stp {stp} mcast_snooping {snooping} ageing {ageing} s{vlans}")
            }
            Self::CreateVeth(nic, None) => format!("veth, {}", born(nic)),
            Self::CreateVeth(nic, Some(bridge)) => format!("veth on bridge {bridge}, {}", born(nic)),
            Self::CreateDirect(nic, far) => format!("veth to {}, {}", far.key, born(nic)),
            Self::CreateMacvlan { nic, parent, mode } => format!("macvlan on {parent}, mode {mode:?}, {}", born(nic)),
            Self::CreateUplink(uplink) | Self::ConfigureUplink(uplink) => uplink.spec.to_string(),
            Self::JoinUplink(uplink) => match &uplink.join {
                Join::Bridge(bridge, ..) => format!("plug into bridge {bridge}"),
                Join::Nic(nic) => format!("stitch to {nic}"),
            },
            Self::PartUplink(_) => "let it lead nowhere".to_owned(),
            Self::SetPortMtu(_, mtu) => format!("mtu {mtu} of its port"),
            Self::SetMaster(_, Some(bridge)) => format!("plug into bridge {bridge}"),
            Self::SetMaster(_, None) => "unplug from its bridge".to_owned(),
            Self::SetBridgePort(_, port) => format!(
                "hairpin {} isolated {} learning {} flood {} mcast_flood {} group_fwd_mask {:#06x}",
                on(port.hairpin),
                on(port.isolated),
                on(port.learning),
                on(port.flood),
                on(port.mcast_flood),
                port.group_fwd_mask
            ),
            Self::SetPortVlans(_, vlans) => format!("VLANs: {vlans}"),
            Self::Stitch(_, far) => format!("stitch to {far}"),
            Self::Unstitch(_) => "take the stitch away".to_owned(),
            Self::Impair(_, queue) => format!("towards it: {queue}"),
            Self::Unimpair(_) => "towards it: take the queue away".to_owned(),
            Self::SetPortChecksum(_, true) => "towards it: leave checksums to it".to_owned(),
            Self::SetPortChecksum(_, false) => "towards it: finish checksums".to_owned(),
            Self::SetPort(_, true) => "plug the cable".to_owned(),
            Self::SetPort(_, false) => "pull the cable".to_owned(),
            Self::SetMac(_, mac) => format!("mac {mac}"),
            Self::SetMtu(_, mtu) => format!("mtu {mtu}"),
            Self::BringUp(_) => "bring up".to_owned(),
            Self::RemoveAddress(_, address) => format!("remove address {address}"),
            Self::AddAddress(_, address) => format!("add address {address}"),
            Self::RemoveRoute(_, route) => format!("remove route {}", Line(route)),
            Self::AddRoute(_, route) => format!("add route {}", Line(route)),
            Self::Settle(_) => "wait until it forwards".to_owned(),
            Self::Mark(_, altname) => format!("altname {altname}"),
            Self::Unmark(_, altname) => format!("remove altname {altname}"),
            Self::RemovePort { .. } | Self::RemoveNic(..) | Self::RemoveBridge(..) | Self::RemoveUplink(..) => {
                String::new()
            }
            Self::RemoveStranger(..) => "nobody asked for it".to_owned(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action(), self.object())?;
        match self.detail() {
            detail if detail.is_empty() => Ok(()),
            detail => write!(f, ": {detail}"),
        }
    }
}

fn born(nic: &NewNic) -> String {
    match nic.mtu {
        Some(mtu) => format!("mac {} mtu {mtu}", nic.mac),
        None => format!("mac {}", nic.mac),
    }
}

/// A route as `ip route` writes it.
struct Line<'a>(&'a RouteSpec);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.destination)?;
        if let Some(via) = self.0.via {
            write!(f, " via {via}")?;
        }
        if self.0.metric != 0 {
            write!(f, " metric {}", self.0.metric)?;
        }
        Ok(())
    }
}
