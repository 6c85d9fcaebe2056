//! Ways out of a panel onto the node's network: a VLAN of a device of the node, or a port of a bridge that the node has.
//!
//! An uplink is a device of the panel, so that everything about it is provably ours: a VLAN subinterface that is born there, or
//! one end of a veth pair whose other end is the port. That port is the only thing of podwire's in the node's namespace, and it
//! goes with its other end.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error};

use super::{
    bridge::BridgePort,
    device::{full_name, mark},
    if_name::{IF_NAME_BYTES, IfName},
    intent::NicKey,
    mac::{Mac, stable_hash},
    name::{ElementName, TopologyKey},
    spec::{InterfaceId, TopologySpec},
    vlans::PortVlans,
};

/// What the device name of an uplink begins with: bridges, ports and short names begin with another character.
pub const UPLINK_PREFIX: char = '+';

/// A VLAN id that frames can have: 1 to 4094. IEEE 802.1Q-2018, table 9-2: 0 is no VLAN, 4095 is reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct VlanId(u16);

/// Not the id of a VLAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no VLAN id: 1 to 4094 are (802.1Q keeps 0 and 4095 for itself)")]
pub struct VlanIdError(pub u32);

impl VlanId {
    /// The id as a number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u32> for VlanId {
    type Error = VlanIdError;

    fn try_from(number: u32) -> Result<Self, VlanIdError> {
        u16::try_from(number).ok().filter(|id| (1..=4094).contains(id)).map(Self).ok_or(VlanIdError(number))
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for VlanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(u32::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// How a device of the node is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By a VLAN of its own: frames have the tag outside, and none inside.
    Vlan(VlanId),
    /// The device is a bridge, and gets one more port.
    BridgePort,
}

/// An uplink as asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UplinkSpec {
    /// The device in the node's own namespace.
    pub parent: IfName,
    /// How it is used.
    pub way: Way,
}

impl fmt::Display for UplinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.way {
            Way::Vlan(id) => write!(f, "VLAN {id} of device {}", self.parent),
            Way::BridgePort => write!(f, "a port of the node's bridge {}", self.parent),
        }
    }
}

/// An uplink of a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    /// The attachment that it is for, or the bridge: an element has one at most.
    pub id: InterfaceId,
    /// Its device name in the panel.
    pub device: String,
    /// What it leads to.
    pub spec: UplinkSpec,
    /// What it is joined to in the panel.
    pub join: Join,
    /// Name of the port in the node's namespace, where it has one.
    pub port: String,
    /// Altname of that port.
    pub mark: String,
    /// MAC of that port.
    pub mac: Mac,
}

/// What an uplink is joined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Join {
    /// It is a port of a bridge; of all VLANs, where that tells them apart.
    Bridge(ElementName, BridgePort, Option<PortVlans>),
    /// It is stitched to the port of a NIC.
    Nic(NicKey),
}

impl Uplink {
    /// The uplink of an element.
    pub fn new(key: &TopologyKey, id: InterfaceId, spec: UplinkSpec, join: Join) -> Self {
        let device = Self::device_name(&id.element, &spec);
        let parts = of_port(key, &id.element);
        Self { device, mark: mark(key, &id), port: port_name(&parts), mac: port_mac(&parts), id, spec, join }
    }

    /// Its device name in the panel.
    pub fn device_name(element: &ElementName, spec: &UplinkSpec) -> String {
        let parent = spec.parent.as_str();
        match spec.way {
            Way::Vlan(vlan) => short(&format!("{parent}.{vlan}"), &["vlan", parent, &vlan.to_string()]),
            Way::BridgePort => short(element.as_str(), &["port", element.as_str()]),
        }
    }

    /// The NIC that it is stitched to.
    pub fn nic(&self) -> Option<&NicKey> {
        match &self.join {
            Join::Bridge(..) => None,
            Join::Nic(nic) => Some(nic),
        }
    }

    /// Altname of a device whose own name had to be shortened.
    pub fn full_name(&self) -> Option<String> {
        match self.spec.way {
            Way::Vlan(vlan) => full_name(&self.device, &format!("{UPLINK_PREFIX}{}.{vlan}", self.spec.parent)),
            Way::BridgePort => full_name(&self.device, &format!("{UPLINK_PREFIX}{}", self.id.element)),
        }
    }
}

