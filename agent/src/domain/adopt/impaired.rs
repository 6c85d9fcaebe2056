//! Impairments from the queues of ports. Last of all: what follows from a rate depends on the MTU.

use std::collections::BTreeMap;

use crate::domain::{
    check::segment::plugs,
    desired::mtu_of,
    impairment::{Impairment, Netem, Rate},
    intent::NicKey,
    mtu::Mtu,
    queue::Egress,
    spec::{End, InterfaceId},
};

use super::Draft;

/// Gives links and attachments the impairments that make the queues which are there.
pub(super) fn impair(draft: &mut Draft, egress: &BTreeMap<NicKey, Egress>) {
    let towards: BTreeMap<InterfaceId, Impairment> = plugs(&draft.spec)
        .into_iter()
        .filter_map(|plug| {
            let egress = egress.get(&draft.assigned.get(&plug.id)?.nic)?;
            let impairment = impairment(*egress, mtu_of(&draft.spec, &plug).unwrap_or_default());
            Some((plug.id, impairment))
        })
        .collect();
    let of = |element, end| towards.get(&InterfaceId { element, end }).copied().unwrap_or_default();
    for link in &mut draft.spec.links {
        link.a_to_b = of(link.name.clone(), End::B);
        link.b_to_a = of(link.name.clone(), End::A);
    }
    for attachment in &mut draft.spec.attachments {
        attachment.to_interface = of(attachment.name.clone(), End::Only);
    }
}

/// What makes a queue. Of one that somebody changed to what nobody can ask for, that part is left out.
fn impairment(egress: Egress, mtu: Mtu) -> Impairment {
    let Egress::Queue { netem, bucket } = egress else { return Impairment::default() };
    let rate = bucket.map(|bucket| bucket.asked(mtu)).filter(Rate::is_sound);
    Impairment { netem: netem.filter(Netem::is_sound), rate }
}
