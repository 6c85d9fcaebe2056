//! One interface plugged into a bridge or onto a device of the node.

use crate::{
    impairment::Impairment,
    interface::{Interface, toggle},
    ipam::{Ipam, Subnet},
    route::Route,
    v1::{self, attachment::Target, interface::Owner},
};

/// One interface plugged into a bridge or onto a device of the node.
#[derive(Clone, Debug, PartialEq)]
pub struct Attachment {
    message: v1::Attachment,
    interface: Interface,
}

impl Attachment {
    /// By its name within the topology. It needs an owner (`.pod()`) and a target (`.bridge()` or `.device()`).
    pub fn new(name: impl Into<String>) -> Self {
        let message = v1::Attachment { name: name.into(), ..Default::default() };
        Self { message, interface: Interface::default() }
    }

    /// This interface, in place of all that was said of it before.
    pub fn nic(mut self, interface: Interface) -> Self {
        self.interface = interface;
        self
    }

    /// The pod, of the topology's own namespace.
    pub fn pod(mut self, name: impl Into<String>) -> Self {
        self.interface.set_owner(Owner::Pod(name.into()));
        self
    }

    /// The network namespace, instead of a pod.
    pub fn netns(mut self, name: impl Into<String>) -> Self {
        self.interface.set_owner(Owner::Netns(name.into()));
        self
    }

    /// Plug this incarnation of the pod and no other.
    pub fn uid(self, uid: impl Into<String>) -> Self {
        self.with(|interface| interface.uid(uid))
    }

    /// Name of the interface inside the pod, 1 to 15 bytes. Default: the lowest free `net1`, `net2`, …
    pub fn interface(self, name: impl Into<String>) -> Self {
        self.with(|interface| interface.name(name))
    }

    /// Place among the interfaces of its pod, ascending; 0 to 65535.
    pub fn order(self, order: u16) -> Self {
        self.with(|interface| interface.order(order))
    }

    /// MAC address of the interface.
    pub fn mac(self, mac: impl Into<String>) -> Self {
        self.with(|interface| interface.mac(mac))
    }

    /// MTU of the interface in bytes, 68 to 65535. Default: the bridge's.
    pub fn mtu(self, bytes: u16) -> Self {
        self.with(|interface| interface.mtu(bytes))
    }

    /// A static address in CIDR: `10.0.0.9/24`. Repeatable.
    pub fn address(self, cidr: impl Into<String>) -> Self {
        self.with(|interface| interface.address(cidr))
    }

    /// A route through this interface: `"10.2.0.0/16"` or a [`Route`]. Repeatable.
    pub fn route(self, route: impl Into<Route>) -> Self {
        self.with(|interface| interface.route(route))
    }

    /// Plug it into a bridge of the same topology.
    pub fn bridge(mut self, name: impl Into<String>) -> Self {
        self.message.target = Some(Target::Bridge(name.into()));
        self
    }

    /// Plug it onto a device of the node: `"eth1"` (by macvlan) or a [`Device`].
    pub fn device(mut self, device: impl Into<Device>) -> Self {
        self.message.target = Some(Target::Device(device.into().into()));
        self
    }

    /// Whether a frame may leave by the port it came in. Default: as the bridge says.
    pub fn hairpin(mut self, on: bool) -> Self {
        self.message.set_hairpin(toggle(on));
        self
    }

    /// Whether it is cut off from the other isolated ports. Default: as the bridge says.
    pub fn isolated(mut self, on: bool) -> Self {
        self.message.set_isolated(toggle(on));
        self
    }

    /// Whether frames to addresses that the bridge does not know come here too. Default: they do.
    pub fn flood(mut self, on: bool) -> Self {
        self.message.set_flood(toggle(on));
        self
    }

    /// Whether frames to groups come here too. Default: they do.
    pub fn multicast_flood(mut self, on: bool) -> Self {
        self.message.set_multicast_flood(toggle(on));
        self
    }