/// The uplinks that a spec asks for, with the elements that they are for and the field paths of those.
pub fn asked(spec: &TopologySpec) -> impl Iterator<Item = (&ElementName, &UplinkSpec, String)> {
    let bridges = spec
        .bridges
        .iter()
        .enumerate()
        .filter_map(|(i, bridge)| Some((&bridge.name, bridge.uplink.as_ref()?, format!("bridges[{i}].uplink"))));
    let attachments = spec.attachments.iter().enumerate().filter_map(|(i, attachment)| {
        Some((&attachment.name, attachment.target.uplink()?, format!("attachments[{i}].device")))
    });
    bridges.chain(attachments)
}

/// The names of the ports in the node's namespace that a topology has.
pub fn ports(key: &TopologyKey, spec: &TopologySpec) -> impl Iterator<Item = String> {
    let ports = asked(spec).filter(|(_, uplink, _)| uplink.way == Way::BridgePort);
    ports.map(|(element, ..)| port_name(&of_port(key, element)))
}

/// What tells a port in the node's namespace from all others.
fn of_port<'a>(key: &'a TopologyKey, element: &'a ElementName) -> [&'a str; 4] {
    ["node-port", key.namespace.as_str(), key.name.as_str(), element.as_str()]
}

fn short(plain: &str, parts: &[&str]) -> String {
    let name = format!("{UPLINK_PREFIX}{plain}");
    if name.len() <= IF_NAME_BYTES { name } else { format!("{UPLINK_PREFIX}{:013x}", stable_hash(parts) >> 12) }
}

/// `pw` and 13 hexadecimal digits: in the node's namespace there are devices of everybody.
fn port_name(parts: &[&str]) -> String {
    format!("pw{:013x}", stable_hash(parts) >> 12)
}

/// Above those of real devices: a bridge that nobody gave a MAC takes the lowest of its ports
/// (`br_stp_recalculate_bridge_id` of net/bridge/br_stp_if.c).
fn port_mac(parts: &[&str]) -> Mac {
    let derived = Mac::derived(parts);
    let mut octets = derived.octets();
    octets[..2].copy_from_slice(&[0xfe, 0xff]);
    Mac::new(octets).unwrap_or(derived)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ids_that_frames_can_have_are_vlan_ids() {
        for number in [1, 4094] {
            assert_eq!(u32::from(VlanId::try_from(number).unwrap().number()), number);
        }
        for number in [0, 4095, 4096, 65_537, u32::MAX] {
            assert_eq!(VlanId::try_from(number), Err(VlanIdError(number)));
            assert!(serde_json::from_str::<VlanId>(&number.to_string()).is_err());
        }
    }

    #[test]
    fn every_uplink_of_a_node_has_names_of_its_own_that_the_kernel_takes() {
        let uplink = |topology: &str, element: &str, parent: &str, way| {
            let key = TopologyKey { namespace: "lessons".parse().unwrap(), name: topology.parse().unwrap() };
            let id = InterfaceId { element: element.parse().unwrap(), end: crate::domain::spec::End::Only };
            let join = Join::Bridge("lan1".parse().unwrap(), BridgePort::NEW, None);
            Uplink::new(&key, id, UplinkSpec { parent: parent.parse().unwrap(), way }, join)
        };
        let vlan = |id: u32| Way::Vlan(id.try_into().unwrap());
        let all = [
            uplink("one", "up", "eth0", vlan(100)),
            uplink("one", "up", "eth0", vlan(101)),
            uplink("one", "up", "enp129s0f0npl", vlan(4094)),
            uplink("one", "up", "enp129s0f0npm", vlan(4094)),
            uplink("one", "up", "br0", Way::BridgePort),
            uplink("one", "an-element-with-a-long-name", "br0", Way::BridgePort),
        ];
        let names: std::collections::BTreeSet<&str> = all.iter().map(|uplink| uplink.device.as_str()).collect();
        assert_eq!(names.len(), all.len());
        assert_eq!(all[0].device, "+eth0.100");
        assert_eq!(all[2].full_name().as_deref(), Some("+enp129s0f0npl.4094"));
        for uplink in &all {
            assert!(uplink.device.parse::<IfName>().is_ok() && uplink.port.parse::<IfName>().is_ok(), "{uplink:?}");
        }
        let other = uplink("two", "up", "br0", Way::BridgePort);
        assert_ne!((&other.port, other.mac), (&all[4].port, all[4].mac));
    }
}
