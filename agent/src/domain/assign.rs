//! Chooses what the caller left open: names, MACs and addresses. What was chosen before stays where it can.

#[cfg(any(test, feature = "fuzzing"))]
pub mod alone;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use ipnetwork::IpNetwork;

use super::{
    check::segment::{Plug, Segment, plugs},
    if_name::IfName,
    intent::{Assigned, Intent, NicKey, PodKey},
    ipam::{self, Candidates},
    mac::Mac,
    name::{Namespace, TopologyKey},
    spec::{InterfaceId, PodOwner, SubnetSpec, TopologySpec},
    uplink::{VlanId, Way, asked},
    violation::Violation,
};

/// What other topologies have, and what a pod is called on this node.
pub trait Claims {
    /// The other topology that has this NIC.
    fn nic_owner(&self, nic: &NicKey) -> Option<TopologyKey>;
    /// The other topology that has this address on this device of the node.
    fn address_owner(&self, parent: &IfName, address: IpAddr) -> Option<TopologyKey>;
    /// The other topology that has this VLAN of this device of the node.
    fn vlan_owner(&self, parent: &IfName, vlan: VlanId) -> Option<TopologyKey>;
    /// The network namespace that an owner means.
    fn pod_key(&self, namespace: &Namespace, owner: &PodOwner) -> PodKey;
}

/// Why nothing can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignError {
    /// Every address of a subnet's ranges is taken.
    #[error(
        "{field}: no free address is left in {subnet} for {interface}: widen `ranges` or delete what is not needed"
    )]
    AddressesExhausted {
        /// Field path of the subnet.
        field: String,
        /// The subnet.
        subnet: String,
        /// For whom one was wanted.
        interface: InterfaceId,
    },
    /// A static address on a device of the node is another topology's.
    #[error("{field}: address {address} on device {parent} belongs to topology {owner}")]
    AddressTaken {
        /// Field path of the address.
        field: String,
        /// The address.
        address: IpAddr,
        /// The device.
        parent: String,
        /// Whose it is.
        owner: Box<TopologyKey>,
    },
    /// A VLAN of a device of the node is another topology's.
    #[error(
        "{field}: VLAN {vlan} of device {parent} belongs to topology {owner}: choose another VLAN, or join that topology"
    )]
    VlanTaken {
        /// Field path of the VLAN.
        field: String,
        /// The VLAN.
        vlan: VlanId,
        /// The device.
        parent: String,
        /// Whose it is.
        owner: Box<TopologyKey>,
    },
    /// An interface name of a pod is another topology's.
    #[error("{field}: interface `{name}` of pod {pod} belongs to topology {owner}: choose another name or none")]
    NameTaken {
        /// Field path of the name.
        field: String,
        /// The name.
        name: String,
        /// The pod.
        pod: String,
        /// Whose it is.
        owner: Box<TopologyKey>,
    },
    /// One name twice in one pod, which the caller named in two ways.
    #[error("the request has {} violation(s): {}", .0.len(), crate::domain::violation::list(.0))]
    Invalid(Vec<Violation>),
}

