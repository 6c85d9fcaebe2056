//! The IPAM section of a CNI configuration: `host-local` and `static`.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use podwire_proto::v1;

use super::{findings::Findings, honour, node::Node};

/// How the interfaces of a definition get their addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Addressing {
    /// `host-local`: handed out.
    pub(crate) ipam: Option<v1::Ipam>,
    /// `static`: the same for each interface, CIDR.
    pub(crate) addresses: Vec<String>,
    /// `static`: routes of the interface.
    pub(crate) routes: Vec<v1::Route>,
}

/// Reads `ipam` of the definition `of`.
pub(crate) fn read(node: Option<&Node>, of: &str, findings: &mut Findings<'_>) -> Addressing {
    let Some(node) = node.filter(|node| !node.is_void()) else {
        return Addressing::default();
    };
    match node.get("type").and_then(Node::text) {
        Some("host-local") => host_local(node, of, findings),
        Some("static") => fixed(node, of, findings),
        Some(other) => {
            let place = node.get("type").map_or(node.place, |node| node.place);
            findings
                .error(place, format!("IPAM type `{other}` of {of} is not one of `host-local`, `static`"))
                .hint("give the subnet as `host-local` or the addresses as `static`");
            Addressing::default()
        }
        None => {
            findings.error(node.place, format!("`ipam` of {of} has no `type`"));
            Addressing::default()
        }
    }
}

fn host_local(node: &Node, of: &str, findings: &mut Findings<'_>) -> Addressing {
    honour::only(node, &["type", "subnet", "rangeStart", "rangeEnd", "gateway", "routes", "ranges"], of, findings);
    let mut subnets = Vec::new();
    if node.get("subnet").is_some() {
        subnets.extend(range(node, of, findings));
    }
    for set in node.get("ranges").map_or(&[][..], Node::items) {
        let mut ranges = set.items().iter().filter_map(|entry| {
            honour::only(entry, &["subnet", "rangeStart", "rangeEnd", "gateway"], of, findings);
            let subnet = range(entry, of, findings)?;
            Some((entry.place, subnet))
        });
        let Some((_, mut subnet)) = ranges.next() else {
            continue;
        };
        let others: Vec<_> = ranges.collect();
        for (place, other) in others {
            if other.cidr != subnet.cidr {
                findings
                    .error(
                        place,
                        format!("a range set of {of} has two subnets, `{}` and `{}`", subnet.cidr, other.cidr),
                    )
                    .hint("an interface gets one address of each set: give each subnet a set of its own");
            }
            if subnet.gateway.is_empty() {
                subnet.gateway = other.gateway;
            }
            subnet.ranges.extend(other.ranges);
        }
        subnets.push(subnet);
    }
    let routes = routes(node, of, None, findings);
    if subnets.is_empty() {
        if !findings.failed() {
            findings.error(node.place, format!("`ipam` of {of} has neither `subnet` nor `ranges`"));
        }
        return Addressing::default();
    }
    Addressing { ipam: Some(v1::Ipam { subnets, routes }), ..Addressing::default() }
}

/// A subnet with its range, if it has one.
fn range(node: &Node, of: &str, findings: &mut Findings<'_>) -> Option<v1::Subnet> {
    let Some(subnet) = node.get("subnet") else {
        findings.error(node.place, format!("a range of {of} without `subnet`"));
        return None;
    };
    let cidr = subnet.text().unwrap_or_default();
    let network = match cidr.parse::<IpNetwork>() {
        Ok(network) if cidr.contains('/') => network,
        _ => {
            findings.error(subnet.place, format!("subnet `{cidr}` of {of} is not a CIDR"));
            return None;
        }
    };
    if network.ip() != network.network() {
        findings.error(subnet.place, format!("subnet `{cidr}` of {of} has host bits")).hint(format!(
            "write `{}/{}`",
            network.network(),
            network.prefix()
        ));
        return None;
    }
    let start = within(node, "rangeStart", network, of, findings);
    let end = within(node, "rangeEnd", network, of, findings);
    let gateway = within(node, "gateway", network, of, findings);
    let ranges = if start.is_none() && end.is_none() {
        Vec::new()
    } else {
        let (first, last) = usable(network);
        vec![v1::AddressRange { start: start.unwrap_or(first).to_string(), end: end.unwrap_or(last).to_string() }]
    };
    let gateway = gateway.map(|gateway| gateway.to_string()).unwrap_or_default();
    Some(v1::Subnet { cidr: cidr.to_owned(), ranges, gateway, exclude: Vec::new() })
}

