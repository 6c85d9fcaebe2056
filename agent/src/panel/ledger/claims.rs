//! What topologies claim of the node against each other.

use std::net::IpAddr;

use crate::{
    domain::{
        assign::Claims,
        if_name::IfName,
        intent::{NicKey, PodKey},
        name::{Namespace, TopologyKey},
        spec::PodOwner,
        uplink::VlanId,
    },
    pods::Pods,
};

use super::Ledger;

/// What others than one topology claim.
pub(in crate::panel) struct Others<'a> {
    pub ledger: &'a Ledger,
    pub key: &'a TopologyKey,
    pub pods: &'a dyn Pods,
}

impl Claims for Others<'_> {
    fn nic_owner(&self, nic: &NicKey) -> Option<TopologyKey> {
        self.ledger.nics.get(nic).filter(|owner| *owner != self.key).cloned()
    }

    fn address_owner(&self, parent: &IfName, address: IpAddr) -> Option<TopologyKey> {
        self.ledger.addresses.get(&(parent.clone(), address)).filter(|owner| *owner != self.key).cloned()
    }

    fn vlan_owner(&self, parent: &IfName, vlan: VlanId) -> Option<TopologyKey> {
        self.ledger.vlans.get(&(parent.clone(), vlan)).filter(|owner| *owner != self.key).cloned()
    }

    fn pod_key(&self, namespace: &Namespace, owner: &PodOwner) -> PodKey {
        self.pods.key(namespace, owner)
    }
}
