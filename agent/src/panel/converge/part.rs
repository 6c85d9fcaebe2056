//! A converge of a part of a topology: it opens, looks at and works on nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    domain::{
        desired::{Desired, desired},
        device::{bridge_device_name, port_device_name},
        intent::{Intent, PodKey},
        name::TopologyKey,
        observed::{PodView, SandboxId},
        part::Part,
        plan::Plan,
        step::Step,
    },
    kernel::PanelPart,
    panel::{glance::Spots, ledger::Known},
};

use super::{Converge, Means};

/// What a converge has that looks at a part of a topology.
pub(super) struct Partial {
    pub(super) part: Part,
    /// All that is desired.
    pub(super) whole: Arc<Desired>,
    pub(super) sandboxes: BTreeMap<PodKey, SandboxId>,
    /// The devices that were looked at.
    pub(super) spots: Spots,
}

/// The part of a topology that a converge looked at.
#[derive(Debug)]
pub(in crate::panel) struct Looked {
    /// What was there of it.
    pub former: Desired,
    /// What it shall be.
    pub desired: Arc<Desired>,
    /// Its devices, those too that went.
    pub spots: Spots,
}

impl Converge {
    /// The same of a part of a topology that is `known` otherwise: from what is known to `wanted`. Without `wanted`, what is known is
    /// still wanted. `None`: it has to be looked at as a whole.
    pub(in crate::panel) fn prepare_part(
        key: &TopologyKey,
        wanted: Option<&Intent>,
        heard: Option<&Part>,
        known: Known,
        means: &Means<'_>,
    ) -> Option<Self> {
        let Known { desired: before, sandboxes, highest } = known;
        let whole = wanted.map_or_else(|| Arc::clone(&before), |wanted| Arc::new(desired(wanted)));
        let part = match heard {
            Some(heard) => Part::of(&heard.nics, &heard.bridges, &whole),
            None => Part::between(&before, &whole),
        };
        let part = part?;
        let (target, former) = (part.within(&whole), part.within(&before));
        let partial = Partial { part, whole, sandboxes, spots: Spots::new() };
        let converge = Self::open(key, Arc::new(target), Some(former), Some((partial, highest)), means);
        // What cannot be looked at in part is looked at as a whole, and says so then.
        converge.ok().filter(Self::explains_itself)
    }

    /// Whether all that a look at a part saw and would do is of that part: its pods are there as they were, and nothing is in the way.
    pub(super) fn explains_itself(&self) -> bool {
        let Some(Partial { part, sandboxes, .. }) = &self.part else { return true };
        let Plan { steps, pending, trouble, .. } = &self.plan;
        let as_before = |(key, view): (&PodKey, &PodView)| match view {
            PodView::Present(pod) => sandboxes.get(key).is_none_or(|before| *before == pod.sandbox),
            PodView::Absent(_) | PodView::Refused(_) => false,
        };
        let panel = self.observed.panel.as_ref().is_some_and(|panel| panel.strangers.is_empty());
        let of_part = |step: &Step| step.nic().is_some_and(|nic| part.nics.contains(nic));
        let clear = pending.is_empty() && trouble.is_empty() && steps.iter().all(of_part);
        self.pods_known && panel && clear && self.observed.pods.iter().all(as_before)
    }

    /// Whether only a part of the topology was looked at.
    pub(in crate::panel) fn is_partial(&self) -> bool {
        self.part.is_some()
    }
}

/// The devices of a panel that are or were those of a part.
pub(super) fn panel_part(target: &Desired, former: Option<&Desired>, highest: u32) -> PanelPart {
    let mut devices = BTreeSet::new();
    for desired in [Some(target), former].into_iter().flatten() {
        devices.extend(desired.nics.iter().map(|nic| port_device_name(&nic.key)));
        devices.extend(desired.bridges.iter().map(|bridge| bridge_device_name(&bridge.name)));
    }
    PanelPart { devices, highest }
}
