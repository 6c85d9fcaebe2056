//! A LAN segment.

use crate::{
    ipam::{Ipam, Subnet},
    route::Route,
    v1,
};

/// A LAN segment with any number of interfaces, up to 1023.
#[derive(Clone, Debug, PartialEq)]
pub struct Bridge {
    message: v1::Bridge,
    ipam: Option<Ipam>,
}

impl Bridge {
    /// By its name within the topology.
    pub fn new(name: impl Into<String>) -> Self {
        Self { message: v1::Bridge { name: name.into(), ..Default::default() }, ipam: None }
    }

    /// Hand out addresses of this subnet: `"10.0.0.0/24"` or a [`Subnet`]. Repeatable, one for each family.
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

    /// MTU in bytes of all its interfaces, 68 to 65535. Default 1500.
    pub fn mtu(mut self, bytes: u16) -> Self {
        self.message.mtu = bytes.into();
        self
    }

    /// MAC address of the bridge device. Default: derived from its names.
    pub fn mac(mut self, mac: impl Into<String>) -> Self {
        self.message.mac = mac.into();
        self
    }

    /// What it does with frames. Default: transparent.
    pub fn l2_profile(mut self, profile: v1::L2Profile) -> Self {
        self.message.set_l2_profile(profile);
        self
    }

    /// Take part in spanning tree.
    pub fn stp(mut self) -> Self {
        self.message.stp = true;
        self
    }

    /// Send frames to groups only where they were asked for.
    pub fn multicast_snooping(mut self) -> Self {
        self.message.multicast_snooping = true;
        self
    }

    /// Seconds that an address is remembered. Default 300.
    pub fn ageing(mut self, seconds: u32) -> Self {
        self.message.ageing = std::time::Duration::from_secs(seconds.into()).try_into().ok();
        self
    }

    /// Tell VLANs apart: see `access`, `trunk` and `native` of attachments.
    pub fn vlan_aware(mut self) -> Self {
        self.message.vlan_aware = true;
        self
    }

    /// Reach the node's network by a VLAN of a device of the node, 1 to 4094. The agent must have been told to share the device.
    pub fn uplink_vlan(mut self, parent: impl Into<String>, id: u16) -> Self {
        self.message.uplink = Some(v1::Uplink { parent: parent.into(), vlan: Some(id.into()), bridge_port: false });
        self
    }

    /// Reach the node's network by a port of a bridge that the node has. The agent must have been told to share that bridge.
    pub fn uplink_bridge_port(mut self, bridge: impl Into<String>) -> Self {
        self.message.uplink = Some(v1::Uplink { parent: bridge.into(), vlan: None, bridge_port: true });
        self
    }

    /// A frame may leave by the port it came in, unless an attachment says otherwise.
    pub fn hairpin(mut self) -> Self {
        self.message.hairpin = true;
        self
    }

    /// Its interfaces do not reach each other, unless an attachment says otherwise.
    pub fn isolated(mut self) -> Self {
        self.message.isolated = true;
        self
    }
}

impl From<Bridge> for v1::Bridge {
    fn from(Bridge { mut message, ipam }: Bridge) -> Self {
        message.ipam = ipam.map(Into::into);
        message
    }
}
