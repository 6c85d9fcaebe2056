//! A route inside a pod.

use crate::v1;

/// A route inside a pod.
#[derive(Clone, Debug, PartialEq)]
pub struct Route(v1::Route);

impl Route {
    /// To a destination in CIDR, without host bits: `10.2.0.0/16`. Directly on the link, or in IPAM by the gateway,
    /// unless `.via()`.
    pub fn to(destination: impl Into<String>) -> Self {
        Self(v1::Route { destination: destination.into(), ..Default::default() })
    }

    /// The IPv4 default route.
    pub fn default_v4() -> Self {
        Self::to("0.0.0.0/0")
    }

    /// The IPv6 default route.
    pub fn default_v6() -> Self {
        Self::to("::/0")
    }

    /// Next hop, of the destination's family.
    pub fn via(mut self, next_hop: impl Into<String>) -> Self {
        self.0.via = next_hop.into();
        self
    }

    /// Metric, lower is preferred. 0: the kernel's default.
    pub fn metric(mut self, metric: u32) -> Self {
        self.0.metric = metric;
        self
    }

    /// Leave it out where another device of the pod already has one of the same destination and metric.
    pub fn unless_present(mut self) -> Self {
        self.0.unless_present = true;
        self
    }
}

impl From<&str> for Route {
    fn from(destination: &str) -> Self {
        Self::to(destination)
    }
}

impl From<Route> for v1::Route {
    fn from(route: Route) -> Self {
        route.0
    }
}
