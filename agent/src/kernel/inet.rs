//! Messages for addresses and routes.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage},
    route::{RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
};

use crate::domain::{observed::PodRoute, spec::RouteSpec};

use super::socket::{Mode, Request};

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address_message(index: u32, address: IpNetwork) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.family = family(address.ip());
    message.header.prefix_len = address.prefix();
    message.attributes.push(AddressAttribute::Local(address.ip()));
    message.attributes.push(AddressAttribute::Address(address.ip()));
    message
}

/// Gives a device an address. IPv6 without duplicate address detection: podwire owns uniqueness, and an address that
/// is tentative for a second drops the first packets.
pub(super) fn add_address(index: u32, address: IpNetwork) -> Request {
    let mut message = address_message(index, address);
    match address {
        IpNetwork::V4(v4) if v4.prefix() < 31 => {
            message.attributes.push(AddressAttribute::Broadcast(v4.broadcast()));
        }
        IpNetwork::V4(_) => {}
        IpNetwork::V6(_) => {
            message.header.flags = AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
        }
    }
    Request { message: RouteNetlinkMessage::NewAddress(message), mode: Mode::Create }
}

/// Takes an address from a device.
pub(super) fn remove_address(index: u32, address: IpNetwork) -> Request {
    Request { message: RouteNetlinkMessage::DelAddress(address_message(index, address)), mode: Mode::Change }
}

/// Asks for all addresses.
pub(super) fn get_addresses() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetAddress(AddressMessage::default())
}

/// The device and the address of an entry.
pub(super) fn address_of(message: &RouteNetlinkMessage) -> Option<(u32, IpNetwork)> {
    let RouteNetlinkMessage::NewAddress(message) = message else { return None };
    let find = |local: bool| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Local(address) if local => Some(*address),
            AddressAttribute::Address(address) if !local => Some(*address),
            _ => None,
        })
    };
    let address = find(true).or_else(|| find(false))?;
    Some((message.header.index, IpNetwork::new(address, message.header.prefix_len).ok()?))
}

fn route_message(index: u32, route: &RouteSpec) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.destination.ip());
    message.header.destination_prefix_length = route.destination.prefix();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    message.header.scope =
        if route.via.is_some() || route.destination.is_ipv6() { RouteScope::Universe } else { RouteScope::Link };
    if route.destination.prefix() > 0 {
        message.attributes.push(RouteAttribute::Destination(wire_address(route.destination.ip())));
    }
    if let Some(via) = route.via {
        message.attributes.push(RouteAttribute::Gateway(wire_address(via)));
    }
    if route.metric != 0 {
        message.attributes.push(RouteAttribute::Priority(route.metric));
    }
    message.attributes.push(RouteAttribute::Oif(index));
    message
}

fn wire_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}

/// Gives a device a route. One that is there already is refused, never replaced.
pub(super) fn add_route(index: u32, route: &RouteSpec) -> Request {
    Request { message: RouteNetlinkMessage::NewRoute(route_message(index, route)), mode: Mode::Create }
}

/// Takes a route from a device.
pub(super) fn remove_route(index: u32, route: &RouteSpec) -> Request {
    let mut message = route_message(index, route);
    message.header.protocol = RouteProtocol::Unspec;
    message.header.scope = RouteScope::NoWhere;
    Request { message: RouteNetlinkMessage::DelRoute(message), mode: Mode::Change }
}

/// Asks for all routes of a family.
pub(super) fn get_routes(v4: bool) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = if v4 { AddressFamily::Inet } else { AddressFamily::Inet6 };
    RouteNetlinkMessage::GetRoute(message)
}

/// A unicast route of the main table.
pub(super) fn route_of(message: &RouteNetlinkMessage) -> Option<PodRoute> {
    let RouteNetlinkMessage::NewRoute(message) = message else { return None };
    if message.header.table != RouteHeader::RT_TABLE_MAIN || message.header.kind != RouteType::Unicast {
        return None;
    }
    let any = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from([0; 4]),
        AddressFamily::Inet6 => IpAddr::from([0; 16]),
        _ => return None,
    };
    let mut route = PodRoute {
        destination: IpNetwork::new(any, message.header.destination_prefix_length).ok()?,
        via: None,
        metric: 0,
        device: None,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(address) => {
                route.destination =
                    IpNetwork::new(plain_address(address)?, message.header.destination_prefix_length).ok()?;
            }
            RouteAttribute::Gateway(address) => route.via = plain_address(address),
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Oif(index) => route.device = Some(*index),
            _ => {}
        }
    }
    Some(route)
}

fn plain_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}
