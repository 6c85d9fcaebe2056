//! Wires that carry IPv6 although somebody made a port or a bridge too small for it.

use ipnetwork::IpNetwork;

use crate::domain::{
    mtu::Mtu,
    spec::{InterfaceSpec, Target, TopologySpec},
};

/// What IPv6 needs (RFC 8200).
const MINIMUM: u32 = 1280;

/// Gives wires with IPv6 the MTU that it needs: the interfaces have their addresses still, and `check` would refuse every
/// later change.
pub(super) fn fit(spec: &mut TopologySpec) {
    let too_small = |mtu: Option<Mtu>| mtu.is_some_and(|mtu| mtu.bytes() < MINIMUM);
    let minimum = Mtu::try_from(MINIMUM).ok();
    for link in &mut spec.links {
        if too_small(link.a.mtu) && (has_ipv6(&link.a) || has_ipv6(&link.b)) {
            (link.a.mtu, link.b.mtu) = (minimum, minimum);
        }
    }
    for plug in spec.attachments.iter_mut().filter(|plug| plug.target.uplink().is_some()) {
        if too_small(plug.interface.mtu) && has_ipv6(&plug.interface) {
            plug.interface.mtu = minimum;
        }
    }
    for bridge in spec.bridges.iter_mut().filter(|bridge| too_small(bridge.mtu)) {
        let on_it = |target: &Target| matches!(target, Target::Bridge(name) if *name == bridge.name);
        let mut plugs = spec.attachments.iter().filter(|plug| on_it(&plug.target));
        if plugs.any(|plug| has_ipv6(&plug.interface)) {
            bridge.mtu = minimum;
        }
    }
}

fn has_ipv6(interface: &InterfaceSpec) -> bool {
    interface.addresses.iter().chain(interface.routes.iter().map(|route| &route.destination)).any(IpNetwork::is_ipv6)
}
