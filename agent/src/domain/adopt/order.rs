//! The order in which the interfaces of a pod were made, so that they are made in it again.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use crate::domain::{
    if_name::IfName,
    intent::PodKey,
    observed::{Observed, PodView},
    order::natural,
    spec::{End, InterfaceId, InterfaceSpec},
};

use super::Draft;

/// Gives the lowest orders by which names in natural order come out as the indexes are.
pub(super) fn order(draft: &mut Draft, observed: &Observed) {
    let mut pods: BTreeMap<&PodKey, Vec<(u32, &IfName, &InterfaceId)>> = BTreeMap::new();
    for (id, assigned) in &draft.assigned {
        let Some(PodView::Present(pod)) = observed.pods.get(&assigned.nic.pod) else { continue };
        let Some(link) = pod.links.get(assigned.nic.name.as_str()) else { continue };
        pods.entry(&assigned.nic.pod).or_default().push((link.index, &assigned.nic.name, id));
    }
    let mut orders: HashMap<InterfaceId, u16> = HashMap::new();
    for nics in pods.values_mut() {
        nics.sort_unstable();
        let mut order: u16 = 0;
        let mut last: Option<&IfName> = None;
        for (_, name, id) in nics {
            if last.is_some_and(|last| natural(last.as_str(), name.as_str()) == Ordering::Greater) {
                order = order.saturating_add(1);
            }
            last = Some(*name);
            orders.insert((*id).clone(), order);
        }
    }
    let set = |interface: &mut InterfaceSpec, element, end| {
        interface.order = orders.get(&InterfaceId { element, end }).copied().unwrap_or_default();
    };
    for link in &mut draft.spec.links {
        set(&mut link.a, link.name.clone(), End::A);
        set(&mut link.b, link.name.clone(), End::B);
    }
    for attachment in &mut draft.spec.attachments {
        set(&mut attachment.interface, attachment.name.clone(), End::Only);
    }
}
