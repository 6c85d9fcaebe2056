//! Routes and address management.

use std::net::IpAddr;

use podwire_proto::v1;

use crate::{
    api::limits::{EXCLUSIONS_PER_SUBNET, RANGES_PER_SUBNET, ROUTES, SUBNETS_PER_IPAM},
    domain::spec::{IpamSpec, RouteSpec, SubnetSpec},
};

use super::{
    address,
    findings::{Findings, Quoted},
    place::Place,
};

/// How addresses are handed out. `Some(None)`: they are not.
#[allow(clippy::option_option, reason = "outside: whether it could be parsed; inside: whether it was there")]
pub(super) fn ipam(found: &mut Findings, at: Place<'_>, message: Option<v1::Ipam>) -> Option<Option<IpamSpec>> {
    let Some(mut message) = message else { return Some(None) };
    found.most(at.field("subnets"), &mut message.subnets, SUBNETS_PER_IPAM);
    if message.subnets.is_empty() {
        found.add(
            at.field("subnets"),
            "at least one subnet is required; without `ipam` there are static addresses only",
        );
    }
    let subnets = message.subnets.into_iter().enumerate();
    let subnets: Vec<_> = subnets.map(|(i, message)| subnet(found, at.item("subnets", i), message)).collect();
    let routes = routes(found, at, message.routes);
    Some(Some(IpamSpec { subnets: subnets.into_iter().collect::<Option<_>>()?, routes: routes? }))
}

/// The routes that stand in field `routes`.
pub(super) fn routes(found: &mut Findings, at: Place<'_>, mut messages: Vec<v1::Route>) -> Option<Vec<RouteSpec>> {
    found.most(at.field("routes"), &mut messages, ROUTES);
    let routes = messages.into_iter().enumerate();
    let routes: Vec<_> = routes.map(|(i, message)| route(found, at.item("routes", i), &message)).collect();
    routes.into_iter().collect()
}

fn route(found: &mut Findings, at: Place<'_>, message: &v1::Route) -> Option<RouteSpec> {
    let destination = address::network(found, at.field("destination"), &message.destination);
    let via = match message.via.as_str() {
        "" => Some(None),
        text => address::next_hop(found, at.field("via"), text).map(Some),
    };
    let (destination, via) = (destination?, via?);
    if via.is_some_and(|via| via.is_ipv4() != destination.is_ipv4()) {
        let family = if destination.is_ipv4() { "IPv4" } else { "IPv6" };
        found.add(at.field("via"), format_args!("{} is not {family}, as the destination is", Quoted(&message.via)));
        return None;
    }
    Some(RouteSpec { destination, via, metric: message.metric, unless_present: message.unless_present })
}

fn subnet(found: &mut Findings, at: Place<'_>, mut message: v1::Subnet) -> Option<SubnetSpec> {
    let cidr = address::subnet(found, at.field("cidr"), &message.cidr);
    let v4 = cidr.map(|cidr| cidr.is_ipv4());
    found.most(at.field("ranges"), &mut message.ranges, RANGES_PER_SUBNET);
    found.most(at.field("exclude"), &mut message.exclude, EXCLUSIONS_PER_SUBNET);
    let ranges: Vec<_> = message
        .ranges
        .iter()
        .enumerate()
        .map(|(i, range)| {
            let at = at.item("ranges", i);
            let start = member(found, at.field("start"), &range.start, v4);
            let end = member(found, at.field("end"), &range.end, v4);
            start.zip(end)
        })
        .collect();
    let gateway = match message.gateway.as_str() {
        "" => Some(None),
        text => member(found, at.field("gateway"), text, v4).map(Some),
    };
    let exclude: Vec<_> = message
        .exclude
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let at = at.item("exclude", i);
            let exclude = address::exclusion(found, at, text)?;
            same_family(found, at, text, exclude.is_ipv4(), v4).then_some(exclude)
        })
        .collect();
    Some(SubnetSpec {
        cidr: cidr?,
        ranges: ranges.into_iter().collect::<Option<_>>()?,
        gateway: gateway?,
        exclude: exclude.into_iter().collect::<Option<_>>()?,
    })
}

/// An address of the subnet's family.
fn member(found: &mut Findings, at: Place<'_>, text: &str, v4: Option<bool>) -> Option<IpAddr> {
    let ip = address::ip(found, at, text)?;
    same_family(found, at, text, ip.is_ipv4(), v4).then_some(ip)
}

fn same_family(found: &mut Findings, at: Place<'_>, text: &str, is_v4: bool, v4: Option<bool>) -> bool {
    let same = v4.is_none_or(|v4| v4 == is_v4);
    if !same {
        let family = if is_v4 { "IPv6" } else { "IPv4" };
        found.add(at, format_args!("{} is not {family}, as its subnet is", Quoted(text)));
    }
    same
}
