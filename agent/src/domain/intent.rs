//! What was decided: a spec with everything chosen that the caller left open. This is what the store keeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};

use super::{
    if_name::IfName,
    mac::Mac,
    name::{ElementName, TopologyKey},
    spec::{End, InterfaceId, Target, TopologySpec},
    uplink::{VlanId, Way, asked},
};

/// Who may change a topology: decided by the call that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ownership {
    /// `ApplyTopology`.
    Apply,
    /// The single calls.
    Calls,
}

/// Fencing number of a scheduler; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which network namespace a pod name means on this node. Two owners with one key are one namespace, so interface
/// names are unique within a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PodKey(String);

impl PodKey {
    /// A key as the source of pods makes it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PodKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of a NIC: it stays the same NIC when its wire changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NicKey {
    /// Whose it is.
    pub pod: PodKey,
    /// Its name inside the pod.
    pub name: IfName,
}

impl fmt::Display for NicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pod, self.name)
    }
}

/// What was chosen for one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assigned {
    /// The NIC that it is.
    pub nic: NicKey,
    /// Its MAC.
    pub mac: Mac,
    /// All its addresses: the static ones as asked, then one of each subnet that has no static one.
    pub addresses: Vec<IpNetwork>,
}

/// A topology as it shall be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// What was asked for.
    pub spec: TopologySpec,
    /// Who may change it.
    pub ownership: Ownership,
    /// The highest fencing number seen.
    pub generation: Generation,
    /// The fencing number of the last ApplyTopology.
    pub applied_at: Generation,
    /// What ApplyTopology asked for last, where a single call has changed the spec since.
    pub applied: Option<Box<TopologySpec>>,
    /// What was chosen, for every interface of the spec.
    pub assigned: BTreeMap<InterfaceId, Assigned>,
}

impl Intent {
    /// Its key.
    pub fn key(&self) -> &TopologyKey {
        &self.spec.key
    }

    /// What ApplyTopology asked for last.
    pub fn body(&self) -> &TopologySpec {
        self.applied.as_deref().unwrap_or(&self.spec)
    }

    /// The NICs that it has.
    pub fn nics(&self) -> impl Iterator<Item = &NicKey> {
        self.assigned.values().map(|assigned| &assigned.nic)
    }

    /// Whether it has the NICs, addresses and VLANs of the node that another one has.
    pub fn claims_the_same(&self, other: &Self) -> bool {
        self.nics().eq(other.nics())
            && self.device_addresses().eq(other.device_addresses())
            && self.vlans().eq(other.vlans())
    }

    /// Keeps only links and attachments all of whose NICs are wanted, and no bridge that is left without any.
    pub fn retain(&mut self, wanted: impl Fn(&NicKey) -> bool) {
        let unwanted = self.assigned.iter().filter(|(_, assigned)| !wanted(&assigned.nic));
        let gone: BTreeSet<ElementName> = unwanted.map(|(id, _)| id.element.clone()).collect();
        self.spec.links.retain(|link| !gone.contains(&link.name));
        self.spec.attachments.retain(|attachment| !gone.contains(&attachment.name));
        let attachments = &self.spec.attachments;
        self.spec.bridges.retain(|bridge| {
            attachments.iter().any(|each| matches!(&each.target, Target::Bridge(name) if *name == bridge.name))
        });
        self.assigned.retain(|id, _| !gone.contains(&id.element));
    }

    /// The VLANs of devices of the node that it has.
    pub fn vlans(&self) -> impl Iterator<Item = (&IfName, VlanId)> {
        asked(&self.spec).filter_map(|(_, uplink, _)| match uplink.way {
            Way::Vlan(vlan) => Some((&uplink.parent, vlan)),
            Way::BridgePort => None,
        })
    }

    /// The addresses that it has on devices of the node, with the device.
    pub fn device_addresses(&self) -> impl Iterator<Item = (&IfName, IpAddr)> {
        self.spec.attachments.iter().flat_map(|attachment| {
            let parent = attachment.target.shared_device();
            let id = InterfaceId { element: attachment.name.clone(), end: End::Only };
            let addresses = self.assigned.get(&id).map(|a| a.addresses.as_slice()).unwrap_or_default();
            parent.into_iter().flat_map(move |parent| addresses.iter().map(move |address| (parent, address.ip())))
        })
    }
}
