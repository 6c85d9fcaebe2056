//! A wire between two interfaces.

use crate::{
    impairment::Impairment,
    interface::{Interface, toggle},
    ipam::{Ipam, Subnet},
    v1::{self, link::FarEnd},
};

/// A wire between exactly two interfaces.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    message: v1::Link,
    ipam: Option<Ipam>,
    mtu: u32,
}

impl Link {
    /// By its name within the topology. It needs its two ends: [`between`](Self::between).
    pub fn new(name: impl Into<String>) -> Self {
        Self { message: v1::Link { name: name.into(), ..Default::default() }, ipam: None, mtu: 0 }
    }

    /// Its two ends.
    pub fn between(mut self, a: Interface, b: Interface) -> Self {
        self.message.a = Some(a.into());
        self.message.far_end = Some(FarEnd::B(b.into()));
        self
    }

    /// One veth pair from pod to pod: cheapest, but its ends live and die together and nothing can be done to the wire.
    pub fn direct(mut self) -> Self {
        self.message.set_mode(v1::LinkMode::Direct);
        self
    }

    /// Both ends stitched together on the node, so that a pod keeps its NIC while its neighbour restarts: the default.
    pub fn stitched(mut self) -> Self {
        self.message.set_mode(v1::LinkMode::Stitched);
        self
    }

    /// MTU in bytes of both ends, 68 to 65535, unless an end says its own. Default 1500.
    pub fn mtu(mut self, bytes: u16) -> Self {
        self.mtu = bytes.into();
        self
    }

    /// Plug the cable (true) or pull it (false). Default: plugged.
    pub fn up(mut self, up: bool) -> Self {
        self.message.set_up(toggle(up));
        self
    }

    /// What happens to frames from the first end to the second.
    pub fn a_to_b(mut self, impairment: Impairment) -> Self {
        self.message.a_to_b = Some(impairment.into());
        self
    }

    /// What happens to frames from the second end to the first.
    pub fn b_to_a(mut self, impairment: Impairment) -> Self {
        self.message.b_to_a = Some(impairment.into());
        self
    }

    /// What happens to frames of both directions.
    pub fn impaired(self, impairment: Impairment) -> Self {
        self.a_to_b(impairment.clone()).b_to_a(impairment)
    }

    /// Hand out addresses of this subnet to both ends: `"10.0.0.0/30"` or a [`Subnet`].
    pub fn subnet(mut self, subnet: impl Into<Subnet>) -> Self {
        self.ipam = Some(self.ipam.unwrap_or_default().subnet(subnet));
        self
    }

    /// Hand out addresses like this, in place of any subnet given before.
    pub fn ipam(mut self, ipam: Ipam) -> Self {
        self.ipam = Some(ipam);
        self
    }
}

impl From<Link> for v1::Link {
    fn from(Link { mut message, ipam, mtu }: Link) -> Self {
        message.ipam = ipam.map(Into::into);
        let far_end = message.far_end.as_mut().map(|FarEnd::B(b)| b);
        for end in message.a.iter_mut().chain(far_end).filter(|end| end.mtu == 0) {
            end.mtu = mtu;
        }
        message
    }
}
