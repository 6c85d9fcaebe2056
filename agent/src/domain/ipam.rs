//! Which addresses of a subnet may be given to interfaces: the meaning of CNI host-local.
//!
//! A subnet of two addresses or one (/31, /32, /127, /128) is a point-to-point link (RFC 3021, RFC 6164): it has no
//! network and no broadcast address, and no gateway unless one is written, so all of its addresses are handed out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::spec::SubnetSpec;

/// Why an address of the caller's may not be on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It does not lie in the subnet.
    #[error("it is outside of the subnet")]
    Outside,
    /// It is the first address of the subnet: the network itself, in IPv6 the anycast address of its routers.
    #[error("it is the network address of the subnet")]
    Network,
    /// It is the last address of an IPv4 subnet.
    #[error("it is the broadcast address of the subnet")]
    Broadcast,
    /// It is excluded.
    #[error("it is excluded by `{0}`")]
    Excluded(IpNetwork),
    /// It is the gateway's, and nobody wrote that an interface shall be the gateway.
    #[error("it is kept for the gateway: write `gateway: {0}` in the subnet to let an interface be the gateway")]
    Gateway(IpAddr),
}

/// Address of the gateway: the one that was written, else the first address after the network's. `None`: nothing was
/// written and the subnet has at most two addresses.
pub fn gateway(subnet: &SubnetSpec) -> Option<IpAddr> {
    subnet.gateway.or_else(|| {
        let block = Block::of(&subnet.cidr);
        (!block.is_point_to_point()).then(|| address(block.first + 1, subnet.cidr.is_ipv4()))
    })
}

/// The lowest free address in the order of the ranges, with the prefix of the subnet. `None`: all are taken.
///
/// Asks `taken` about candidates only, one by one until one is free: its cost is that of the addresses taken at the
/// beginning of the ranges, whatever the size of the subnet. Who wants many addresses takes them from [`candidates`].
pub fn free_address(subnet: &SubnetSpec, taken: &dyn Fn(IpAddr) -> bool) -> Option<IpNetwork> {
    let free = candidates(subnet).find(|candidate| !taken(*candidate))?;
    with_prefix(free, &subnet.cidr)
}

/// Every address that may be handed out, in the order in which they are.
pub fn candidates(subnet: &SubnetSpec) -> Candidates {
    let whole = Block::of(&subnet.cidr);
    let v4 = subnet.cidr.is_ipv4();
    let mut ranges: Vec<Block> = if subnet.ranges.is_empty() {
        vec![whole]
    } else {
        let same_family = subnet.ranges.iter().filter(|(start, end)| start.is_ipv4() == v4 && end.is_ipv4() == v4);
        same_family
            .filter_map(|(start, end)| whole.common(Block { first: number(*start), last: number(*end) }))
            .collect()
    };
    ranges.reverse();
    Candidates { ranges, kept: kept(subnet), v4 }
}

/// Whether an address is one that may be handed out.
pub fn hands_out(subnet: &SubnetSpec, address: IpAddr) -> bool {
    let in_ranges =
        || subnet.ranges.is_empty() || subnet.ranges.iter().any(|(start, end)| within(address, *start, *end));
    refuses(subnet, address).is_none() && Some(address) != gateway(subnet) && in_ranges()
}

/// Why a static address may not be on an interface. A gateway that was written may be: that interface is the gateway.
pub fn refuses(subnet: &SubnetSpec, address: IpAddr) -> Option<Unfit> {
    let block = Block::of(&subnet.cidr);
    let at = number(address);
    if address.is_ipv4() != subnet.cidr.is_ipv4() || !block.has(at) {
        return Some(Unfit::Outside);
    }
    if !block.is_point_to_point() && at == block.first {
        return Some(Unfit::Network);
    }
    if !block.is_point_to_point() && address.is_ipv4() && at == block.last {
        return Some(Unfit::Broadcast);
    }
    if let Some(exclude) = subnet.exclude.iter().find(|exclude| contains(exclude, address)) {
        return Some(Unfit::Excluded(*exclude));
    }
    (subnet.gateway.is_none() && gateway(subnet) == Some(address)).then_some(Unfit::Gateway(address))
}

