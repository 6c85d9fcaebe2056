//! What is there and shall not be. It goes last, but for what is in the way of something that is made.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    device::{bridge_device_name, port_device_name},
    intent::NicKey,
    observed::{Panel, PodLink},
    step::Step,
};

use super::{Fate, View, fate, uplinks};

/// Devices whose name is wanted for something else: what a NIC was before, and what stands in the panel by mistake.
pub(super) fn first(view: &View<'_>, steps: &mut Vec<Step>) {
    for (_, fate) in view.live() {
        if let Fate::Make { removal: Some(removal), .. } = fate {
            steps.push(removal.clone());
        }
    }
    uplinks::remove_first(view, steps);
    let Some(panel) = &view.known.observed.panel else { return };
    let wanted = wanted_names(view, panel);
    let (bridges, ports) = (&panel.bridges, &panel.ports);
    let bridges = bridges.iter().filter(|(device, _)| wanted.ports.contains(*device));
    steps.extend(bridges.map(|(device, bridge)| Step::RemoveBridge(device.clone(), bridge.index)));
    let ports = ports.iter().filter(|(device, _)| wanted.bridges.contains(*device));
    steps.extend(ports.map(|(device, port)| remove_port(device, port.index, None)));
    let strangers = panel.strangers.iter().filter(|(_, name)| wanted.has(name));
    steps.extend(strangers.map(|(index, name)| Step::RemoveStranger(name.clone(), *index)));
}

/// Everything else.
pub(super) fn last(view: &View<'_>, steps: &mut Vec<Step>) {
    let known = &view.known;
    uplinks::remove_last(view, steps);
    if let Some(panel) = &known.observed.panel {
        ports(view, panel, steps);
    }
    for nic in known.former.into_iter().flat_map(|former| &former.nics) {
        if let Some(link) = leaving(view, &nic.key)
            && !view.doomed.contains(&(&nic.key.pod, link.index))
            && fate::provable(nic, known).is_some()
        {
            steps.push(Step::RemoveNic(nic.key.clone(), link.index));
        }
    }
    let Some(panel) = &known.observed.panel else { return };
    if known.desired.is_nothing() {
        steps.push(Step::RemovePanel);
        return;
    }
    let wanted = wanted_names(view, panel);
    let keep: BTreeSet<String> = known.desired.bridges.iter().map(|b| bridge_device_name(&b.name)).collect();
    for (device, bridge) in &panel.bridges {
        if !keep.contains(device) && !wanted.ports.contains(device) {
            steps.push(Step::RemoveBridge(device.clone(), bridge.index));
        }
    }
    let strangers = panel.strangers.iter().filter(|(_, name)| !wanted.has(name));
    steps.extend(strangers.map(|(index, name)| Step::RemoveStranger(name.clone(), *index)));
}

/// The device of a NIC that was desired and is neither kept nor made nor to be left alone, where that device is ours
/// and not what the NIC's wire wants.
pub(super) fn leaving<'a>(view: &View<'a>, key: &NicKey) -> Option<&'a PodLink> {
    let known = &view.known;
    if view.fates.of.contains_key(key) || known.is_skipped(key) {
        return None;
    }
    let former = known.former_nics.get(key)?;
    let waits = known.nics.get(key);
    let behind_port = fate::behind_port(former, known).filter(|_| !waits.is_some_and(|nic| nic.wire.has_port()));
    let alone = || {
        let link = fate::provable(former, known)?;
        (!waits.is_some_and(|nic| fate::matches_wire(link, nic, known))).then_some(link)
    };
    behind_port.or_else(alone)
}

/// Ports that no wire has any more, and with them the NICs at their other ends.
fn ports(view: &View<'_>, panel: &Panel, steps: &mut Vec<Step>) {
    let known = &view.known;
    let stays = known.desired.nics.iter().filter(|nic| nic.wire.has_port() || known.is_skipped(&nic.key));
    let mut keep: BTreeSet<String> = stays.map(|nic| port_device_name(&nic.key)).collect();
    // Those that were in the way have gone already.
    keep.extend(known.desired.bridges.iter().map(|bridge| bridge_device_name(&bridge.name)));
    let replaced = view.live().filter(|(_, fate)| matches!(fate, Fate::Make { removal: Some(_), .. }));
    keep.extend(replaced.map(|(nic, _)| port_device_name(&nic.key)));
    let all = known.former_nics.keys().chain(known.nics.keys());
    let labels: BTreeMap<String, &NicKey> = all.map(|key| (port_device_name(key), *key)).collect();
    for (device, port) in panel.ports.iter().filter(|(device, _)| !keep.contains(*device)) {
        steps.push(remove_port(device, port.index, labels.get(device).copied()));
    }
}

pub(super) fn remove_port(device: &str, index: u32, nic: Option<&NicKey>) -> Step {
    let label = nic.map_or_else(|| device.to_owned(), ToString::to_string);
    Step::RemovePort { label, index, nic: nic.cloned() }
}

/// Names of the panel that this plan gives to something new.
#[derive(Default)]
struct Wanted {
    bridges: BTreeSet<String>,
    ports: BTreeSet<String>,
    uplinks: BTreeSet<String>,
}

impl Wanted {
    fn has(&self, name: &str) -> bool {
        self.bridges.contains(name) || self.ports.contains(name) || self.uplinks.contains(name)
    }
}

fn wanted_names(view: &View<'_>, panel: &Panel) -> Wanted {
    let bridges = view.known.desired.bridges.iter().map(|bridge| bridge_device_name(&bridge.name));
    let made = view.live().filter(|(nic, fate)| matches!(fate, Fate::Make { .. }) && nic.wire.has_port());
    let uplinks = view.known.desired.uplinks.iter().map(|uplink| uplink.device.clone());
    Wanted {
        uplinks: uplinks.filter(|device| !panel.uplinks.contains_key(device)).collect(),
        bridges: bridges.filter(|device| !panel.bridges.contains_key(device)).collect(),
        ports: made.map(|(nic, _)| port_device_name(&nic.key)).collect(),
    }
}
