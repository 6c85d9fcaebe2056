//! Makes an intent from what the kernel has: for a store that cannot be read, and for a panel that nobody asked for.
//!
//! What is behind a port of a panel is ours, for the panel is. What has no port must be what `plan` takes for provably
//! ours, and say by its mark what it is part of: a pod can write any mark on its own devices.
//!
//! Some of what was asked for leaves no trace: IPAM (addresses become static ones), leases, generations,
//! `unless_present`, the UID of a pod, and which names and MACs were chosen and which were asked for.

mod bridge;
mod impaired;
mod interface;
mod ipv6;
mod order;
mod ported;
mod portless;
mod uplinked;

use std::{collections::BTreeMap, fmt};

use super::{
    desired::derived_bridge_mac,
    device::{Mark, bridge_device_name},
    intent::{Assigned, Generation, Intent, NicKey, Ownership, PodKey},
    name::{ElementName, TopologyKey, TopologyName},
    observed::{BridgeState, Observed, PodView},
    queue::Egress,
    spec::{BridgeSpec, InterfaceId, PodOwner, TopologySpec},
};
use interface::{Seen, wire_mtu};

/// What was made of a topology that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adopted {
    /// What can be kept as it is: a converge to it changes nothing of it.
    pub intent: Intent,
    /// All that is ours: also what cannot be kept. As the intent before, it says what may be removed.
    pub former: Intent,
    /// What cannot be kept, with the reasons.
    pub left: Vec<Left>,
}

/// Something that cannot be adopted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    /// What it is: `port bb1.net1`, `bb1/net1`.
    pub what: String,
    /// Why.
    pub reason: String,
    /// What becomes of it.
    pub fate: Fate,
}

/// What becomes of something that cannot be adopted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It is removed.
    Removed,
    /// It is not provably ours.
    Stays,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "removed",
            Self::Stays => "stays",
        })
    }
}

/// Makes an intent of one topology from one look at it. `owners` says whom each pod of the look would be asked for as.
pub fn adopt(key: &TopologyKey, observed: &Observed, owners: &BTreeMap<PodKey, PodOwner>) -> Adopted {
    let mut adoption = Adoption {
        key,
        observed,
        owners,
        kept: Draft::new(key),
        doomed: Draft::new(key),
        bridges: BTreeMap::new(),
        egress: BTreeMap::new(),
        left: Vec::new(),
    };
    adoption.bridges();
    adoption.ported();
    adoption.portless();
    adoption.uplinks();
    adoption.strangers();
    adoption.finish()
}

/// A spec with what was chosen for it.
#[derive(Debug, Clone)]
struct Draft {
    spec: TopologySpec,
    assigned: BTreeMap<InterfaceId, Assigned>,
}

impl Draft {
    fn new(key: &TopologyKey) -> Self {
        Self { spec: TopologySpec::empty(key.clone()), assigned: BTreeMap::new() }
    }

    fn intent(mut self) -> Intent {
        self.spec.bridges.sort_by(|x, y| x.name.cmp(&y.name));
        self.spec.links.sort_by(|x, y| x.name.cmp(&y.name));
        self.spec.attachments.sort_by(|x, y| x.name.cmp(&y.name));
        let calls = self.spec.key.name == TopologyName::default();
        Intent {
            ownership: if calls { Ownership::Calls } else { Ownership::Apply },
            generation: Generation(0),
            applied_at: Generation(0),
            applied: None,
            spec: self.spec,
            assigned: self.assigned,
        }
    }
}

/// An adoption under way.
struct Adoption<'a> {
    key: &'a TopologyKey,
    observed: &'a Observed,
    owners: &'a BTreeMap<PodKey, PodOwner>,
    kept: Draft,
    /// Provably ours, and not to be kept.
    doomed: Draft,
    /// The bridges that are kept, by index.
    bridges: BTreeMap<u32, ElementName>,
    /// What waits before the NICs behind ports.
    egress: BTreeMap<NicKey, Egress>,
    left: Vec<Left>,
}

impl<'a> Adoption<'a> {
    fn leave(&mut self, what: impl fmt::Display, reason: impl Into<String>, fate: Fate) {
        self.left.push(Left { what: what.to_string(), reason: reason.into(), fate });
    }

