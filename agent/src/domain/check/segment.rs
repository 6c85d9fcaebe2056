//! What each interface of a spec is plugged into, found once for all of them.

use std::collections::HashMap;

use crate::domain::{
    if_name::IfName,
    name::ElementName,
    spec::{InterfaceId, InterfaceSpec, IpamSpec, Target, TopologySpec},
    uplink::{VlanId, Way},
};

/// What interfaces share frames on, and so the scope in which addresses and MACs are unique. By position: names may be
/// given twice by mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::domain) enum Segment<'a> {
    /// `links[i]`.
    Link(usize),
    /// `bridges[i]`.
    Bridge(usize),
    /// A device of the node; other topologies may use it too.
    Device(&'a IfName),
    /// A VLAN of a device of the node: the topology's own.
    Vlan(&'a IfName, VlanId),
}

/// An interface of a spec and what it is plugged into.
#[derive(Debug, Clone)]
pub(in crate::domain) struct Plug<'a> {
    /// Its id.
    pub(in crate::domain) id: InterfaceId,
    /// It.
    pub(in crate::domain) interface: &'a InterfaceSpec,
    /// Field path of it.
    pub(in crate::domain) path: String,
    /// `None`: a bridge that is not in the spec.
    pub(in crate::domain) segment: Option<Segment<'a>>,
    /// What gives it addresses.
    pub(in crate::domain) ipam: Option<&'a IpamSpec>,
    /// Field path of that.
    pub(in crate::domain) ipam_path: String,
}

/// Every interface in the order of `TopologySpec::interfaces`: links first.
pub(in crate::domain) fn plugs(spec: &TopologySpec) -> Vec<Plug<'_>> {
    let bridges = bridges_by_name(spec);
    let of_links = spec.links.iter().enumerate().flat_map(|(i, link)| {
        let place = (Some(Segment::Link(i)), link.ipam.as_ref(), format!("links[{i}].ipam"));
        [place.clone(), place]
    });
    let of_attachments = spec.attachments.iter().enumerate().map(|(i, attachment)| match &attachment.target {
        Target::Device(device) => {
            (Some(Segment::Device(&device.parent)), device.ipam.as_ref(), format!("attachments[{i}].device.ipam"))
        }
        Target::Uplink(target) => {
            let parent = &target.uplink.parent;
            let segment = match target.uplink.way {
                Way::Vlan(vlan) => Segment::Vlan(parent, vlan),
                Way::BridgePort => Segment::Device(parent),
            };
            (Some(segment), target.ipam.as_ref(), format!("attachments[{i}].device.ipam"))
        }
        Target::Bridge(name) => match bridges.get(name) {
            Some(b) => (Some(Segment::Bridge(*b)), spec.bridges[*b].ipam.as_ref(), format!("bridges[{b}].ipam")),
            None => (None, None, String::new()),
        },
    });
    let places = of_links.chain(of_attachments);
    spec.interfaces()
        .zip(places)
        .map(|((id, interface, path), (segment, ipam, ipam_path))| Plug {
            id,
            interface,
            path,
            segment,
            ipam,
            ipam_path,
        })
        .collect()
}

/// Position of each bridge; of two of one name the first.
pub(in crate::domain) fn bridges_by_name(spec: &TopologySpec) -> HashMap<&ElementName, usize> {
    let mut bridges = HashMap::with_capacity(spec.bridges.len());
    for (i, bridge) in spec.bridges.iter().enumerate() {
        bridges.entry(&bridge.name).or_insert(i);
    }
    bridges
}
