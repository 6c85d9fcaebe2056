//! Routes of NICs. A pod has one route of each destination and metric, so a route of one NIC may be in the way of
//! another's, and one that is somebody else's is never replaced.

use std::collections::{BTreeMap, BTreeSet};

use ipnetwork::IpNetwork;

use crate::domain::{
    desired::{Nic, route_identity},
    intent::{NicKey, PodKey},
    observed::{PodLink, PodRoute, PodState},
    spec::RouteSpec,
    step::Step,
};

use super::{Plan, Trouble, View, inside::Live, inside::will_be_up, removal};

/// Destination and metric.
type Identity = (IpNetwork, u32);

/// What becomes of the routes of all pods.
#[derive(Default)]
pub(super) struct Routes<'a> {
    /// Which NIC of a pod has a route. Of several that would leave it out where another one has it, the first.
    owners: BTreeMap<(&'a PodKey, Identity), &'a NicKey>,
    /// NICs that have a route because the kernel gives it with an address.
    connected: BTreeMap<(&'a PodKey, Identity), &'a NicKey>,
    /// Pod and index of the devices that routes are taken from, by hand or by the kernel.
    removed: BTreeSet<(&'a PodKey, u32, Identity)>,
}

impl<'a> Routes<'a> {
    /// Decides who has which route, and takes away what nobody has any more.
    pub(super) fn new(view: &View<'a>, live: &[Live<'a>], steps: &mut Vec<Step>) -> Self {
        let mut routes = Self::default();
        for firm in [true, false] {
            for Live { nic, .. } in live {
                for route in nic.routes.iter().filter(|route| route.unless_present != firm) {
                    routes.owners.entry((&nic.key.pod, route_identity(route))).or_insert(&nic.key);
                }
            }
        }
        for Live { nic, .. } in live {
            for identity in nic.addresses.iter().map(connected) {
                routes.connected.entry((&nic.key.pod, identity)).or_insert(&nic.key);
            }
        }
        routes.of_leaving(view, steps);
        for live in live {
            routes.of_staying(view, live, steps);
        }
        routes
    }

    /// Routes of NICs that are removed last, where a NIC that stays wants the same ones.
    fn of_leaving(&mut self, view: &View<'a>, steps: &mut Vec<Step>) {
        for key in view.known.former_nics.keys() {
            let Some(pod) = view.known.pod(&key.pod) else { continue };
            let Some(link) = removal::leaving(view, key) else { continue };
            if view.doomed.contains(&(&key.pod, link.index)) {
                continue;
            }
            for now in pod.routes.iter().filter(|now| now.device == Some(link.index)) {
                if self.owners.contains_key(&(&key.pod, identity(now))) {
                    self.remove(key, link, now, steps);
                }
            }
        }
    }

    /// What was desired before, is there, and is not desired any more or in another way. What the pod added by itself
    /// stays.
    fn of_staying(&mut self, view: &View<'a>, live: &Live<'a>, steps: &mut Vec<Step>) {
        let Live { nic, link: Some(link), pod, addresses } = live else { return };
        let (key, nic) = (&nic.key, *nic);
        for now in pod.routes.iter().filter(|now| now.device == Some(link.index)) {
            let wanted = nic.routes.iter().find(|route| route_identity(route) == identity(now));
            let wanted = wanted.filter(|_| self.owners.get(&(&key.pod, identity(now))) == Some(&key));
            if addresses.loses_v4_routes && now.destination.is_ipv4() {
                self.removed.insert((&key.pod, link.index, identity(now)));
            } else if is_given(now, nic, link) {
            } else if wanted.map_or_else(|| was_ours(view, nic, now), |wanted| wanted.via != now.via) {
                self.remove(key, link, now, steps);
            }
        }
    }

    fn remove(&mut self, key: &'a NicKey, link: &PodLink, now: &PodRoute, steps: &mut Vec<Step>) {
        self.removed.insert((&key.pod, link.index, identity(now)));
        let route = RouteSpec { destination: now.destination, via: now.via, metric: now.metric, unless_present: false };
        steps.push(Step::RemoveRoute(key.clone(), route));
    }

    /// Gives a NIC its routes: first those on the link, by which the gateways of the others may be reached.
    pub(super) fn add(&self, view: &View<'a>, live: &Live<'a>, plan: &mut Plan, steps: &mut Vec<Step>) {
        let nic = live.nic;
        // The kernel takes no route on a device that is down; it comes when the pod sets its NIC up again.
        let down = live.link.is_some_and(|link| !will_be_up(view, nic, link));
        let mut routes: Vec<&RouteSpec> = nic.routes.iter().collect();
        routes.sort_by_key(|route| route.via.is_some());
        for route in routes {
            // It comes with its address, and the kernel refuses it a second time.
            if route.via.is_none() && live.addresses.add.iter().any(|a| connected(a) == route_identity(route)) {
                continue;
            }
            match self.elsewhere(view, live, route) {
                Some(_) if route.unless_present => {
                    plan.skipped_routes.entry(nic.id.clone()).or_default().push(route.clone());
                }
                Some(device) => {
                    let message = format!(
                        "the pod has a route {} with metric {} on `{device}`: it is not replaced; choose another \
                         metric or set `unless_present`",
                        route.destination,
                        route_identity(route).1,
                    );
                    plan.trouble.insert(nic.id.clone(), Trouble::InTheWay { reason: "FOREIGN_ROUTE", message });
                }
                None if down || self.has(live, route) => {}
                None => steps.push(Step::AddRoute(nic.key.clone(), route.clone())),
            }
        }
    }

    fn has(&self, live: &Live<'_>, route: &RouteSpec) -> bool {
        let pod = &live.nic.key.pod;
        live.link.is_some_and(|link| {
            let mut routes = live.pod.routes.iter().filter(|now| now.device == Some(link.index));
            let identity = route_identity(route);
            routes.any(|now| self::identity(now) == identity && now.via == route.via)
                && !self.removed.contains(&(pod, link.index, identity))
        })
    }

    /// The name of another device of the pod that has a route of this destination and metric and keeps it.
    fn elsewhere(&self, view: &View<'_>, live: &Live<'_>, route: &RouteSpec) -> Option<String> {
        let (key, identity) = (&live.nic.key, route_identity(route));
        let ours = [&self.owners, &self.connected].map(|map| map.get(&(&key.pod, identity)).filter(|o| **o != key));
        if let Some(other) = ours.into_iter().flatten().next() {
            return Some(other.name.to_string());
        }
        let own = live.link.map(|link| link.index);
        let mut others = live.pod.routes.iter().filter(|now| self::identity(now) == identity);
        others.find_map(|now| match now.device {
            None => Some("several devices".to_owned()),
            Some(index) if Some(index) == own => None,
            Some(index) if view.doomed.contains(&(&key.pod, index)) => None,
            Some(index) if self.removed.contains(&(&key.pod, index, identity)) => None,
            Some(index) => Some(name_of(live.pod, index)),
        })
    }
}

fn name_of(pod: &PodState, index: u32) -> String {
    let found = pod.links.iter().find(|(_, link)| link.index == index);
    found.map_or_else(|| format!("device {index}"), |(name, _)| name.clone())
}

/// Whether a NIC has a route that nobody wants any more only because it was desired before, or because it would have
/// it if another NIC of its pod had not.
fn was_ours(view: &View<'_>, nic: &Nic, now: &PodRoute) -> bool {
    let former = view.known.former_nics.get(&nic.key).map(|former| former.routes.as_slice()).unwrap_or_default();
    former.iter().chain(&nic.routes).any(|route| route_identity(route) == identity(now) && route.via == now.via)
}

/// Whether the kernel gives a route with an address that is there or comes: it goes with that address.
fn is_given(now: &PodRoute, nic: &Nic, link: &PodLink) -> bool {
    now.via.is_none() && nic.addresses.iter().chain(&link.addresses).any(|address| connected(address) == identity(now))
}

fn identity(now: &PodRoute) -> Identity {
    (now.destination, now.metric)
}

/// The route that comes with an address: metric 0 for IPv4, `IP6_RT_PRIO_ADDRCONF` (256) for IPv6.
pub(in crate::domain) fn connected(address: &IpNetwork) -> Identity {
    let network = IpNetwork::new(address.network(), address.prefix()).unwrap_or(*address);
    (network, if address.is_ipv4() { 0 } else { 256 })
}
