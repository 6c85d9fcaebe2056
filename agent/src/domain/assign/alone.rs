//! For tests: nobody else has anything on the node.

use std::net::IpAddr;

use super::Claims;
use crate::domain::{
    if_name::IfName,
    intent::{NicKey, PodKey},
    name::{Namespace, TopologyKey},
    spec::PodOwner,
    uplink::VlanId,
};

/// The claims of a node with one topology.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Claims for Alone {
    fn nic_owner(&self, _: &NicKey) -> Option<TopologyKey> {
        None
    }

    fn address_owner(&self, _: &IfName, _: IpAddr) -> Option<TopologyKey> {
        None
    }

    fn vlan_owner(&self, _: &IfName, _: VlanId) -> Option<TopologyKey> {
        None
    }

    fn pod_key(&self, _: &Namespace, owner: &PodOwner) -> PodKey {
        PodKey::new(owner.to_string())
    }
}
