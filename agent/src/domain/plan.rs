//! `plan = diff(desired, observed)`: the only place that decides what a converge does.
//!
//! Additions come first and removals last, so that a step that fails undoes only additions. The exception is a NIC
//! that has to be made anew under a name that is still taken by what it was.

mod birth;
mod fate;
mod inside;
mod wires;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    desired::{Desired, Nic},
    device::{bridge_device_name, port_device_name},
    intent::NicKey,
    observed::{Observed, Refusal},
    spec::{InterfaceId, RouteSpec},
    step::{NewNic, Step},
};
use fate::{Fate, Fates};

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
    let fates = fate::fates(desired, former, observed, skip);
    let mut plan = Plan { pending: fates.pending.clone(), trouble: fates.trouble.clone(), ..Plan::default() };
    let view = View { desired, former, observed, fates: &fates };
    let insides = inside::insides(&view, &mut plan);
    let steps = &mut plan.steps;
    let wanted = !(desired.bridges.is_empty() && desired.nics.is_empty());
    if wanted && observed.panel.is_none() {
        steps.push(Step::CreatePanel);
    }
    steps.extend(fates.removals_first.iter().cloned());
    bridges(&view, steps);
    birth::births(&view, steps);
    wires::wires(&view, steps);
    steps.extend(insides.before);
    steps.extend(insides.after);
    removals(&view, wanted, steps);
    plan
}

/// What the parts of a plan look at.
struct View<'a> {
    desired: &'a Desired,
    former: Option<&'a Desired>,
    observed: &'a Observed,
    fates: &'a Fates<'a>,
}

impl<'a> View<'a> {
    /// The NICs that are there or about to be, in creation order.
    fn live(&self) -> impl Iterator<Item = (&'a Nic, &'a Fate<'a>)> {
        let fates = self.fates;
        self.desired.nics.iter().filter_map(|nic| Some((nic, fates.of.get(&nic.key)?)))
    }

    fn former_nic(&self, key: &NicKey) -> Option<&'a Nic> {
        self.former?.nic(key)
    }
}

fn bridges(view: &View<'_>, steps: &mut Vec<Step>) {
    for bridge in &view.desired.bridges {
        let panel = view.observed.panel.as_ref();
        match panel.and_then(|panel| panel.bridges.get(&bridge_device_name(&bridge.name))) {
            None => steps.push(Step::CreateBridge(bridge.clone())),
            Some(now) => {
                let same = now.mac == Some(bridge.mac) && now.mtu == bridge.mtu.bytes() && now.up && now.options_ok;
                if !same {
                    steps.push(Step::ConfigureBridge(bridge.clone()));
                }
            }
        }
    }
}

/// What is there and shall not be.
fn removals(view: &View<'_>, wanted: bool, steps: &mut Vec<Step>) {
    let former_nics = view.former.map(|former| former.nics.as_slice()).unwrap_or_default();
    if let Some(panel) = &view.observed.panel {
        let keep: BTreeSet<String> =
            view.desired.nics.iter().filter(|nic| nic.wire.has_port()).map(|nic| port_device_name(&nic.key)).collect();
        let known: BTreeMap<String, &NicKey> =
            former_nics.iter().map(|nic| (port_device_name(&nic.key), &nic.key)).collect();
        for (device, port) in &panel.ports {
            let first = steps.iter().any(|s| matches!(s, Step::RemovePort { index, .. } if *index == port.index));
            if !keep.contains(device) && !first {
                steps.push(remove_port(device, port.index, known.get(device).copied()));
            }
        }
    }
    for nic in former_nics {
        if view.desired.nic(&nic.key).is_none()
            && let Some(link) = fate::provable(nic, view.observed)
        {
            steps.push(Step::RemoveNic(nic.key.clone(), link.index));
        }
    }
    let Some(panel) = &view.observed.panel else { return };
    if !wanted {
        steps.push(Step::RemovePanel);
        return;
    }
    let keep: BTreeSet<String> = view.desired.bridges.iter().map(|b| bridge_device_name(&b.name)).collect();
    for (device, bridge) in panel.bridges.iter().filter(|(device, _)| !keep.contains(*device)) {
        steps.push(Step::RemoveBridge(device.clone(), bridge.index));
    }
    for (index, name) in &panel.strangers {
        steps.push(Step::RemoveStranger(name.clone(), *index));
    }
}

fn remove_port(device: &str, index: u32, nic: Option<&NicKey>) -> Step {
    let label = nic.map_or_else(|| device.to_owned(), ToString::to_string);
    Step::RemovePort { label, index, nic: nic.cloned() }
}

fn new_nic(nic: &Nic) -> NewNic {
    NewNic { key: nic.key.clone(), mac: nic.mac, mtu: nic.mtu }
}
