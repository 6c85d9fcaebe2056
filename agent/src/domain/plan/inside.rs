//! What is inside a pod: state, addresses, routes, and the mark that says that a NIC is complete.

use std::net::IpAddr;

use crate::domain::{
    desired::{Nic, Wire},
    device::{PANEL_PREFIX, mark},
    observed::{PodLink, PodRoute, PodState, PodView},
    spec::RouteSpec,
    step::Step,
};

use super::{Fate, Plan, Trouble, View, wires::port_up};

/// Steps inside pods.
#[derive(Debug, Default)]
pub(super) struct Insides {
    /// Addresses and routes that go: they may be in the way of others.
    pub before: Vec<Step>,
    /// Everything else.
    pub after: Vec<Step>,
}

pub(super) fn insides(view: &View<'_>, plan: &mut Plan) -> Insides {
    let mut insides = Insides::default();
    let mut marks = Vec::new();
    leaving(view, &mut insides.before);
    for (nic, fate) in view.live() {
        let (link, pod) = match fate {
            Fate::Keep { link, pod, .. } => (Some(*link), *pod),
            Fate::Make { pod } => (None, *pod),
        };
        outdated(view, nic, link, pod, &mut insides.before);
        device(view, nic, link, &mut insides.after);
        addresses(nic, link, &mut insides.after);
        routes(view, nic, link, pod, plan, &mut insides.after);
        settle_and_mark(view, nic, fate, &mut marks);
    }
    insides.after.extend(marks);
    insides
}

/// State, MAC and MTU. A pod may set its own interface down, or make it part of a bond that gives it another MAC:
/// after its birth that is the pod's affair.
fn device(view: &View<'_>, nic: &Nic, link: Option<&PodLink>, steps: &mut Vec<Step>) {
    let complete = link.is_some_and(|link| link.altnames.contains(&mark(&view.desired.key, &nic.id)));
    if let Some(link) = link.filter(|link| !link.enslaved) {
        if link.mac != Some(nic.mac) {
            steps.push(Step::SetMac(nic.key.clone(), nic.mac));
        }
        if let Some(mtu) = nic.mtu.filter(|mtu| mtu.bytes() != link.mtu) {
            steps.push(Step::SetMtu(nic.key.clone(), mtu));
        }
    }
    if !complete && !link.is_some_and(|link| link.up) {
        steps.push(Step::BringUp(nic.key.clone()));
    }
}

fn addresses(nic: &Nic, link: Option<&PodLink>, steps: &mut Vec<Step>) {
    for address in &nic.addresses {
        if !link.is_some_and(|link| link.addresses.contains(address)) {
            steps.push(Step::AddAddress(nic.key.clone(), *address));
        }
    }
}

/// What was desired before, is there, and is not desired any more. What the pod added by itself stays.
fn outdated(view: &View<'_>, nic: &Nic, link: Option<&PodLink>, pod: &PodState, steps: &mut Vec<Step>) {
    let (Some(link), Some(former)) = (link, view.former_nic(&nic.key)) else { return };
    for route in &former.routes {
        if !nic.routes.contains(route) && on_device(pod, link.index, route).is_some_and(|now| now.via == route.via) {
            steps.push(Step::RemoveRoute(nic.key.clone(), route.clone()));
        }
    }
    for address in &former.addresses {
        if !nic.addresses.contains(address) && link.addresses.contains(address) {
            steps.push(Step::RemoveAddress(nic.key.clone(), *address));
        }
    }
}

/// Routes of NICs that go, where a NIC that stays wants the same one: NICs are removed last, which is too late.
fn leaving(view: &View<'_>, steps: &mut Vec<Step>) {
    let former = view.former.into_iter().flat_map(|former| &former.nics);
    for gone in former.filter(|gone| view.desired.nic(&gone.key).is_none()) {
        let Some(PodView::Present(pod)) = view.observed.pods.get(&gone.key.pod) else { continue };
        let Some(link) = pod.links.get(gone.key.name.as_str()) else { continue };
        for route in &gone.routes {
            let mut heirs = view.desired.nics.iter().filter(|nic| nic.key.pod == gone.key.pod);
            let wanted = heirs.any(|nic| nic.routes.iter().any(|other| same_spec(other, route)));
            if wanted && on_device(pod, link.index, route).is_some_and(|now| now.via == route.via) {
                steps.push(Step::RemoveRoute(gone.key.clone(), route.clone()));
            }
        }
    }
}

