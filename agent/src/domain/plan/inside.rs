//! What is inside a pod: state, addresses, routes, and the mark that says that a NIC is complete.

use crate::domain::{
    desired::{Nic, Wire},
    device::{PANEL_PREFIX, mark},
    if_name::IfName,
    intent::NicKey,
    mtu::Mtu,
    observed::{PodLink, PodState},
    step::Step,
    uplink::UplinkSpec,
};

use super::{
    Fate, Plan, View,
    address::{Addresses, addresses},
    route::Routes,
    wires::port_up,
};

/// Steps inside pods.
#[derive(Debug, Default)]
pub(super) struct Insides {
    /// Marks, addresses and routes that go: they may be in the way of others.
    pub before: Vec<Step>,
    /// State, MAC, MTU, and what is new of addresses and routes.
    pub after: Vec<Step>,
    /// The wait until frames pass, and the marks.
    pub last: Vec<Step>,
}

/// A NIC that is there or about to be.
pub(super) struct Live<'a> {
    pub nic: &'a Nic,
    /// `None`: it is made.
    pub link: Option<&'a PodLink>,
    pub pod: &'a PodState,
    pub addresses: Addresses,
}

pub(super) fn insides(view: &View<'_>, plan: &mut Plan) -> Insides {
    let live: Vec<Live<'_>> = view.live().map(|(nic, fate)| live(view, nic, fate)).collect();
    let mut insides = Insides::default();
    for live in &live {
        unmark(view, live, &mut insides.before);
    }
    let routes = Routes::new(view, &live, &mut insides.before);
    for Live { nic, addresses, .. } in &live {
        insides.before.extend(addresses.remove.iter().map(|a| Step::RemoveAddress(nic.key.clone(), *a)));
    }
    for live in &live {
        device(view, live, &mut insides.after);
        insides.after.extend(live.addresses.add.iter().map(|a| Step::AddAddress(live.nic.key.clone(), *a)));
        routes.add(view, live, plan, &mut insides.after);
    }
    for live in &live {
        settle_and_mark(view, live, &mut insides.last);
    }
    insides
}

fn live<'a>(view: &View<'a>, nic: &'a Nic, fate: &Fate<'a>) -> Live<'a> {
    let (link, pod) = match fate {
        Fate::Keep { link, pod, .. } => (Some(*link), *pod),
        Fate::Make { pod, .. } => (None, *pod),
    };
    Live { nic, link, pod, addresses: addresses(view, nic, link) }
}

/// Whether a NIC that is there is up after the plan. A pod may set its own interface down: after its birth that is the
/// pod's affair, before that it is brought up.
pub(super) fn will_be_up(view: &View<'_>, nic: &Nic, link: &PodLink) -> bool {
    link.up || !is_complete(view, nic, link)
}

fn is_complete(view: &View<'_>, nic: &Nic, link: &PodLink) -> bool {
    link.altnames.contains(&mark(&view.known.desired.key, &nic.id))
}

/// State, MAC and MTU. A pod may make its interface part of a bond, which gives it another MAC and MTU.
fn device(view: &View<'_>, live: &Live<'_>, steps: &mut Vec<Step>) {
    let Live { nic, link, .. } = live;
    if let Some(link) = link.filter(|link| !link.enslaved) {
        if link.mac != Some(nic.mac) {
            steps.push(Step::SetMac(nic.key.clone(), nic.mac));
        }
        if let Some(mtu) = mtu(view, nic).filter(|mtu| mtu.bytes() != link.mtu) {
            steps.push(Step::SetMtu(nic.key.clone(), mtu));
        }
    }
    if link.is_none_or(|link| !link.up && will_be_up(view, nic, link)) {
        steps.push(Step::BringUp(nic.key.clone()));
    }
}

/// The MTU of a NIC. One that gives none has that of its parent, also after it had one of its own.
pub(super) fn mtu(view: &View<'_>, nic: &Nic) -> Option<Mtu> {
    nic.mtu.or_else(|| match &nic.wire {
        Wire::Device { parent, .. } | Wire::Uplink { spec: UplinkSpec { parent, .. }, .. } => {
            let (_, mtu) = view.known.observed.devices.get(parent.as_str())?;
            Mtu::try_from(*mtu).ok()
        }
        Wire::Bridge { .. } | Wire::Stitch { .. } | Wire::Direct { .. } => None,
    })
}

/// Takes away marks that no longer hold, and the wanted one from the device of the pod that has it still: names are
/// unique in a pod, and NICs are removed last.
fn unmark(view: &View<'_>, live: &Live<'_>, steps: &mut Vec<Step>) {
    let Live { nic, link, pod, .. } = live;
    let altname = mark(&view.known.desired.key, &nic.id);
    for old in link.iter().flat_map(|link| &link.altnames) {
        if old.starts_with(PANEL_PREFIX) && *old != altname {
            steps.push(Step::Unmark(nic.key.clone(), old.clone()));
        }
    }
    let holder = pod.links.iter().find(|(_, link)| link.altnames.contains(&altname));
    let Some((name, holder)) = holder.filter(|(_, holder)| holder.ours) else { return };
    let Ok(name) = name.parse::<IfName>() else { return };
    let key = NicKey { pod: nic.key.pod.clone(), name };
    // A NIC that stays gives its old marks away by itself, a doomed one is gone by then.
    if key != nic.key && !view.fates.of.contains_key(&key) && !view.doomed.contains(&(&nic.key.pod, holder.index)) {
        steps.push(Step::Unmark(key, altname));
    }
}

fn settle_and_mark(view: &View<'_>, live: &Live<'_>, steps: &mut Vec<Step>) {
    let Live { nic, link, .. } = live;
    if !forwards(view, nic) {
        steps.push(Step::Settle(nic.key.clone()));
    }
    if !link.is_some_and(|link| is_complete(view, nic, link)) {
        steps.push(Step::Mark(nic.key.clone(), mark(&view.known.desired.key, &nic.id)));
    }
}

/// Whether the first frame passes already, or cannot pass whatever is waited for: the cable is pulled, or the pod has
/// set its NIC down, which is its own affair.
fn forwards(view: &View<'_>, nic: &Nic) -> bool {
    let up = |key: &NicKey| match view.fates.of.get(key) {
        Some(Fate::Keep { link, .. }) => view.known.nics.get(key).is_some_and(|nic| will_be_up(view, nic, link)),
        Some(Fate::Make { .. }) => true,
        None => false,
    };
    let fate = view.fates.of.get(&nic.key);
    match (&nic.wire, fate) {
        // Spanning tree lets it forward in its own time, or never.
        (Wire::Bridge { stp: true, .. } | Wire::Device { .. }, _) | (_, None) => true,
        (Wire::Direct { far }, Some(Fate::Keep { link, .. })) => link.operational || !up(&nic.key) || !up(far),
        (Wire::Direct { .. }, Some(Fate::Make { .. })) => false,
        (Wire::Bridge { .. } | Wire::Stitch { .. } | Wire::Uplink { .. }, Some(Fate::Make { .. })) => {
            !port_up(view, nic)
        }
        (Wire::Bridge { .. } | Wire::Stitch { .. } | Wire::Uplink { .. }, Some(Fate::Keep { port, .. })) => {
            !port_up(view, nic) || !up(&nic.key) || port.is_none_or(|port| port.forwarding && port.up)
        }
    }
}
