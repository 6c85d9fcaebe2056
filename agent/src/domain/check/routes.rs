//! Routes of interfaces: each reachable, and none twice in a pod.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use ipnetwork::IpNetwork;

use crate::domain::{
    ipam::{contains, gateway},
    spec::{PodOwner, RouteSpec},
    violation::Violation,
};

use super::{segment::Plug, subnets::list};

/// Next hops that nobody can reach, routes twice on one interface, routes twice in one pod.
pub(super) fn check(plugs: &[Plug<'_>], found: &mut Vec<Violation>) {
    for plug in plugs {
        for (r, route) in plug.interface.routes.iter().enumerate() {
            if let Some(problem) = via_problem(plug, route) {
                found.push(Violation::new(format!("{}.routes[{r}].via", plug.path), problem));
            }
        }
        twice(&plug.interface.routes, &plug.path, found);
    }
    twice_in_pod(plugs, found);
}

/// Whether an address is IPv6's link-local: reachable on every link without an address of ours.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// Routes of one destination and metric in one list.
pub(super) fn twice(routes: &[RouteSpec], path: &str, found: &mut Vec<Violation>) {
    let mut first = HashMap::with_capacity(routes.len());
    for (r, route) in routes.iter().enumerate() {
        let other = *first.entry(identity(route)).or_insert(r);
        if other != r {
            found.push(Violation::new(
                format!("{path}.routes[{r}]"),
                format!(
                    "`{}` of metric {} is `{path}.routes[{other}]` already: leave one of them out, or give it another \
                     `metric`",
                    route.destination,
                    identity(route).1
                ),
            ));
        }
    }
}

/// What the kernel tells routes apart by: destination and metric, where IPv6 makes 1024 of 0 (`IP6_RT_PRIO_USER`).
fn identity(route: &RouteSpec) -> (IpNetwork, u32) {
    let metric = if route.metric == 0 && route.destination.is_ipv6() { 1024 } else { route.metric };
    (route.destination, metric)
}

/// Why the next hop of an interface's own route cannot be used.
fn via_problem(plug: &Plug<'_>, route: &RouteSpec) -> Option<String> {
    let via = route.via?;
    let interface = plug.interface;
    if via.is_ipv4() != route.destination.is_ipv4() {
        return Some(format!("`{via}` is not of the family of `{}`: take a next hop of the same", route.destination));
    }
    if interface.addresses.iter().any(|own| own.ip() == via) {
        return Some(format!("`{via}` is the interface's own address: take that of a neighbour"));
    }
    let subnets = plug.ipam.iter().flat_map(|ipam| &ipam.subnets).map(|subnet| &subnet.cidr);
    let known: Vec<&IpNetwork> = interface.addresses.iter().chain(subnets).collect();
    // A route without a next hop makes its destination reachable too.
    let mut near = interface.routes.iter().filter(|route| route.via.is_none()).map(|route| &route.destination);
    let reachable = known.is_empty()
        || is_link_local(via)
        || known.iter().any(|network| contains(network, via))
        || near.any(|network| contains(network, via));
    (!reachable).then(|| format!("`{via}` cannot be reached: it does not lie in {}", list(known.into_iter())))
}

/// The kernel takes one route of a destination and metric; the second interface's would be refused by it.
fn twice_in_pod(plugs: &[Plug<'_>], found: &mut Vec<Violation>) {
    let mut pods: HashMap<&PodOwner, Vec<&Plug<'_>>> = HashMap::new();
    for plug in plugs {
        pods.entry(&plug.interface.owner).or_default().push(plug);
    }
    for plug in plugs {
        // All interfaces of a pod are looked at once, where its first one stands, to keep the order of the request.
        let Some(pod) = pods.remove(&plug.interface.owner).filter(|pod| pod.len() > 1) else { continue };
        let mut first: HashMap<(IpNetwork, u32), &Plug<'_>> = HashMap::new();
        for plug in pod {
            for (identity, field) in routes_of(plug) {
                let other = *first.entry(identity).or_insert(plug);
                if other.path != plug.path {
                    found.push(Violation::new(
                        field.path(plug),
                        format!(
                            "`{}` of metric {} leaves `{}` by two interfaces, `{}` and `{}`: give one another `metric`, \
                             or `unless_present: true`",
                            identity.0, identity.1, plug.interface.owner, other.path, plug.path
                        ),
                    ));
                }
            }
        }
    }
}

/// Where a route was written.
#[derive(Debug, Clone, Copy)]
enum Field {
    /// Position in the routes of the interface.
    Own(usize),
    /// In the IPAM; the clash is told at the interface, since the IPAM may be right for all others.
    Ipam,
}

impl Field {
    fn path(self, plug: &Plug<'_>) -> String {
        match self {
            Self::Own(r) => format!("{}.routes[{r}]", plug.path),
            Self::Ipam => plug.path.clone(),
        }
    }
}

/// The routes that an interface will have whatever else its pod has: its own, then those of its IPAM, as `desired`
/// takes them.
fn routes_of<'a>(plug: &'a Plug<'_>) -> impl Iterator<Item = ((IpNetwork, u32), Field)> + 'a {
    let interface = plug.interface;
    let own: HashSet<(IpNetwork, u32)> = interface.routes.iter().map(identity).collect();
    let ipam = plug.ipam.into_iter().flat_map(|ipam| ipam.routes.iter().map(move |route| (ipam, route)));
    let ipam = ipam.filter(move |(ipam, route)| {
        let same_family = || ipam.subnets.iter().find(|s| s.cidr.is_ipv4() == route.destination.is_ipv4());
        let via = route.via.or_else(|| same_family().and_then(gateway));
        !own.contains(&identity(route)) && !interface.addresses.iter().any(|a| Some(a.ip()) == via)
    });
    let own = interface.routes.iter().enumerate().map(|(r, route)| (route, Field::Own(r)));
    let all = own.chain(ipam.map(|(_, route)| (route, Field::Ipam)));
    all.filter(|(route, _)| !route.unless_present).map(|(route, field)| (identity(route), field))
}