    fn bridges(&mut self) {
        for (device, state) in self.observed.panel.iter().flat_map(|panel| &panel.bridges) {
            let Some(name) = bridge_name(device, state) else {
                let reason = "its name was too long for a device and the altname with the full one is missing";
                self.leave(format_args!("bridge {device}"), reason, Fate::Removed);
                continue;
            };
            let ports = self.observed.panel.iter().flat_map(|panel| panel.ports.values());
            let ports = ports.filter(|port| port.master == Some(state.index)).map(|port| port.mtu);
            let mtu = wire_mtu(ports.chain([state.mtu]));
            let mac = state.mac.filter(|mac| *mac != derived_bridge_mac(self.key, &name));
            self.bridges.insert(state.index, name.clone());
            let uplink = self.uplink_of_bridge(state.index);
            let ports = self.observed.panel.iter().flat_map(|panel| panel.ports.values());
            let ports = ports.filter(|port| port.master == Some(state.index)).filter_map(|port| port.bridge_port);
            let ports = ports.chain(self.uplink_port_of_bridge(state.index));
            let l2_profile = bridge::profile(state.options, ports);
            self.kept.spec.bridges.push(BridgeSpec {
                name,
                mtu,
                mac,
                ipam: None,
                hairpin: false,
                isolated: false,
                l2_profile,
                stp: state.options.stp,
                mcast_snooping: state.options.mcast_snooping,
                ageing: bridge::ageing(state.options, l2_profile),
                vlan_aware: state.options.vlan_filtering,
                uplink,
            });
        }
    }

    fn strangers(&mut self) {
        for (_, name) in self.observed.panel.iter().flat_map(|panel| &panel.strangers) {
            self.leave(format_args!("device {name} of the panel"), "podwire did not make it", Fate::Removed);
        }
    }

    fn finish(mut self) -> Adopted {
        order::order(&mut self.kept, self.observed);
        ipv6::fit(&mut self.kept.spec);
        impaired::impair(&mut self.kept, &self.egress);
        let mut former = self.kept.clone();
        former.spec.links.append(&mut self.doomed.spec.links);
        former.spec.attachments.append(&mut self.doomed.spec.attachments);
        former.assigned.append(&mut self.doomed.assigned);
        self.left.sort();
        Adopted { intent: self.kept.intent(), former: former.intent(), left: self.left }
    }

    /// The devices of the pods that were looked at.
    fn links(&self) -> impl Iterator<Item = (&'a PodKey, u32)> + use<'a> {
        self.observed.pods.iter().flat_map(|(key, view)| match view {
            PodView::Present(pod) => pod.links.values().map(|link| (key, link.index)).collect(),
            PodView::Absent(_) | PodView::Refused(_) => Vec::new(),
        })
    }

    /// What a NIC says that it is. It must say one thing of this topology, and no second.
    fn id_of(&self, seen: &Seen<'_>) -> Result<InterfaceId, String> {
        let marks: Vec<_> = seen.link.altnames.iter().map(|name| (name, name.parse::<Mark>())).collect();
        let of_us: Vec<&InterfaceId> = marks
            .iter()
            .filter_map(|(_, mark)| mark.as_ref().ok().filter(|mark| mark.key == *self.key))
            .map(|mark| &mark.id)
            .collect();
        match of_us[..] {
            [id] => Ok(id.clone()),
            [] => Err(match marks.iter().find(|(name, _)| name.starts_with(super::device::PANEL_PREFIX)) {
                Some((name, Ok(mark))) => format!("it is marked as `{name}`, which is of topology {}", mark.key),
                Some((name, Err(error))) => format!("its mark `{name}` cannot be read: {error}"),
                None => "it has no mark: it was never finished, or somebody took the mark away".to_owned(),
            }),
            _ => Err("it has several marks of this topology, and nothing says which one holds".to_owned()),
        }
    }
}

/// The element that a bridge device is.
fn bridge_name(device: &str, state: &BridgeState) -> Option<ElementName> {
    let mut names = std::iter::once(device).chain(state.altnames.iter().map(String::as_str));
    names.find_map(|name| name.parse::<ElementName>().ok().filter(|name| bridge_device_name(name) == device))
}