/// Chooses names, MACs and addresses for every interface of a spec that [`check`](super::check::check) has passed. The
/// same arguments give the same result, and `previous` made from that result gives it again.
///
/// # Errors
///
/// A name or an address that somebody else has, or no address left.
pub fn assign(
    spec: &TopologySpec,
    previous: Option<&Intent>,
    claims: &dyn Claims,
) -> Result<BTreeMap<InterfaceId, Assigned>, AssignError> {
    let before = |id: &InterfaceId| previous.and_then(|intent| intent.assigned.get(id));
    let plugs: Vec<(Plug<'_>, Option<&Assigned>)> =
        plugs(spec).into_iter().map(|plug| (before(&plug.id), plug)).map(|(before, plug)| (plug, before)).collect();
    vlans(spec, claims)?;
    let nics = names(spec, &plugs, claims)?;
    let addresses = addresses(&plugs, claims)?;
    let key = &spec.key;
    let chosen = plugs.into_iter().zip(nics).zip(addresses).map(|(((plug, _), nic), addresses)| {
        let mac = plug.interface.mac.unwrap_or_else(|| derived_mac(key, &plug.interface.owner, &nic.name));
        (plug.id, Assigned { nic, mac, addresses })
    });
    Ok(chosen.collect())
}

/// One VLAN of one device belongs to one topology.
fn vlans(spec: &TopologySpec, claims: &dyn Claims) -> Result<(), AssignError> {
    for (_, uplink, path) in asked(spec) {
        let Way::Vlan(vlan) = uplink.way else { continue };
        if let Some(owner) = claims.vlan_owner(&uplink.parent, vlan) {
            let (field, parent) = (format!("{path}.vlan"), uplink.parent.to_string());
            return Err(AssignError::VlanTaken { field, vlan, parent, owner: Box::new(owner) });
        }
    }
    Ok(())
}

/// The MAC of a NIC for which none was asked.
pub(super) fn derived_mac(key: &TopologyKey, owner: &PodOwner, name: &IfName) -> Mac {
    Mac::derived(&["nic", key.namespace.as_str(), key.name.as_str(), &owner.to_string(), name.as_str()])
}

/// The NIC of each interface: explicit names first, then the ones that they had, then the lowest free ones.
fn names(
    spec: &TopologySpec,
    plugs: &[(Plug<'_>, Option<&Assigned>)],
    claims: &dyn Claims,
) -> Result<Vec<NicKey>, AssignError> {
    let mut keys: HashMap<&PodOwner, PodKey> = HashMap::new();
    for (plug, _) in plugs {
        let owner = &plug.interface.owner;
        keys.entry(owner).or_insert_with(|| claims.pod_key(&spec.key.namespace, owner));
    }
    let pod = |i: usize| keys[&plugs[i].0.interface.owner].clone();
    let mut chosen: Vec<Option<NicKey>> = Vec::with_capacity(plugs.len());
    for (i, (plug, _)) in plugs.iter().enumerate() {
        chosen.push(plug.interface.name.clone().map(|name| NicKey { pod: pod(i), name }));
    }
    let mut used = explicit(plugs, &chosen, claims)?;
    let mut order: Vec<usize> = (0..plugs.len()).filter(|i| chosen[*i].is_none()).collect();
    order.sort_by_key(|i| plugs[*i].0.interface.order);
    for &i in &order {
        let kept = plugs[i].1.map(|before| &before.nic).filter(|nic| nic.pod == pod(i));
        if let Some(nic) = kept.filter(|nic| !used.contains(nic) && claims.nic_owner(nic).is_none()) {
            used.insert(nic.clone());
            chosen[i] = Some(nic.clone());
        }
    }
    // Names are only ever taken here, so the next search in a pod goes on where the last one ended.
    let mut next: HashMap<PodKey, usize> = HashMap::new();
    for i in order {
        if chosen[i].is_some() {
            continue;
        }
        let number = next.entry(pod(i)).or_insert(0);
        let nic = loop {
            *number += 1;
            let nic = NicKey { pod: pod(i), name: IfName::numbered(*number) };
            if !used.contains(&nic) && claims.nic_owner(&nic).is_none() {
                break nic;
            }
        };
        used.insert(nic.clone());
        chosen[i] = Some(nic);
    }
    Ok(chosen.into_iter().flatten().collect())
}

/// The NICs that were asked for by name, each of them once and nobody else's.
fn explicit(
    plugs: &[(Plug<'_>, Option<&Assigned>)],
    chosen: &[Option<NicKey>],
    claims: &dyn Claims,
) -> Result<HashSet<NicKey>, AssignError> {
    let mut first: HashMap<&NicKey, &Plug<'_>> = HashMap::new();
    let mut violations = Vec::new();
    for ((plug, _), nic) in plugs.iter().zip(chosen) {
        let Some(nic) = nic else { continue };
        if let Some(other) = first.get(nic) {
            violations.push(Violation::new(
                format!("{}.name", plug.path),
                format!(
                    "`{}` of `{}` and of `{}` at `{}` is one interface, because both are one network namespace: \
                     choose another name, or none",
                    nic.name, plug.interface.owner, other.interface.owner, other.path
                ),
            ));
        } else {
            first.insert(nic, plug);
        }
    }
    if !violations.is_empty() {
        return Err(AssignError::Invalid(violations));
    }
    for ((plug, _), nic) in plugs.iter().zip(chosen) {
        let Some(nic) = nic else { continue };
        if let Some(owner) = claims.nic_owner(nic) {
            return Err(AssignError::NameTaken {
                field: format!("{}.name", plug.path),
                name: nic.name.to_string(),
                pod: nic.pod.to_string(),
                owner: Box::new(owner),
            });
        }
    }
    Ok(first.into_keys().cloned().collect())
}

/// What makes two subnets hand out the same addresses in the same order.
type Pool<'a> = (Segment<'a>, IpNetwork, &'a [(IpAddr, IpAddr)], Option<IpAddr>, &'a [IpNetwork]);

/// The addresses of each interface: static ones first, then the ones that they had, then the lowest free ones.
fn addresses(plugs: &[(Plug<'_>, Option<&Assigned>)], claims: &dyn Claims) -> Result<Vec<Vec<IpNetwork>>, AssignError> {
    let mut used = Used { claims, here: HashSet::new() };
    for (plug, _) in plugs {
        used.take_static(plug)?;
    }
    // What an interface had is reserved for it before anybody gets a new address.
    let mut kept: HashMap<(usize, usize), IpNetwork> = HashMap::new();
    for (i, (plug, before)) in plugs.iter().enumerate() {
        for (s, segment, subnet) in open_subnets(plug) {
            let had = before.iter().flat_map(|before| &before.addresses).map(IpNetwork::ip);
            let fit = had.filter(|address| ipam::hands_out(subnet, *address));
            for address in fit {
                if used.take(segment, address) {
                    kept.extend(ipam::with_prefix(address, &subnet.cidr).map(|address| ((i, s), address)));
                    break;
                }
            }
        }
    }
    // Addresses are only ever taken here, so the next search in a subnet goes on where the last one ended.
    let mut pools: HashMap<Pool<'_>, Candidates> = HashMap::new();
    let mut chosen = Vec::with_capacity(plugs.len());
    for (i, (plug, _)) in plugs.iter().enumerate() {
        let mut addresses = plug.interface.addresses.clone();
        for (s, segment, subnet) in open_subnets(plug) {
            if let Some(address) = kept.get(&(i, s)) {
                addresses.push(*address);
                continue;
            }
            let pool: Pool<'_> = (segment, subnet.cidr, &subnet.ranges, subnet.gateway, &subnet.exclude);
            let candidates = pools.entry(pool).or_insert_with(|| ipam::candidates(subnet));
            let free = candidates.find(|address| used.take(segment, *address));
            let Some(free) = free.and_then(|address| ipam::with_prefix(address, &subnet.cidr)) else {
                return Err(AssignError::AddressesExhausted {
                    field: format!("{}.subnets[{s}]", plug.ipam_path),
                    subnet: subnet.cidr.to_string(),
                    interface: plug.id.clone(),
                });
            };
            addresses.push(free);
        }
        chosen.push(addresses);
    }
    Ok(chosen)
}

/// The subnets that give an interface an address, with their position: those in which it has no static one.
fn open_subnets<'a>(plug: &Plug<'a>) -> impl Iterator<Item = (usize, Segment<'a>, &'a SubnetSpec)> {
    let interface = plug.interface;
    let of_segment = plug.segment.zip(plug.ipam).into_iter();
    let subnets = of_segment
        .flat_map(|(segment, ipam)| ipam.subnets.iter().enumerate().map(move |(s, subnet)| (s, segment, subnet)));
    subnets.filter(|(_, _, subnet)| !interface.addresses.iter().any(|a| ipam::contains(&subnet.cidr, a.ip())))
}

/// The addresses in use on each segment.
struct Used<'a> {
    claims: &'a dyn Claims,
    here: HashSet<(Segment<'a>, IpAddr)>,
}

impl<'a> Used<'a> {
    /// Takes an address, unless somebody has it.
    fn take(&mut self, segment: Segment<'a>, address: IpAddr) -> bool {
        let at = (segment, address);
        !self.here.contains(&at) && self.elsewhere(segment, address).is_none() && self.here.insert(at)
    }

    /// Takes what the caller chose; the same address twice within a topology is the business of `check`.
    fn take_static(&mut self, plug: &Plug<'a>) -> Result<(), AssignError> {
        let Some(segment) = plug.segment else { return Ok(()) };
        for (i, address) in plug.interface.addresses.iter().map(IpNetwork::ip).enumerate() {
            if let Some((parent, owner)) = self.elsewhere(segment, address) {
                let field = format!("{}.addresses[{i}]", plug.path);
                return Err(AssignError::AddressTaken {
                    field,
                    address,
                    parent: parent.to_string(),
                    owner: Box::new(owner),
                });
            }
            self.here.insert((segment, address));
        }
        Ok(())
    }

    /// The other topology that has an address: possible on devices of the node only.
    fn elsewhere(&self, segment: Segment<'a>, address: IpAddr) -> Option<(&'a IfName, TopologyKey)> {
        let Segment::Device(parent) = segment else { return None };
        Some((parent, self.claims.address_owner(parent, address)?))
    }
}

#[cfg(test)]
mod tests;
