//! Addresses of a NIC that is there: which ones go, which ones come, and what the kernel takes along.

use ipnetwork::IpNetwork;

use crate::domain::{desired::Nic, observed::PodLink};

use super::View;

/// Changes of one NIC's addresses.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// Those that go.
    pub remove: Vec<IpNetwork>,
    /// Those that come, or come again.
    pub add: Vec<IpNetwork>,
    /// The NIC has no IPv4 address in between: the kernel then takes all its IPv4 routes away (`fib_inetaddr_event`
    /// of net/ipv4/fib_frontend.c).
    pub loses_v4_routes: bool,
}

pub(super) fn addresses(view: &View<'_>, nic: &Nic, link: Option<&PodLink>) -> Addresses {
    let Some(link) = link else { return Addresses { add: nic.addresses.clone(), ..Addresses::default() } };
    let has = |address: &IpNetwork| link.addresses.contains(address);
    let former = view.known.former_nics.get(&nic.key).map(|former| former.addresses.as_slice()).unwrap_or_default();
    let mut remove: Vec<IpNetwork> = former.iter().filter(|a| !nic.addresses.contains(a) && has(a)).copied().collect();
    let other_prefixes = link.addresses.iter().filter(|now| nic.addresses.iter().any(|wanted| clash(now, wanted)));
    for address in other_prefixes {
        if !remove.contains(address) {
            remove.push(*address);
        }
    }
    let mut add: Vec<IpNetwork> = nic.addresses.iter().filter(|address| !has(address)).copied().collect();
    let along = secondaries(link, &remove);
    add.extend(&along);
    remove.extend(along);
    let mut v4 = link.addresses.iter().filter(|address| address.is_ipv4()).peekable();
    let loses_v4_routes = v4.peek().is_some() && v4.all(|address| remove.contains(address));
    Addresses { remove, add, loses_v4_routes }
}

/// IPv6 has an address once on a device, whatever its prefix.
fn clash(now: &IpNetwork, wanted: &IpNetwork) -> bool {
    now.is_ipv6() && now.ip() == wanted.ip() && now.prefix() != wanted.prefix()
}

/// IPv4 addresses that go along with the first of their subnet, unless `promote_secondaries` is on in the pod. They
/// are taken away and given again, which comes to the same either way.
fn secondaries(link: &PodLink, remove: &[IpNetwork]) -> Vec<IpNetwork> {
    let mut along = Vec::new();
    for (i, address) in link.addresses.iter().enumerate() {
        let same = |other: &&IpNetwork| other.is_ipv4() && subnet(other) == subnet(address);
        let first = link.addresses[..i].iter().find(same);
        if address.is_ipv4() && first.is_some_and(|first| remove.contains(first)) && !remove.contains(address) {
            along.push(*address);
        }
    }
    along
}

fn subnet(address: &IpNetwork) -> (std::net::IpAddr, u8) {
    (address.network(), address.prefix())
}
