//! Routes and address management.

use podwire_proto::v1;

use crate::domain::spec::{IpamSpec, RouteSpec, SubnetSpec};

/// An IPAM as asked for.
pub(super) fn ipam(spec: &IpamSpec) -> v1::Ipam {
    v1::Ipam { subnets: spec.subnets.iter().map(subnet).collect(), routes: spec.routes.iter().map(route).collect() }
}

/// A route.
pub(super) fn route(spec: &RouteSpec) -> v1::Route {
    v1::Route {
        destination: spec.destination.to_string(),
        via: spec.via.map(|via| via.to_string()).unwrap_or_default(),
        metric: spec.metric,
        unless_present: spec.unless_present,
    }
}

fn subnet(spec: &SubnetSpec) -> v1::Subnet {
    let range = |(start, end): &(std::net::IpAddr, std::net::IpAddr)| v1::AddressRange {
        start: start.to_string(),
        end: end.to_string(),
    };
    v1::Subnet {
        cidr: spec.cidr.to_string(),
        ranges: spec.ranges.iter().map(range).collect(),
        gateway: spec.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
        exclude: spec.exclude.iter().map(ToString::to_string).collect(),
    }
}