    /// One VLAN of a bridge that tells VLANs apart, 1 to 4094: its frames have no tag at the interface. Default: VLAN 1.
    pub fn access(mut self, vlan: u16) -> Self {
        self.message.vlan = Some(v1::PortVlan { access: vlan.into(), ..Default::default() });
        self
    }

    /// VLANs of a bridge that tells VLANs apart, whose frames have tags at the interface. Repeatable.
    pub fn trunk(mut self, vlans: std::ops::RangeInclusive<u16>) -> Self {
        let range = v1::VlanRange { first: (*vlans.start()).into(), last: (*vlans.end()).into() };
        self.message.vlan.get_or_insert_default().trunk.push(range);
        self
    }

    /// Besides those of a trunk the VLAN whose frames have no tag at the interface. Default: none.
    pub fn native(mut self, vlan: u16) -> Self {
        self.message.vlan.get_or_insert_default().native = vlan.into();
        self
    }

    /// Plug the cable (true) or pull it (false). Default: plugged.
    pub fn up(mut self, up: bool) -> Self {
        self.message.set_up(toggle(up));
        self
    }

    /// What happens to frames from the bridge to the interface.
    pub fn to_interface(mut self, impairment: Impairment) -> Self {
        self.message.to_interface = Some(impairment.into());
        self
    }

    fn with(mut self, change: impl FnOnce(Interface) -> Interface) -> Self {
        self.interface = change(self.interface);
        self
    }
}

impl From<Attachment> for v1::Attachment {
    fn from(Attachment { mut message, interface }: Attachment) -> Self {
        message.interface = Some(interface.into());
        message
    }
}

/// A device of the node: by macvlan, by a VLAN of it, or by a port of the bridge that it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    message: v1::NodeDevice,
    ipam: Option<Ipam>,
}

impl Device {
    /// By its name on the node. The agent must have been told to share it.
    pub fn macvlan(parent: impl Into<String>) -> Self {
        Self { message: v1::NodeDevice { parent: parent.into(), ..Default::default() }, ipam: None }
    }

    /// A VLAN of a device of the node, 1 to 4094, for one interface: frames have the tag on the device and none at the
    /// interface. The agent must have been told to share the device. Several interfaces on one VLAN: `Bridge::uplink_vlan`.
    pub fn vlan(parent: impl Into<String>, id: u16) -> Self {
        let message = v1::NodeDevice { parent: parent.into(), vlan: Some(id.into()), ..Default::default() };
        Self { message, ipam: None }
    }

    /// A port of a bridge that the node has. The agent must have been told to share that bridge.
    pub fn bridge_port(bridge: impl Into<String>) -> Self {
        let message = v1::NodeDevice { parent: bridge.into(), bridge_port: true, ..Default::default() };
        Self { message, ipam: None }
    }

    /// How macvlan interfaces of one parent see each other. Default: directly.
    pub fn mode(mut self, mode: v1::MacvlanMode) -> Self {
        self.message.set_mode(mode);
        self
    }

    /// Hand out addresses of this subnet: `"192.168.1.0/24"` or a [`Subnet`]. Their scope is the node.
    pub fn subnet(mut self, subnet: impl Into<Subnet>) -> Self {
        self.ipam = Some(self.ipam.unwrap_or_default().subnet(subnet));
        self
    }

    /// A route that each interface gets, by the gateway unless it says another next hop. Needs a subnet.
    pub fn route(mut self, route: impl Into<Route>) -> Self {
        self.ipam = Some(self.ipam.unwrap_or_default().route(route));
        self
    }

    /// Hand out addresses like this, in place of any subnet and route given before.
    pub fn ipam(mut self, ipam: Ipam) -> Self {
        self.ipam = Some(ipam);
        self
    }
}

impl From<&str> for Device {
    fn from(parent: &str) -> Self {
        Self::macvlan(parent)
    }
}

impl From<Device> for v1::NodeDevice {
    fn from(Device { mut message, ipam }: Device) -> Self {
        message.ipam = ipam.map(Into::into);
        message
    }
}
