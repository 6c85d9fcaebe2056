//! `plan = diff(desired, observed)`: the only place that decides what a converge does.
//!
//! Additions come first and removals last, so that a step that fails undoes only additions. The exception is a NIC
//! that has to be made anew under a name that is still taken by what it was.

mod address;
mod birth;
mod fate;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod inside;
#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::unwrap_used, reason = "it is a part of the tests")]
#[cfg_attr(not(test), allow(dead_code))]
mod model;
mod removal;
mod route;
#[cfg(test)]
mod tests;
mod uplinks;
mod wires;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    desired::{Desired, Nic},
    device::bridge_device_name,
    intent::{NicKey, PodKey},
    observed::{LinkKind, Observed, PodLink, PodState, PodView, Refusal},
    spec::{InterfaceId, RouteSpec},
    step::Step,
};
use fate::{Fate, Fates};
pub(super) use route::connected;

/// What a converge does, and what it cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// Interfaces that wait, with the reason.
    pub pending: BTreeMap<InterfaceId, String>,
    /// Interfaces that cannot be plugged as things are.
    pub trouble: BTreeMap<InterfaceId, Trouble>,
    /// Routes that the pod has on another device and that may be left out.
    pub skipped_routes: BTreeMap<InterfaceId, Vec<RouteSpec>>,
}

/// Why an interface cannot be plugged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Its pod is there but not to be plugged.
    Refused(Refusal),
    /// Something in its pod that is not ours is in the way.
    InTheWay {
        /// A stable word: `FOREIGN_INTERFACE`, `FOREIGN_ROUTE`.
        reason: &'static str,
        /// What it is and what to do.
        message: String,
    },
    /// The node has no such device.
    NoDevice {
        /// Its name.
        parent: String,
    },
}

impl Trouble {
    /// For a person.
    pub fn message(&self) -> String {
        match self {
            Self::Refused(refusal) => refusal.message.clone(),
            Self::InTheWay { message, .. } => message.clone(),
            Self::NoDevice { parent } => format!("the node has no device `{parent}`"),
        }
    }
}

/// Plans a converge. `former` is what was desired before, of which nothing shall stay that `desired` has not;
/// interfaces in `skip` are left as they are.
pub fn plan(desired: &Desired, former: Option<&Desired>, observed: &Observed, skip: &BTreeSet<InterfaceId>) -> Plan {
    let known = Known::new(desired, former, observed, skip);
    let fates = fate::fates(&known);
    let view = View::new(known, &fates);
    let mut plan = Plan { pending: fates.pending.clone(), trouble: fates.trouble.clone(), ..Plan::default() };
    let insides = inside::insides(&view, &mut plan);
    let steps = &mut plan.steps;
    if !desired.is_nothing() && observed.panel.is_none() {
        steps.push(Step::CreatePanel);
    }
    removal::first(&view, steps);
    bridges(&view, steps);
    birth::births(&view, steps);
    uplinks::uplinks(&view, steps);
    let plugs = wires::wires(&view, steps);
    steps.extend(insides.before);
    steps.extend(insides.after);
    steps.extend(plugs);
    steps.extend(insides.last);
    removal::last(&view, steps);
    plan
}

/// What is given, with the NICs found by identity.
struct Known<'a> {
    desired: &'a Desired,
    former: Option<&'a Desired>,
    observed: &'a Observed,
    skip: &'a BTreeSet<InterfaceId>,
    nics: BTreeMap<&'a NicKey, &'a Nic>,
    former_nics: BTreeMap<&'a NicKey, &'a Nic>,
}

impl<'a> Known<'a> {
    fn new(
        desired: &'a Desired,
        former: Option<&'a Desired>,
        observed: &'a Observed,
        skip: &'a BTreeSet<InterfaceId>,
    ) -> Self {
        let nics = desired.nics.iter().map(|nic| (&nic.key, nic)).collect();
        let former_nics = former.into_iter().flat_map(|former| &former.nics).map(|nic| (&nic.key, nic)).collect();
        Self { desired, former, observed, skip, nics, former_nics }
    }

    fn pod(&self, key: &PodKey) -> Option<&'a PodState> {
        match self.observed.pods.get(key)? {
            PodView::Present(pod) => Some(pod),
            PodView::Absent(_) | PodView::Refused(_) => None,
        }
    }

    /// The device of a pod that has the name of a NIC, whosever it is.
    fn link(&self, key: &NicKey) -> Option<&'a PodLink> {
        self.pod(&key.pod)?.links.get(key.name.as_str())
    }

    /// A NIC that is to be left as it is.
    fn is_skipped(&self, key: &NicKey) -> bool {
        !self.skip.is_empty() && self.nics.get(key).is_some_and(|nic| self.skip.contains(&nic.id))
    }
}

/// What the parts of a plan look at.
struct View<'a> {
    known: Known<'a>,
    fates: &'a Fates<'a>,
    /// Pod and index of the devices that go before anything is made.
    doomed: BTreeSet<(&'a PodKey, u32)>,
}

impl<'a> View<'a> {
    fn new(known: Known<'a>, fates: &'a Fates<'a>) -> Self {
        let mut doomed = BTreeSet::new();
        for (key, fate) in &fates.of {
            let Fate::Make { removal: Some(_), pod } = fate else { continue };
            let Some(link) = pod.links.get(key.name.as_str()) else { continue };
            doomed.insert((&key.pod, link.index));
            // One end of a pair takes the other one with it.
            if let LinkKind::Veth { peer: Some((far, index)) } = &link.kind {
                doomed.insert((far, *index));
            }
        }
        Self { known, fates, doomed }
    }

    /// The NICs that are there or about to be, in creation order.
    fn live(&self) -> impl Iterator<Item = (&'a Nic, &'a Fate<'a>)> {
        let fates = self.fates;
        self.known.desired.nics.iter().filter_map(|nic| Some((nic, fates.of.get(&nic.key)?)))
    }
}

fn bridges(view: &View<'_>, steps: &mut Vec<Step>) {
    for bridge in &view.known.desired.bridges {
        let panel = view.known.observed.panel.as_ref();
        match panel.and_then(|panel| panel.bridges.get(&bridge_device_name(&bridge.name))) {
            None => steps.push(Step::CreateBridge(bridge.clone())),
            Some(now) => {
                let same = now.mac == Some(bridge.mac)
                    && now.mtu == bridge.mtu.bytes()
                    && now.up
                    && now.options == bridge.options;
                if !same {
                    steps.push(Step::ConfigureBridge(bridge.clone()));
                }
            }
        }
    }
}
