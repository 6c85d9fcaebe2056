//! MTUs: frames above the smaller one of a wire vanish without a word, so both ends must agree.

use std::collections::HashSet;

use ipnetwork::IpNetwork;

use crate::domain::{
    mtu::Mtu,
    spec::{InterfaceSpec, TopologySpec},
    violation::Violation,
};

use super::segment::{Plug, Segment};

/// RFC 8200, section 5; below it the kernel takes IPv6 from the device.
const IPV6_MINIMUM: u32 = 1280;

/// Ends of a wire that differ, and MTUs too small for IPv6.
pub(super) fn check(spec: &TopologySpec, plugs: &[Plug<'_>], found: &mut Vec<Violation>) {
    for (i, link) in spec.links.iter().enumerate() {
        if let (Some(a), Some(b)) = (link.a.mtu, link.b.mtu)
            && a != b
        {
            found.push(Violation::new(
                format!("links[{i}].b.mtu"),
                format!(
                    "`{b}` differs from `{a}` at the other end, `links[{i}].a`: give both ends the same, or only one"
                ),
            ));
        }
    }
    let mut told = HashSet::new();
    for plug in plugs {
        let wire = wire_mtu(spec, plug.segment);
        if let (Some(Segment::Bridge(b)), Some(own), Some(bridge)) = (plug.segment, plug.interface.mtu, wire)
            && own != bridge
        {
            found.push(Violation::new(
                format!("{}.mtu", plug.path),
                format!(
                    "`{own}` differs from `{bridge}` of bridge `{}`: set the bridge's `mtu`, and leave this one out",
                    spec.bridges[b].name
                ),
            ));
        }
        let small = plug.interface.mtu.or(wire).filter(|mtu| mtu.bytes() < IPV6_MINIMUM);
        if let Some((mtu, field)) = small.and_then(|mtu| Some((mtu, ipv6(plug)?)))
            && told.insert(field.clone())
        {
            found.push(Violation::new(
                field,
                format!(
                    "IPv6 needs an MTU of {IPV6_MINIMUM} or more (RFC 8200), here it is `{mtu}`: raise `mtu`, or use \
                     IPv4 only"
                ),
            ));
        }
    }
}

/// The MTU of an interface that gives none itself. `None`: the device's of the node, which is not known here.
pub(super) fn wire_mtu(spec: &TopologySpec, segment: Option<Segment<'_>>) -> Option<Mtu> {
    match segment? {
        Segment::Bridge(i) => Some(spec.bridges[i].mtu.unwrap_or_default()),
        Segment::Link(i) => Some(spec.links[i].a.mtu.or(spec.links[i].b.mtu).unwrap_or_default()),
        Segment::Device(_) | Segment::Vlan(..) => None,
    }
}

/// Where IPv6 is asked for on an interface whose MTU is too small for it: the MTU itself where it is the interface's
/// own, else the address or the subnet.
fn ipv6(plug: &Plug<'_>) -> Option<String> {
    let InterfaceSpec { addresses, mtu, .. } = plug.interface;
    let address = addresses.iter().position(IpNetwork::is_ipv6).map(|i| format!("{}.addresses[{i}]", plug.path));
    let subnet = || {
        let i = plug.ipam?.subnets.iter().position(|s| s.cidr.is_ipv6())?;
        Some(format!("{}.subnets[{i}].cidr", plug.ipam_path))
    };
    let field = address.or_else(subnet)?;
    Some(if mtu.is_some() { format!("{}.mtu", plug.path) } else { field })
}
