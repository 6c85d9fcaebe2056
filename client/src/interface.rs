//! One NIC inside a pod.

use crate::{
    route::Route,
    v1::{self, interface::Owner},
};

/// One NIC inside a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface(v1::Interface);

impl Interface {
    /// In a pod of the topology's own namespace.
    pub fn pod(name: impl Into<String>) -> Self {
        Self(v1::Interface { owner: Some(Owner::Pod(name.into())), ..Default::default() })
    }

    /// In a network namespace: a name, or `/proc/<pid>/ns/net`, where the agent allows it.
    pub fn netns(name: impl Into<String>) -> Self {
        Self(v1::Interface { owner: Some(Owner::Netns(name.into())), ..Default::default() })
    }

    /// Plug this incarnation of the pod and no other.
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.0.uid = uid.into();
        self
    }

    /// Name inside the pod, 1 to 15 bytes. Default: the lowest free `net1`, `net2`, …
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.0.name = name.into();
        self
    }

    /// Place among the interfaces of its pod, ascending; 0 to 65535.
    pub fn order(mut self, order: u16) -> Self {
        self.0.order = order.into();
        self
    }

    /// MAC address: `02:00:00:00:00:01`. Default: derived, and the same after a restart of the pod.
    pub fn mac(mut self, mac: impl Into<String>) -> Self {
        self.0.mac = mac.into();
        self
    }

    /// MTU in bytes, 68 to 65535. Default: that of the bridge or of the other end, else 1500.
    pub fn mtu(mut self, bytes: u16) -> Self {
        self.0.mtu = bytes.into();
        self
    }

    /// A static address in CIDR: `10.1.0.1/30`. Repeatable.
    pub fn address(mut self, cidr: impl Into<String>) -> Self {
        self.0.addresses.push(cidr.into());
        self
    }

    /// Several static addresses in CIDR.
    pub fn addresses<A: Into<String>>(mut self, cidrs: impl IntoIterator<Item = A>) -> Self {
        self.0.addresses.extend(cidrs.into_iter().map(Into::into));
        self
    }

    /// A route through this interface: `"10.2.0.0/16"` or a [`Route`]. Repeatable.
    pub fn route(mut self, route: impl Into<Route>) -> Self {
        self.0.routes.push(route.into().into());
        self
    }

    /// Whether TCP and UDP checksums of frames to it may be left unfinished. Default: they may.
    pub fn tx_checksum(mut self, on: bool) -> Self {
        self.0.set_tx_checksum(toggle(on));
        self
    }

    pub(crate) fn set_owner(&mut self, owner: Owner) {
        self.0.owner = Some(owner);
    }
}

/// A switch that was decided.
pub(crate) fn toggle(on: bool) -> v1::Toggle {
    if on { v1::Toggle::On } else { v1::Toggle::Off }
}

impl From<Interface> for v1::Interface {
    fn from(interface: Interface) -> Self {
        interface.0
    }
}

impl From<v1::Interface> for Interface {
    fn from(interface: v1::Interface) -> Self {
        Self(interface)
    }
}