fn routes(view: &View<'_>, nic: &Nic, link: Option<&PodLink>, pod: &PodState, plan: &mut Plan, steps: &mut Vec<Step>) {
    for route in &nic.routes {
        match link.and_then(|link| on_device(pod, link.index, route)) {
            Some(now) if now.via == route.via => continue,
            Some(now) => {
                let old = RouteSpec { via: now.via, ..route.clone() };
                steps.push(Step::RemoveRoute(nic.key.clone(), old));
            }
            None => {}
        }
        match elsewhere(view, nic, link, pod, route) {
            None => steps.push(Step::AddRoute(nic.key.clone(), route.clone())),
            Some(_) if route.unless_present => {
                plan.skipped_routes.entry(nic.id.clone()).or_default().push(route.clone());
            }
            Some(device) => {
                let message = format!(
                    "the pod has a route {} with metric {} on `{device}`: it is not replaced; choose another metric \
                     or set `unless_present`",
                    route.destination,
                    metric(route),
                );
                plan.trouble.insert(nic.id.clone(), Trouble::InTheWay { reason: "FOREIGN_ROUTE", message });
            }
        }
    }
}

/// The route of this destination and metric on this device.
fn on_device<'a>(pod: &'a PodState, index: u32, route: &RouteSpec) -> Option<&'a PodRoute> {
    pod.routes.iter().find(|now| now.device == Some(index) && same(now, route))
}

/// The name of another device of the pod that has a route of this destination and metric, unless that one is ours and
/// about to lose it.
fn elsewhere(view: &View<'_>, nic: &Nic, link: Option<&PodLink>, pod: &PodState, route: &RouteSpec) -> Option<String> {
    let mut others = pod.routes.iter().filter(|now| same(now, route) && now.device != link.map(|l| l.index));
    others.find_map(|now| {
        let name = now.device.and_then(|index| pod.links.iter().find(|(_, l)| l.index == index)).map(|(name, _)| name);
        // The device that had this name and is removed to make room for the NIC.
        let before = link.is_none() && name.is_some_and(|name| name == nic.key.name.as_str());
        let leaving = name.is_some_and(|name| {
            let former = view.former.into_iter().flat_map(|former| &former.nics);
            let mut ours = former.filter(|other| other.key.pod == nic.key.pod && other.key.name.as_str() == name);
            ours.any(|other| {
                let kept = view.desired.nic(&other.key).is_some_and(|n| n.routes.iter().any(|r| same_spec(r, route)));
                other.routes.iter().any(|r| same_spec(r, route)) && !kept
            })
        });
        (!before && !leaving).then(|| name.map_or_else(|| "several devices".to_owned(), Clone::clone))
    })
}

fn same(now: &PodRoute, route: &RouteSpec) -> bool {
    now.destination == route.destination && now.metric == metric(route)
}

fn same_spec(a: &RouteSpec, b: &RouteSpec) -> bool {
    a.destination == b.destination && metric(a) == metric(b)
}

/// The metric that the kernel gives: `IP6_RT_PRIO_USER` of include/uapi/linux/ipv6_route.h for IPv6 routes without one.
fn metric(route: &RouteSpec) -> u32 {
    match route.destination.ip() {
        IpAddr::V6(_) if route.metric == 0 => 1024,
        _ => route.metric,
    }
}

fn settle_and_mark(view: &View<'_>, nic: &Nic, fate: &Fate<'_>, marks: &mut Vec<Step>) {
    let altname = mark(&view.desired.key, &nic.id);
    let up = port_up(view, nic);
    let (link, forwards) = match fate {
        Fate::Make { .. } => (None, !up),
        Fate::Keep { link, port, .. } => {
            // A NIC that its pod has set down does not forward, and that is the pod's affair.
            (Some(*link), !up || !link.up || port.is_none_or(|port| port.forwarding && port.up))
        }
    };
    if !forwards && !matches!(nic.wire, Wire::Device { .. }) {
        marks.push(Step::Settle(nic.key.clone()));
    }
    let names = link.map(|link| link.altnames.as_slice()).unwrap_or_default();
    let old: Vec<String> =
        names.iter().filter(|name| name.starts_with(PANEL_PREFIX) && **name != altname).cloned().collect();
    if !names.contains(&altname) || !old.is_empty() {
        marks.push(Step::Mark { nic: nic.key.clone(), altname, old });
    }
}