/// The address of a key, which must lie in the subnet.
fn within(node: &Node, key: &str, subnet: IpNetwork, of: &str, findings: &mut Findings<'_>) -> Option<IpAddr> {
    let node = node.get(key)?;
    let text = node.text().unwrap_or_default();
    match text.parse::<IpAddr>() {
        Ok(address) if subnet.contains(address) => Some(address),
        Ok(address) => {
            findings.error(node.place, format!("`{key}` `{address}` of {of} is outside of subnet `{subnet}`"));
            None
        }
        Err(_) => {
            findings.error(node.place, format!("`{key}` `{text}` of {of} is not an address"));
            None
        }
    }
}

/// The first and the last address that host-local hands out of a subnet.
fn usable(subnet: IpNetwork) -> (IpAddr, IpAddr) {
    match subnet {
        IpNetwork::V4(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            (IpAddr::V4(first.saturating_add(1).into()), IpAddr::V4(last.saturating_sub(1).into()))
        }
        IpNetwork::V6(net) => {
            let (first, last) = (net.network().to_bits(), net.broadcast().to_bits());
            (IpAddr::V6(first.saturating_add(1).into()), IpAddr::V6(last.into()))
        }
    }
}

fn fixed(node: &Node, of: &str, findings: &mut Findings<'_>) -> Addressing {
    honour::only(node, &["type", "addresses", "routes"], of, findings);
    let mut addressing = Addressing::default();
    let mut gateways = Vec::new();
    for entry in node.get("addresses").map_or(&[][..], Node::items) {
        honour::only(entry, &["address", "gateway"], of, findings);
        let (text, place) =
            entry.get("address").map_or(("", entry.place), |node| (node.text().unwrap_or_default(), node.place));
        if !text.contains('/') || text.parse::<IpNetwork>().is_err() {
            findings.error(place, format!("static address `{text}` of {of} is not a CIDR such as `10.0.0.5/24`"));
            continue;
        }
        addressing.addresses.push(text.to_owned());
        if let Some(gateway) = entry.get("gateway") {
            match gateway.text().unwrap_or_default().parse::<IpAddr>() {
                Ok(address) => gateways.push(address),
                Err(_) => {
                    findings.error(gateway.place, format!("`gateway` of {of} is not an address"));
                }
            }
        }
    }
    addressing.routes = routes(node, of, Some(&gateways), findings);
    addressing
}

/// The routes of an IPAM section. `gateways`, one of each family, are the next hops of those without one; with `None`
/// the agent takes that of the subnet.
fn routes(node: &Node, of: &str, gateways: Option<&[IpAddr]>, findings: &mut Findings<'_>) -> Vec<v1::Route> {
    let mut routes = Vec::new();
    for entry in node.get("routes").map_or(&[][..], Node::items) {
        honour::only(entry, &["dst", "gw", "priority"], of, findings);
        let (text, place) =
            entry.get("dst").map_or(("", entry.place), |node| (node.text().unwrap_or_default(), node.place));
        let Ok(destination) = text.parse::<IpNetwork>() else {
            findings.error(place, format!("route `dst` `{text}` of {of} is not a CIDR"));
            continue;
        };
        let own = match entry.get("gw") {
            Some(gw) => {
                let parsed = gw.text().unwrap_or_default().parse::<IpAddr>().ok();
                let Some(via) = parsed.filter(|via| via.is_ipv4() == destination.is_ipv4()) else {
                    findings.error(gw.place, format!("route `gw` of {of} is not an address of the family of `{text}`"));
                    continue;
                };
                Some(via)
            }
            None => None,
        };
        let inherited = || gateways?.iter().find(|gateway| gateway.is_ipv4() == destination.is_ipv4()).copied();
        let via = own.or_else(inherited).map(|via| via.to_string()).unwrap_or_default();
        let metric = entry.get("priority").and_then(Node::integer).and_then(|value| u32::try_from(value).ok());
        routes.push(v1::Route {
            destination: format!("{}/{}", destination.network(), destination.prefix()),
            via,
            metric: metric.unwrap_or_default(),
            unless_present: true,
        });
    }
    routes
}
