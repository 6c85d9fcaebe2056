//! What came out of a converge: states, and views for those who ask.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    domain::{
        desired::{Desired, Nic, desired},
        device::{panel_name, port_device_name},
        intent::{NicKey, PodKey},
        observed::{Observed, PodLink, PodView, SandboxId},
        plan::{Plan, Trouble},
        spec::InterfaceId,
        status::{InterfaceStatus, PortStatus, State},
        uplink::Uplink,
    },
    kernel::boottime,
};

use super::{converge::Outcome, glance::Glances, ledger::Entry, view::TopologyView};

/// Writes down what a converge came to and renders it.
pub(super) fn record(entry: &mut Entry, outcome: &Outcome) -> TopologyView {
    if let Some(failures) = &outcome.failures {
        entry.failures.clone_from(failures);
        (entry.trouble, entry.failed) = (None, Duration::ZERO);
    }
    // A look that found work and left it undone explains nothing of what was heard before it, and the heal that comes has
    // to see what has changed.
    if outcome.failures.is_some() || outcome.plan.steps.is_empty() {
        note_look(entry, outcome);
    }
    let trouble = entry.trouble.clone();
    let (mut interfaces, mut ports) = (interfaces(entry, outcome), ports(outcome));
    if let (Some(part), Some(before)) = (&outcome.part, &entry.published) {
        // Of what was not looked at holds what was seen last: whatever happens to it is heard, and then looked at.
        let kept = |id: &InterfaceId| !part.former.nics.iter().any(|nic| nic.id == *id);
        let rest = before.interfaces.iter().filter(|(id, _)| kept(id) && !interfaces.contains_key(id));
        let rest: Vec<_> = rest.map(|(id, status)| (id.clone(), status.clone())).collect();
        interfaces.extend(rest);
        let rest = before.ports.iter().filter(|(id, _)| kept(id) && !ports.contains_key(id));
        let rest: Vec<_> = rest.map(|(id, port)| (id.clone(), *port)).collect();
        ports.extend(rest);
    }
    let view = view(entry, Arc::clone(&outcome.desired), interfaces, ports, trouble);
    note(entry, &view);
    view
}

/// Writes down what a look at a part saw, where that is what was published before. False: it is not.
pub(super) fn confirm(entry: &mut Entry, outcome: &Outcome) -> bool {
    let seen = interfaces(entry, outcome);
    let published = entry.published.as_ref().filter(|before| before.intent == entry.intent);
    let same = published.is_some_and(|before| {
        entry.trouble == before.trouble && seen.iter().all(|(id, status)| before.interfaces.get(id) == Some(status))
    });
    if same {
        note_look(entry, outcome);
    }
    same
}

/// Writes down what a look saw.
fn note_look(entry: &mut Entry, outcome: &Outcome) {
    let parents = outcome.observed.devices.values().map(|(index, _)| *index);
    let panel = outcome.observed.panel.iter();
    let indexes = panel.flat_map(|panel| {
        let ports = panel.ports.values().map(|port| port.index);
        ports.chain(panel.bridges.values().map(|bridge| bridge.index))
    });
    match &outcome.part {
        None => {
            entry.looked_at = outcome.looked_at;
            entry.glances = Glances::of_all(&outcome.desired, &outcome.observed, outcome.looked_at);
            entry.ups = outcome.ups();
            entry.sandboxes = outcome.sandboxes();
            entry.parents = parents.collect();
            entry.highest = indexes.max().unwrap_or_default();
        }
        Some(part) => {
            entry.glances.note(&part.spots, outcome.looked_at);
            for nic in &part.former.nics {
                entry.ups.remove(&nic.key);
                entry.sandboxes.remove(&nic.key.pod);
            }
            entry.ups.extend(outcome.ups());
            let stays = |pod: &PodKey| outcome.desired.has_pod(pod);
            entry.sandboxes.extend(outcome.sandboxes().into_iter().filter(|(pod, _)| stays(pod)));
            entry.parents.extend(parents);
            entry.highest = indexes.max().unwrap_or_default().max(entry.highest);
        }
    }
}

