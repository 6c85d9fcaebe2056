//! Names of elements, and what elements of a kind cannot do.

use std::collections::{HashMap, hash_map::Entry};

use crate::domain::{
    bridge::L2Profile,
    name::ElementName,
    spec::{DeviceSpec, LinkMode, Target, TopologySpec, UplinkTarget},
    uplink::UplinkSpec,
    violation::Violation,
};

use super::segment::bridges_by_name;

/// Names given twice, bridges that are not there, switches that the element does not have.
pub(super) fn check(spec: &TopologySpec, found: &mut Vec<Violation>) {
    names(spec, found);
    let bridges = bridges_by_name(spec);
    for (i, attachment) in spec.attachments.iter().enumerate() {
        let path = format!("attachments[{i}]");
        match &attachment.target {
            Target::Bridge(name) if !bridges.contains_key(name) => found.push(Violation::new(
                format!("{path}.bridge"),
                format!("there is no bridge `{name}` in the request: add it to `bridges`, or name one that is there"),
            )),
            Target::Bridge(name) => {
                let bridge = bridges.get(name).and_then(|at| spec.bridges.get(*at));
                if attachment.vlan.is_some() && bridge.is_some_and(|bridge| !bridge.vlan_aware) {
                    found.push(Violation::new(
                        format!("{path}.vlan"),
                        format!("bridge `{name}` does not tell VLANs apart: set its `vlan_aware`, or leave it out"),
                    ));
                }
            }
            Target::Device(DeviceSpec { parent, .. })
            | Target::Uplink(UplinkTarget { uplink: UplinkSpec { parent, .. }, .. }) => {
                for (switch, given) in [
                    ("vlan", attachment.vlan.is_some()),
                    ("hairpin", attachment.hairpin.is_some()),
                    ("isolated", attachment.isolated.is_some()),
                    ("flood", attachment.flood.is_some()),
                    ("multicast_flood", attachment.mcast_flood.is_some()),
                ] {
                    if given {
                        found.push(Violation::new(
                            format!("{path}.{switch}"),
                            format!(
                                "device `{parent}` is not a bridge and has no `{switch}`: leave it out, or set the \
                                 device's `mode`"
                            ),
                        ));
                    }
                }
                if !attachment.up && matches!(attachment.target, Target::Device(_)) {
                    found.push(Violation::new(
                        format!("{path}.up"),
                        format!("there is no cable to device `{parent}` that could be pulled: detach it instead"),
                    ));
                }
            }
        }
    }
    for (i, bridge) in spec.bridges.iter().enumerate() {
        if bridge.l2_profile == L2Profile::Hub && bridge.ageing.is_some() {
            found.push(Violation::new(
                format!("bridges[{i}].ageing"),
                "a bridge of L2_PROFILE_HUB learns nothing that it could forget: leave it out",
            ));
        }
    }
    let of_links = spec.links.iter().enumerate().filter(|(_, link)| link.mode == LinkMode::Direct);
    let of_links = of_links.flat_map(|(i, it)| [(format!("links[{i}].a"), &it.a), (format!("links[{i}].b"), &it.b)]);
    let on_devices = spec.attachments.iter().enumerate().filter(|(_, it)| matches!(it.target, Target::Device(_)));
    let on_devices = on_devices.map(|(i, it)| (format!("attachments[{i}].interface"), &it.interface));
    for (path, _) in of_links.chain(on_devices).filter(|(_, interface)| !interface.tx_checksum) {
        found.push(Violation::new(
            format!("{path}.tx_checksum"),
            "there is no port towards it that could finish checksums: make the link LINK_MODE_STITCHED, or plug it into \
             a bridge",
        ));
    }
    for (i, link) in spec.links.iter().enumerate() {
        if link.mode == LinkMode::Direct && !link.up {
            found.push(Violation::new(
                format!("links[{i}].up"),
                format!(
                    "`{}` is LINK_MODE_DIRECT and has no cable that could be pulled: make it LINK_MODE_STITCHED, or \
                     delete it",
                    link.name
                ),
            ));
        }
    }
}

/// Names are unique over all kinds: interfaces are told apart by the name of their element.
fn names(spec: &TopologySpec, found: &mut Vec<Violation>) {
    let bridges = spec.bridges.iter().enumerate().map(|(i, e)| (&e.name, "bridges", i));
    let links = spec.links.iter().enumerate().map(|(i, e)| (&e.name, "links", i));
    let attachments = spec.attachments.iter().enumerate().map(|(i, e)| (&e.name, "attachments", i));
    let mut first: HashMap<&ElementName, (&str, usize)> = HashMap::with_capacity(spec.elements());
    for (name, kind, i) in bridges.chain(links).chain(attachments) {
        match first.entry(name) {
            Entry::Vacant(entry) => {
                entry.insert((kind, i));
            }
            Entry::Occupied(entry) => {
                let (other, at) = entry.get();
                found.push(Violation::new(
                    format!("{kind}[{i}].name"),
                    format!("`{name}` is the name of `{other}[{at}]` already: choose another name"),
                ));
            }
        }
    }
}
