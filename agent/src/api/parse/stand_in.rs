//! What can be judged of a topology of which not everything parses.
//!
//! A request gets all its violations at once: also those between the elements that are sound by themselves.

use crate::domain::{
    impairment::Impairment,
    name::{ElementName, PodName, TopologyKey},
    spec::{
        AttachmentSpec, BridgeSpec, DeviceSpec, InterfaceSpec, LinkMode, LinkSpec, MacvlanMode, PodOwner, Target,
        TopologySpec,
    },
};

/// The spec with a harmless element in the place of each that does not parse, so that the others keep their indexes.
pub(super) fn judgeable(
    bridges: Vec<Option<BridgeSpec>>,
    links: Vec<Option<LinkSpec>>,
    attachments: Vec<Option<AttachmentSpec>>,
) -> Option<TopologySpec> {
    let mut spec = TopologySpec::empty(TopologyKey::default());
    for (i, bridge) in bridges.into_iter().enumerate() {
        spec.bridges.push(bridge.or_else(|| stand_in_bridge(i))?);
    }
    for (i, link) in links.into_iter().enumerate() {
        spec.links.push(link.or_else(|| stand_in_link(i))?);
    }
    for (i, attachment) in attachments.into_iter().enumerate() {
        spec.attachments.push(attachment.or_else(|| stand_in_attachment(i))?);
    }
    Some(spec)
}

/// A name that no caller uses.
fn name(kind: char, i: usize) -> Option<ElementName> {
    format!("{kind}{}{i}", "z".repeat(50)).parse().ok()
}

fn interface(kind: char, i: usize) -> Option<InterfaceSpec> {
    let pod: PodName = name(kind, i)?.as_str().parse().ok()?;
    Some(InterfaceSpec {
        owner: PodOwner::Pod(pod),
        uid: None,
        name: None,
        order: 0,
        mac: None,
        mtu: None,
        addresses: Vec::new(),
        routes: Vec::new(),
        tx_checksum: true,
    })
}

fn stand_in_bridge(i: usize) -> Option<BridgeSpec> {
    Some(BridgeSpec::named(name('b', i)?))
}

fn stand_in_link(i: usize) -> Option<LinkSpec> {
    Some(LinkSpec {
        name: name('l', i)?,
        a: interface('x', i)?,
        b: interface('y', i)?,
        mode: LinkMode::Stitched,
        up: true,
        ipam: None,
        a_to_b: Impairment::default(),
        b_to_a: Impairment::default(),
    })
}

fn stand_in_attachment(i: usize) -> Option<AttachmentSpec> {
    let device = DeviceSpec { parent: "stand-in".parse().ok()?, mode: MacvlanMode::Bridge, ipam: None };
    Some(AttachmentSpec {
        name: name('a', i)?,
        interface: interface('w', i)?,
        target: Target::Device(device),
        hairpin: None,
        isolated: None,
        vlan: None,
        up: true,
        flood: None,
        mcast_flood: None,
        to_interface: Impairment::default(),
    })
}