/// Writes down that a heal failed as a whole.
pub(super) fn record_trouble(entry: &mut Entry, error: String) -> TopologyView {
    let view = blind(entry, error);
    entry.trouble.clone_from(&view.trouble);
    note(entry, &view);
    view
}

fn note(entry: &mut Entry, view: &TopologyView) {
    entry.states = view.interfaces.iter().map(|(id, status)| (id.clone(), (status.state, status.since))).collect();
    entry.state = (view.state(), view.since);
}

/// A topology that cannot be looked at or healed as a whole: what was seen of it before, with the error as the reason.
pub(super) fn blind(entry: &Entry, error: String) -> TopologyView {
    let known = entry.published.as_ref().filter(|before| before.intent == entry.intent);
    let desired = known.map_or_else(|| Arc::new(desired(&entry.intent)), |before| Arc::clone(&before.desired));
    let seen = |nic: &Nic| {
        let before = entry.published.as_ref().and_then(|before| before.interfaces.get(&nic.id));
        let state = doubted(before.map(|before| before.state));
        let before = before.cloned().unwrap_or_else(InterfaceStatus::unseen);
        let since = if before.state == state { before.since } else { SystemTime::now() };
        (nic.id.clone(), InterfaceStatus { state, reason: error.clone(), since, ..before })
    };
    let interfaces = desired.nics.iter().map(seen).collect();
    let whole = doubted(entry.published.as_ref().map(|_| entry.state.0));
    view(entry, desired, interfaces, BTreeMap::new(), Some((whole, error)))
}

/// What is left of a state once nobody knows whether it still holds: what worked may work yet.
fn doubted(before: Option<State>) -> State {
    match before {
        Some(State::Ready | State::Degraded) => State::Degraded,
        Some(State::Pending | State::Failed) | None => State::Failed,
    }
}

fn view(
    entry: &Entry,
    desired: Arc<Desired>,
    interfaces: BTreeMap<InterfaceId, InterfaceStatus>,
    ports: BTreeMap<InterfaceId, PortStatus>,
    trouble: Option<(State, String)>,
) -> TopologyView {
    let mut view = TopologyView {
        intent: Arc::clone(&entry.intent),
        desired,
        interfaces,
        ports,
        since: entry.state.1,
        lease_expires: entry.lease_ends.map(wall_clock),
        panel: panel_name(entry.intent.key()),
        trouble,
    };
    if entry.state.0 != view.state() || entry.published.is_none() {
        view.since = SystemTime::now();
    }
    view
}

/// The time of day at which the boot-time clock shows `end`.
pub(super) fn wall_clock(end: Duration) -> SystemTime {
    SystemTime::now() + end.saturating_sub(boottime())
}

fn ports(outcome: &Outcome) -> BTreeMap<InterfaceId, PortStatus> {
    let Some(panel) = &outcome.observed.panel else { return BTreeMap::new() };
    let port = |nic: &Nic| {
        let port = panel.ports.get(&port_device_name(&nic.key))?;
        Some((nic.id.clone(), PortStatus { egress: port.egress, counters: port.counters }))
    };
    outcome.looked().nics.iter().filter(|nic| nic.wire.has_port()).filter_map(port).collect()
}

fn interfaces(entry: &Entry, outcome: &Outcome) -> BTreeMap<InterfaceId, InterfaceStatus> {
    let Outcome { observed, plan, .. } = outcome;
    let desired = outcome.looked();
    let now = SystemTime::now();
    let status = |nic: &Nic| {
        let (link, sandbox) = seen(nic, observed);
        let (state, reason) = judge(nic, link, plan, entry);
        let since = match entry.states.get(&nic.id) {
            Some((before, since)) if *before == state => *since,
            _ => now,
        };
        // Of a name that is somebody else's, nothing is ours to show.
        let link = link.filter(|link| link.ours);
        let status = InterfaceStatus {
            state,
            reason,
            since,
            index: link.map(|link| link.index),
            mtu: link.map(|link| link.mtu),
            carrier: link.is_some_and(|link| link.carrier),
            skipped_routes: plan.skipped_routes.get(&nic.id).cloned().unwrap_or_default(),
            sandbox: link.and(sandbox.cloned()),
        };
        (nic.id.clone(), status)
    };
    let uplink = |uplink: &Uplink| {
        let (state, reason) = judge_uplink(uplink, plan, entry);
        let since = match entry.states.get(&uplink.id) {
            Some((before, since)) if *before == state => *since,
            _ => now,
        };
        let there = observed.panel.as_ref().and_then(|panel| panel.uplinks.get(&uplink.device));
        let status = InterfaceStatus {
            state,
            reason,
            since,
            index: None,
            mtu: there.map(|there| there.mtu),
            carrier: there.is_some_and(|there| there.carrier),
            skipped_routes: Vec::new(),
            sandbox: None,
        };
        (uplink.id.clone(), status)
    };
    // Those of interfaces are told with the interfaces.
    let of_bridges = desired.uplinks.iter().filter(|uplink| uplink.nic().is_none());
    desired.nics.iter().map(status).chain(of_bridges.map(uplink)).collect()
}

