//! Addresses and CIDRs as callers write them.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use ipnetwork::IpNetwork;

use super::{
    findings::{Findings, Quoted},
    place::Place,
};

/// An address, in the notation of the family and no other.
pub(super) fn ip(found: &mut Findings, at: Place<'_>, text: &str) -> Option<IpAddr> {
    found.text(at, text, "an IP address")
}

/// An address that an interface can have, with its prefix.
pub(super) fn interface(found: &mut Findings, at: Place<'_>, text: &str) -> Option<IpNetwork> {
    let address = cidr(found, at, text)?;
    match useless(address.ip()).or_else(|| no_host(&address)) {
        None => Some(address),
        Some(problem) => {
            found.add(at, format_args!("{} cannot be an interface's address: {problem}", Quoted(text)));
            None
        }
    }
}

/// A network without host bits; `0.0.0.0/0` too.
pub(super) fn network(found: &mut Findings, at: Place<'_>, text: &str) -> Option<IpNetwork> {
    let cidr = cidr(found, at, text)?;
    if cidr.ip() == cidr.network() {
        return Some(cidr);
    }
    let meant = Short(cidr.network(), cidr.prefix());
    found.add(at, format_args!("{} has host bits: did you mean `{meant}`?", Quoted(text)));
    None
}

/// A network that addresses can be handed out of.
pub(super) fn subnet(found: &mut Findings, at: Place<'_>, text: &str) -> Option<IpNetwork> {
    let subnet = network(found, at, text)?;
    let problem = match useless(subnet.ip()) {
        _ if subnet.prefix() == 0 => Some("it is every address there is"),
        None if covers_useless(&subnet) => Some("it covers loopback or multicast addresses"),
        problem => problem,
    };
    match problem {
        None => Some(subnet),
        Some(problem) => {
            found.add(at, format_args!("{} cannot be a subnet of interfaces: {problem}", Quoted(text)));
            None
        }
    }
}

/// An address, or a network without host bits.
pub(super) fn exclusion(found: &mut Findings, at: Place<'_>, text: &str) -> Option<IpNetwork> {
    if text.contains('/') { network(found, at, text) } else { ip(found, at, text).map(IpNetwork::from) }
}

/// An address that frames can be sent to.
pub(super) fn next_hop(found: &mut Findings, at: Place<'_>, text: &str) -> Option<IpAddr> {
    let address = ip(found, at, text)?;
    match useless(address) {
        None => Some(address),
        Some(problem) => {
            found.add(at, format_args!("{} cannot be a next hop: {problem}", Quoted(text)));
            None
        }
    }
}

/// An address with a prefix length, strictly: no netmasks, no signs, no leading zeroes.
fn cidr(found: &mut Findings, at: Place<'_>, text: &str) -> Option<IpNetwork> {
    let Some((address, prefix)) = text.split_once('/') else {
        let example = text.parse::<IpAddr>().map(|ip| format!(": `{ip}/{}`, say", if ip.is_ipv4() { 24 } else { 64 }));
        let example = example.unwrap_or_else(|_| ": `10.0.0.1/24`, say".to_owned());
        found.add(at, format_args!("{} is not a CIDR: it has no prefix length{example}", Quoted(text)));
        return None;
    };
    let address: IpAddr = match address.parse() {
        Ok(address) => address,
        Err(error) => {
            found.add(at, format_args!("{} is not a CIDR: {error}", Quoted(text)));
            return None;
        }
    };
    let plain = prefix.bytes().all(|b| b.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
    let network = prefix.parse().ok().filter(|_| plain).and_then(|prefix| IpNetwork::new(address, prefix).ok());
    if network.is_none() {
        let most = if address.is_ipv4() { 32 } else { 128 };
        found.add(at, format_args!("{} is not a CIDR: its prefix length is not 0 to {most}", Quoted(text)));
    }
    network
}

/// Why no interface has an address.
fn useless(address: IpAddr) -> Option<&'static str> {
    if address.is_unspecified() {
        Some("it is the unspecified address")
    } else if address.is_loopback() {
        Some("it is a loopback address")
    } else if address.is_multicast() {
        Some("it is a multicast address")
    } else if address == IpAddr::V4(Ipv4Addr::BROADCAST) {
        Some("it is the broadcast address")
    } else if matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        Some("it is an IPv4 address written as IPv6: write it as IPv4")
    } else {
        None
    }
}

/// Whether a subnet is so wide that addresses that no interface can have lie in it.
fn covers_useless(subnet: &IpNetwork) -> bool {
    match subnet {
        IpNetwork::V4(v4) => v4.contains(Ipv4Addr::LOCALHOST) || v4.broadcast() >= Ipv4Addr::new(224, 0, 0, 0),
        IpNetwork::V6(v6) => v6.contains(Ipv6Addr::LOCALHOST) || v6.broadcast().is_multicast(),
    }
}

/// Why an address with its prefix is no host's.
fn no_host(address: &IpNetwork) -> Option<&'static str> {
    if address.prefix() == 0 {
        return Some("with prefix length 0 every address would be on its link");
    }
    match address {
        // RFC 3021: a /31 has two hosts and nothing else; a /32 is one.
        IpNetwork::V4(v4) if v4.prefix() >= 31 => None,
        IpNetwork::V4(v4) if v4.ip() == v4.network() => Some("it is the address of the network itself"),
        IpNetwork::V4(v4) if v4.ip() == v4.broadcast() => Some("it is the broadcast address of its network"),
        // RFC 6164: a /127 has two hosts.
        IpNetwork::V6(v6) if v6.prefix() < 127 && v6.ip() == v6.network() => {
            Some("it is the subnet-router anycast address of its network")
        }
        IpNetwork::V4(_) | IpNetwork::V6(_) => None,
    }
}

/// A CIDR of an address and a prefix length.
struct Short(IpAddr, u8);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.0, self.1)
    }
}
