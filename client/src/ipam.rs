//! How addresses are handed out.

use crate::{route::Route, v1};

/// How addresses are handed out: each interface gets the lowest free one of each subnet, and keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ipam(v1::Ipam);

impl Ipam {
    /// Without a subnet yet: it needs one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Another subnet, IPv4 or IPv6: `"10.0.0.0/24"` or a [`Subnet`].
    pub fn subnet(mut self, subnet: impl Into<Subnet>) -> Self {
        self.0.subnets.push(subnet.into().0);
        self
    }

    /// A route that each interface gets, by the gateway of its family unless it says another next hop.
    pub fn route(mut self, route: impl Into<Route>) -> Self {
        self.0.routes.push(route.into().into());
        self
    }
}

impl From<Ipam> for v1::Ipam {
    fn from(ipam: Ipam) -> Self {
        ipam.0
    }
}

impl From<v1::Ipam> for Ipam {
    fn from(ipam: v1::Ipam) -> Self {
        Self(ipam)
    }
}

/// A subnet that addresses come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Subnet(v1::Subnet);

impl Subnet {
    /// In CIDR, without host bits: `10.0.0.0/24`.
    pub fn new(cidr: impl Into<String>) -> Self {
        Self(v1::Subnet { cidr: cidr.into(), ..Default::default() })
    }

    /// Take addresses from `start` to `end`, both included. Repeatable; without any, from the whole subnet.
    pub fn range(mut self, start: impl Into<String>, end: impl Into<String>) -> Self {
        self.0.ranges.push(v1::AddressRange { start: start.into(), end: end.into() });
        self
    }

    /// The gateway's address, never handed out. Default: the first of the subnet.
    pub fn gateway(mut self, address: impl Into<String>) -> Self {
        self.0.gateway = address.into();
        self
    }

    /// An address or CIDR that is never handed out. Repeatable.
    pub fn exclude(mut self, address: impl Into<String>) -> Self {
        self.0.exclude.push(address.into());
        self
    }
}

impl From<&str> for Subnet {
    fn from(cidr: &str) -> Self {
        Self::new(cidr)
    }
}

impl From<String> for Subnet {
    fn from(cidr: String) -> Self {
        Self::new(cidr)
    }
}

impl From<Subnet> for v1::Subnet {
    fn from(subnet: Subnet) -> Self {
        subnet.0
    }
}