fn judge_uplink(uplink: &Uplink, plan: &Plan, entry: &Entry) -> (State, String) {
    if let Some(trouble) = plan.trouble.get(&uplink.id) {
        return (state_of(trouble), trouble.message());
    }
    if let Some(words) = entry.failures.get(&uplink.id) {
        return (State::Failed, words.clone());
    }
    match plan.steps.iter().find(|step| step.uplink() == Some(&uplink.id)) {
        None => (State::Ready, String::new()),
        Some(step) => (State::Degraded, format!("it differs from the intent: to do: {step}")),
    }
}

impl Outcome {
    /// Whether each interface that is there is set up.
    pub(super) fn ups(&self) -> BTreeMap<NicKey, bool> {
        let seen = |nic: &Nic| Some((nic.key.clone(), seen(nic, &self.observed).0?.up));
        self.looked().nics.iter().filter_map(seen).collect()
    }
}

impl Outcome {
    /// The sandbox of each pod that is there.
    pub(super) fn sandboxes(&self) -> BTreeMap<PodKey, SandboxId> {
        let present = |(pod, view): (&PodKey, &PodView)| match view {
            PodView::Present(present) => Some((pod.clone(), present.sandbox.clone())),
            PodView::Absent(_) | PodView::Refused(_) => None,
        };
        self.observed.pods.iter().filter_map(present).collect()
    }
}

fn seen<'a>(nic: &Nic, observed: &'a Observed) -> (Option<&'a PodLink>, Option<&'a SandboxId>) {
    match observed.pods.get(&nic.key.pod) {
        Some(PodView::Present(pod)) => (pod.links.get(nic.key.name.as_str()), Some(&pod.sandbox)),
        Some(PodView::Absent(_) | PodView::Refused(_)) | None => (None, None),
    }
}

/// A plain file in the place of a namespace is what a pod that comes or goes leaves for a moment: it may still come.
fn state_of(trouble: &Trouble) -> State {
    match trouble {
        Trouble::Refused(refusal) if refusal.reason == "NOT_A_NETNS" => State::Pending,
        Trouble::Refused(_) | Trouble::InTheWay { .. } | Trouble::NoDevice { .. } => State::Failed,
    }
}

/// The state of an interface: a function of what is desired, of what a plan would still do, and of what failed.
fn judge(nic: &Nic, link: Option<&PodLink>, plan: &Plan, entry: &Entry) -> (State, String) {
    if let Some(trouble) = plan.trouble.get(&nic.id) {
        return (state_of(trouble), trouble.message());
    }
    if let Some(reason) = plan.pending.get(&nic.id) {
        return (State::Pending, reason.clone());
    }
    if let Some(words) = entry.failures.get(&nic.id) {
        return (State::Failed, words.clone());
    }
    if let Some(fight) = entry.fights.about(&nic.key) {
        return (State::Degraded, fight.to_string());
    }
    match plan.steps.iter().find(|step| step.nic() == Some(&nic.key)) {
        None => (State::Ready, String::new()),
        Some(step) if link.is_some() => (State::Degraded, format!("it differs from the intent: to do: {step}")),
        Some(step) => (State::Pending, format!("it is about to be plugged: to do: {step}")),
    }
}
