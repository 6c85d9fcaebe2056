//! One interface as it is, written as if it had been asked for.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::domain::{
    assign::derived_mac,
    if_name::IfName,
    intent::{Assigned, NicKey, PodKey},
    ipam::contains,
    mac::Mac,
    mtu::Mtu,
    observed::{PodLink, PodRoute, PodState, PodView},
    plan::connected,
    spec::{InterfaceSpec, PodOwner, RouteSpec},
};

use super::Adoption;

/// A device of a pod that can be an interface.
#[derive(Debug, Clone)]
pub(super) struct Seen<'a> {
    pub key: NicKey,
    pub owner: &'a PodOwner,
    pub link: &'a PodLink,
    pub pod: &'a PodState,
}

impl<'a> Adoption<'a> {
    /// The device of an index in a pod, or why it can be no interface.
    pub(super) fn seen(&self, pod: &PodKey, index: u32) -> Result<Seen<'a>, String> {
        let Some(PodView::Present(state)) = self.observed.pods.get(pod) else {
            return Err(format!("pod {pod} was not seen"));
        };
        let found = state.links.iter().find(|(_, link)| link.index == index);
        let (name, link) =
            found.ok_or_else(|| format!("device {index} of pod {pod} cannot be read: its name is no text"))?;
        let name: IfName =
            name.parse().map_err(|error| format!("`{name}` of pod {pod} is no interface name: {error}"))?;
        let owner = self.owners.get(pod).ok_or_else(|| format!("nobody can ask for pod {pod}"))?;
        Ok(Seen { key: NicKey { pod: pod.clone(), name }, owner, link, pod: state })
    }

    /// It, with its own MTU where its wire has none.
    pub(super) fn interface(&self, seen: &Seen<'_>, mtu: Option<Mtu>) -> (InterfaceSpec, Assigned) {
        let derived = derived_mac(self.key, seen.owner, &seen.key.name);
        // A bond in the pod lends its members its own MAC.
        let mac = seen.link.mac.filter(|_| !seen.link.enslaved).unwrap_or(derived);
        let addresses = addresses(seen.link);
        let routes = routes(seen, &addresses);
        let interface = InterfaceSpec {
            owner: seen.owner.clone(),
            uid: None,
            name: Some(seen.key.name.clone()),
            order: 0,
            mac: (mac != derived).then_some(mac),
            mtu,
            addresses: addresses.clone(),
            routes,
            tx_checksum: true,
        };
        (interface, Assigned { nic: seen.key.clone(), mac, addresses })
    }
}

/// The MTU of what is on one wire, which has one for all; the largest where somebody changed one, for nothing that passes
/// now is too large for it. `None`: the default.
pub(super) fn wire_mtu(mtus: impl IntoIterator<Item = u32>) -> Option<Mtu> {
    let largest = mtus.into_iter().max()?;
    Mtu::try_from(largest).ok().filter(|mtu| *mtu != Mtu::default())
}

fn addresses(link: &PodLink) -> Vec<IpNetwork> {
    let mut addresses: Vec<IpNetwork> = Vec::new();
    for address in &link.addresses {
        if !is_made_by_kernel(address.ip(), link.mac) && !addresses.iter().any(|other| other.ip() == address.ip()) {
            addresses.push(*address);
        }
    }
    addresses
}

/// Whether the kernel made an address by itself: a link-local one from the MAC (RFC 4291, appendix A) or at random (RFC
/// 7217). One that a person chose has a small number.
fn is_made_by_kernel(address: IpAddr, mac: Option<Mac>) -> bool {
    const SMALL: u64 = u32::MAX as u64;
    let IpAddr::V6(address) = address else { return false };
    if !is_link_local_address(address.into()) {
        return false;
    }
    let Ok(identifier) = u64::try_from(address.to_bits() & u128::from(u64::MAX)) else { return true };
    let from_mac = mac.map(|mac| {
        let (mut bytes, octets) = ([0, 0, 0, 0xff, 0xfe, 0, 0, 0], mac.octets());
        bytes[..3].copy_from_slice(&octets[..3]);
        bytes[5..].copy_from_slice(&octets[3..]);
        bytes[0] ^= 0x02;
        u64::from_be_bytes(bytes)
    });
    Some(identifier) == from_mac || identifier > SMALL
}

/// The routes that leave by an interface and that no address brings by itself. One that another device has too is
/// nobody's.
fn routes(seen: &Seen<'_>, addresses: &[IpNetwork]) -> Vec<RouteSpec> {
    let identity = |route: &PodRoute| (route.destination, route.metric);
    let given = |route: &PodRoute| {
        route.via.is_none() && seen.link.addresses.iter().any(|address| connected(address) == identity(route))
    };
    let shared = |route: &PodRoute| {
        let mut others = seen.pod.routes.iter().filter(|other| other.device != route.device);
        others.any(|other| identity(other) == identity(route))
    };
    let own = seen.pod.routes.iter().filter(|route| route.device == Some(seen.link.index));
    let own = own.filter(|route| !given(route) && !shared(route) && !is_link_local(&route.destination));
    let mut routes: Vec<RouteSpec> = own
        .map(|route| RouteSpec {
            destination: route.destination,
            via: route.via,
            metric: asked_metric(route),
            unless_present: false,
        })
        .collect();
    // What its next hop was reached by is gone: it could not be made again.
    let direct: Vec<IpNetwork> = routes.iter().filter(|route| route.via.is_none()).map(|r| r.destination).collect();
    let near = |via: IpAddr| addresses.iter().chain(&direct).any(|network| contains(network, via));
    routes.retain(|route| route.via.is_none_or(|via| is_link_local_address(via) || near(via)));
    routes
}

fn is_link_local(destination: &IpNetwork) -> bool {
    is_link_local_address(destination.ip())
}

fn is_link_local_address(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// The metric that was asked for: IPv6 makes 1024 of 0 (`IP6_RT_PRIO_USER`).
fn asked_metric(route: &PodRoute) -> u32 {
    if route.destination.is_ipv6() && route.metric == 1024 { 0 } else { route.metric }
}
