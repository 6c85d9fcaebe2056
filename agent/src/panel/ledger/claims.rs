//! What topologies claim of the node against each other.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{
    domain::{
        assign::Claims,
        if_name::IfName,
        intent::{Intent, NicKey, PodKey},
        name::{Namespace, TopologyKey},
        spec::PodOwner,
        uplink::VlanId,
    },
    pods::Pods,
};

use super::{Entry, Ledger};

/// What others than one topology claim.
pub(in crate::panel) struct Others<'a> {
    pub ledger: &'a Ledger,
    pub key: &'a TopologyKey,
    pub pods: &'a dyn Pods,
}

impl Claims for Others<'_> {
    fn nic_owner(&self, nic: &NicKey) -> Option<TopologyKey> {
        self.ledger.claims.nics.get(nic).filter(|owner| *owner != self.key).cloned()
    }

    fn address_owner(&self, parent: &IfName, address: IpAddr) -> Option<TopologyKey> {
        self.ledger.claims.addresses.get(&(parent.clone(), address)).filter(|owner| *owner != self.key).cloned()
    }

    fn vlan_owner(&self, parent: &IfName, vlan: VlanId) -> Option<TopologyKey> {
        self.ledger.claims.vlans.get(&(parent.clone(), vlan)).filter(|owner| *owner != self.key).cloned()
    }

    fn pod_key(&self, namespace: &Namespace, owner: &PodOwner) -> PodKey {
        self.pods.key(namespace, owner)
    }
}

/// Who claims what.
#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) nics: BTreeMap<NicKey, TopologyKey>,
    addresses: BTreeMap<(IfName, IpAddr), TopologyKey>,
    vlans: BTreeMap<(IfName, VlanId), TopologyKey>,
    /// What each topology has in the others: a change of one must not look through those of all.
    of: BTreeMap<TopologyKey, Claimed>,
}

/// What a topology has in the index.
#[derive(Debug, Default)]
struct Claimed {
    nics: Vec<NicKey>,
    addresses: Vec<(IfName, IpAddr)>,
    vlans: Vec<(IfName, VlanId)>,
}

impl Index {
    /// Writes anew what a topology claims; `None`: it is gone.
    pub(super) fn write(&mut self, key: &TopologyKey, entry: Option<&Entry>) {
        if let Some(had) = self.of.remove(key) {
            give_up(&mut self.nics, &had.nics, key);
            give_up(&mut self.addresses, &had.addresses, key);
            give_up(&mut self.vlans, &had.vlans, key);
        }
        let Some(entry) = entry else { return };
        let mut has = Claimed::default();
        claim(&mut self.nics, &mut has.nics, key, entry, |intent| intent.nics().cloned().collect());
        claim(&mut self.addresses, &mut has.addresses, key, entry, |intent| {
            intent.device_addresses().map(|(parent, address)| (parent.clone(), address)).collect()
        });
        claim(&mut self.vlans, &mut has.vlans, key, entry, |intent| {
            intent.vlans().map(|(parent, vlan)| (parent.clone(), vlan)).collect()
        });
        self.of.insert(key.clone(), has);
    }

    /// Topologies that have an interface in a pod.
    pub(super) fn of_pod(&self, pod: &PodKey) -> Vec<TopologyKey> {
        let from = NicKey { pod: pod.clone(), name: IfName::BEFORE_ALL };
        let nics = self.nics.range(from..).take_while(|(nic, _)| nic.pod == *pod);
        let mut keys: Vec<TopologyKey> = nics.map(|(_, key)| key.clone()).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

/// Claims what a topology is, and of what it was what nobody has.
fn claim<K: Ord + Clone>(
    index: &mut BTreeMap<K, TopologyKey>,
    has: &mut Vec<K>,
    key: &TopologyKey,
    entry: &Entry,
    of: impl Fn(&Intent) -> Vec<K>,
) {
    for each in of(&entry.intent) {
        index.insert(each.clone(), key.clone());
        has.push(each);
    }
    for each in entry.former.iter().flat_map(|former| of(former)) {
        if !index.contains_key(&each) {
            index.insert(each.clone(), key.clone());
            has.push(each);
        }
    }
}

/// Removes what a topology had, unless another one has it by now.
fn give_up<K: Ord>(index: &mut BTreeMap<K, TopologyKey>, had: &[K], key: &TopologyKey) {
    for each in had {
        if index.get(each) == Some(key) {
            index.remove(each);
        }
    }
}
