//! A part of a topology that can be looked at and worked on without the rest: what a change or a rumour concerns.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    desired::{Desired, Nic, Wire},
    intent::{NicKey, PodKey},
    name::ElementName,
};

/// A topology with fewer NICs is looked at as a whole: that costs little, and sees everything.
const SMALL: usize = 32;

/// So many times smaller than the topology is a part that is worth it.
const WORTH: usize = 4;

/// NICs, all with the NICs at the other ends of their wires, and bridges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// The NICs.
    pub nics: BTreeSet<NicKey>,
    /// Bridges beside those that the NICs are on.
    pub bridges: BTreeSet<ElementName>,
}

impl Part {
    /// What two states of a topology differ in, with the NICs at the other ends. `None`: what is in it cannot be judged without
    /// the rest, or it is most of the topology.
    pub fn between(before: &Desired, after: &Desired) -> Option<Self> {
        Self::difference(before, after)?.if_worth(before.nics.len().max(after.nics.len()))
    }

    /// The same, however much it is.
    pub(super) fn difference(before: &Desired, after: &Desired) -> Option<Self> {
        if before.bridges != after.bridges || before.uplinks != after.uplinks {
            return None;
        }
        let old: BTreeMap<&NicKey, &Nic> = before.nics.iter().map(|nic| (&nic.key, nic)).collect();
        let mut new: BTreeMap<&NicKey, &Nic> = after.nics.iter().map(|nic| (&nic.key, nic)).collect();
        let mut differ: BTreeMap<&NicKey, (Option<&Nic>, Option<&Nic>)> = BTreeMap::new();
        for (key, was) in old {
            let is = new.remove(key);
            if is != Some(was) {
                differ.insert(key, (Some(was), is));
            }
        }
        differ.extend(new.into_iter().map(|(key, is)| (key, (None, Some(is)))));
        let inside = differ.values().filter(|(was, is)| !is_same_inside(*was, *is));
        let inside: BTreeSet<&PodKey> =
            inside.flat_map(|(was, is)| was.iter().chain(is)).map(|nic| &nic.key.pod).collect();
        let nics = differ.into_keys().cloned().collect();
        Self { nics, bridges: BTreeSet::new() }.closed([before, after], &inside)
    }

    /// These things of a topology as it shall be, with the NICs at the other ends. `None`: as for `between`, or one of them is none of
    /// its.
    pub fn of(nics: &BTreeSet<NicKey>, bridges: &BTreeSet<ElementName>, desired: &Desired) -> Option<Self> {
        let known = nics.iter().all(|nic| desired.nic(nic).is_some())
            && bridges.iter().all(|name| desired.bridges.iter().any(|bridge| bridge.name == *name));
        let part = Self { nics: nics.clone(), bridges: bridges.clone() };
        known.then(|| part.closed([desired, desired], &BTreeSet::new())).flatten()?.if_worth(desired.nics.len())
    }

    /// With the far ends, if it is a part by itself. `inside`: pods in which more changes than wires.
    fn closed(mut self, states: [&Desired; 2], inside: &BTreeSet<&PodKey>) -> Option<Self> {
        let nic = |key: &NicKey| states.into_iter().filter_map(|state| state.nic(key)).collect::<Vec<_>>();
        let mut far = BTreeSet::new();
        for nic in self.nics.iter().flat_map(nic) {
            match &nic.wire {
                Wire::Stitch { far: other, .. } | Wire::Direct { far: other } => {
                    far.insert(other.clone());
                }
                // Its port lies in the node's namespace, and so does what else is on it.
                Wire::Uplink { .. } => return None,
                Wire::Bridge { .. } | Wire::Device { .. } => {}
            }
        }
        self.nics.extend(far);
        // A pod has a route once: who has it depends on all NICs of the pod.
        let routed =
            |nic: &Nic| inside.contains(&nic.key.pod) && !nic.routes.is_empty() && !self.nics.contains(&nic.key);
        let alone = inside.is_empty() || !states.into_iter().flat_map(|state| &state.nics).any(routed);
        alone.then_some(self)
    }

    /// Whether a topology is so large that a part of it may be looked at by itself.
    pub fn is_large(desired: &Desired) -> bool {
        desired.nics.len() > SMALL
    }

    /// Where the topology has so many NICs.
    fn if_worth(self, all: usize) -> Option<Self> {
        // What differs in nothing is looked at as a whole: who repeats a change wants to know.
        let some = !self.nics.is_empty() || !self.bridges.is_empty();
        (some && all > SMALL && self.nics.len() * WORTH <= all).then_some(self)
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.nics.extend(other.nics);
        self.bridges.extend(other.bridges);
        self
    }

    /// What a state of the topology says of the part.
    pub fn within(&self, desired: &Desired) -> Desired {
        let nics: Vec<Nic> = desired.nics.iter().filter(|nic| self.nics.contains(&nic.key)).cloned().collect();
        let on: BTreeSet<&ElementName> = nics.iter().filter_map(|nic| nic.wire.bridge()).chain(&self.bridges).collect();
        let bridges = desired.bridges.iter().filter(|bridge| on.contains(&bridge.name)).cloned().collect();
        Desired { bridges, nics, ..Desired::nothing(desired.key.clone()) }
    }
}

/// Whether two states of a NIC differ in nothing that its pod has: only in its wire and what is at its port.
fn is_same_inside(was: Option<&Nic>, is: Option<&Nic>) -> bool {
    let (Some(was), Some(is)) = (was, is) else { return false };
    was.id == is.id
        && was.mac == is.mac
        && was.mtu == is.mtu
        && was.addresses == is.addresses
        && was.routes == is.routes
        && was.wire.has_port()
        && is.wire.has_port()
}