/// Whether an address lies in a network. Unlike `IpNetwork::contains` it may be asked across families.
pub(super) fn contains(network: &IpNetwork, address: IpAddr) -> bool {
    network.is_ipv4() == address.is_ipv4() && Block::of(network).has(number(address))
}

/// An address with the prefix of a subnet of its family.
pub(super) fn with_prefix(address: IpAddr, cidr: &IpNetwork) -> Option<IpNetwork> {
    IpNetwork::new(address, cidr.prefix()).ok()
}

fn within(address: IpAddr, start: IpAddr, end: IpAddr) -> bool {
    address.is_ipv4() == start.is_ipv4()
        && address.is_ipv4() == end.is_ipv4()
        && (number(start)..=number(end)).contains(&number(address))
}

/// The addresses that may be handed out, in order: see [`candidates`].
#[derive(Debug, Clone)]
pub struct Candidates {
    /// What is left of the ranges, the next one last.
    ranges: Vec<Block>,
    /// What is never handed out: ascending, without overlaps, so that a large block costs one jump.
    kept: Vec<Block>,
    v4: bool,
}

impl Iterator for Candidates {
    type Item = IpAddr;

    fn next(&mut self) -> Option<IpAddr> {
        while let Some(range) = self.ranges.pop() {
            let next = self.kept.partition_point(|block| block.last < range.first);
            let in_the_way = self.kept.get(next).filter(|block| block.has(range.first));
            // Where the addition overflows there is nothing behind: it was the last address of its family.
            let after = in_the_way.map_or(range.first, |block| block.last).checked_add(1);
            if let Some(rest) = after.and_then(|first| Block::new(first, range.last)) {
                self.ranges.push(rest);
            }
            if in_the_way.is_none() {
                return Some(address(range.first, self.v4));
            }
        }
        None
    }
}

/// Addresses from the first to the last, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Block {
    /// The lowest.
    pub(super) first: u128,
    /// The highest.
    pub(super) last: u128,
}

impl Block {
    fn new(first: u128, last: u128) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// All addresses of a network.
    pub(super) fn of(network: &IpNetwork) -> Self {
        let host_bits = if network.is_ipv4() { 32 } else { 128 } - u32::from(network.prefix());
        let host = 1u128.checked_shl(host_bits).map_or(u128::MAX, |size| size - 1);
        let at = number(network.ip());
        Self { first: at & !host, last: at | host }
    }

    /// Whether it has an address.
    pub(super) fn has(self, at: u128) -> bool {
        (self.first..=self.last).contains(&at)
    }

    /// Whether every address of another one is in it.
    pub(super) fn covers(self, other: Self) -> bool {
        self.has(other.first) && self.has(other.last)
    }

    /// Whether there is no room for a network address beside two others.
    pub(super) fn is_point_to_point(self) -> bool {
        self.last - self.first < 2
    }

    fn common(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }
}

/// What is never handed out: the network's address, IPv4's broadcast, the gateway's, what is excluded.
fn kept(subnet: &SubnetSpec) -> Vec<Block> {
    let whole = Block::of(&subnet.cidr);
    let v4 = subnet.cidr.is_ipv4();
    let one = |at| Block { first: at, last: at };
    let mut kept: Vec<Block> = subnet.exclude.iter().filter(|e| e.is_ipv4() == v4).map(Block::of).collect();
    kept.extend(gateway(subnet).filter(|gateway| gateway.is_ipv4() == v4).map(|gateway| one(number(gateway))));
    if !whole.is_point_to_point() {
        kept.push(one(whole.first));
        kept.extend(v4.then_some(one(whole.last)));
    }
    kept.sort_unstable();
    let mut merged: Vec<Block> = Vec::with_capacity(kept.len());
    for block in kept {
        match merged.last_mut() {
            Some(before) if block.first <= before.last.saturating_add(1) => before.last = before.last.max(block.last),
            _ => merged.push(block),
        }
    }
    merged
}

/// An address as a number, the same within a family.
pub(super) fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

fn address(number: u128, v4: bool) -> IpAddr {
    match u32::try_from(number) {
        Ok(bits) if v4 => Ipv4Addr::from_bits(bits).into(),
        _ => Ipv6Addr::from_bits(number).into(),
    }
}

#[cfg(test)]
mod tests;
