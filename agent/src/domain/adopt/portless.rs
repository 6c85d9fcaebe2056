//! Interfaces without a port: both ends of DIRECT links, and macvlan.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    device::Mark,
    if_name::IfName,
    impairment::Impairment,
    intent::PodKey,
    mtu::Mtu,
    name::ElementName,
    observed::LinkKind,
    spec::{AttachmentSpec, DeviceSpec, End, InterfaceId, LinkMode, LinkSpec, MacvlanMode, Target},
};

use super::{
    Adoption, Draft, Fate,
    interface::{Seen, wire_mtu},
};

/// What is provably ours as `plan` has it: in our group, of the right kind, with the right far end or parent. That it is
/// marked is known of one of the ends at least.
enum Found<'a> {
    Pair(Seen<'a>, Seen<'a>),
    Macvlan(Seen<'a>, IfName, MacvlanMode),
}

impl<'a> Adoption<'a> {
    /// Adopts marked devices that are not behind ports.
    pub(super) fn portless(&mut self) {
        let ports = self.observed.panel.iter().flat_map(|panel| panel.ports.values());
        let behind_ports: BTreeSet<_> = ports.filter_map(|port| port.nic.as_ref()).map(|(pod, i)| (pod, *i)).collect();
        let mut paired: BTreeSet<(PodKey, u32)> = BTreeSet::new();
        let mut elements: BTreeMap<ElementName, Vec<Found<'a>>> = BTreeMap::new();
        let mut doomed = Vec::new();
        for (pod, index) in self.links().filter(|place| !behind_ports.contains(place)) {
            let Ok(seen) = self.seen(pod, index) else { continue };
            if !self.is_marked(&seen) || paired.contains(&(pod.clone(), index)) {
                continue;
            }
            let found = match self.proven(&seen) {
                Ok(found) => found,
                Err(reason) => {
                    self.leave(&seen.key, reason, Fate::Stays);
                    continue;
                }
            };
            if let Found::Pair(a, b) = &found {
                paired.extend([a, b].map(|end| (end.key.pod.clone(), end.link.index)));
            }
            match self.element_of(&found) {
                Ok((element, found)) => elements.entry(element).or_default().push(found),
                Err(reason) => doomed.push((found, reason)),
            }
        }
        for (element, mut found) in elements {
            let taken = self.kept.spec.has(&element);
            match found.pop() {
                Some(one) if found.is_empty() && !taken => keep(self, &element, &one),
                last => {
                    let reason = if taken { "is another element" } else { "is said to be several things" };
                    let all = found.into_iter().chain(last);
                    doomed.extend(all.map(|each| (each, format!("`{element}`, as which it is marked, {reason}"))));
                }
            }
        }
        for (found, reason) in doomed {
            self.doom(&found, &reason);
        }
    }

    fn is_marked(&self, seen: &Seen<'_>) -> bool {
        let mut marks = seen.link.altnames.iter().filter_map(|name| name.parse::<Mark>().ok());
        marks.any(|mark| mark.key == *self.key)
    }

    /// The proof that a marked device is ours, or why there is none.
    fn proven(&self, seen: &Seen<'a>) -> Result<Found<'a>, String> {
        if !seen.link.ours {
            return Err("it is marked, and not in podwire's device group: podwire did not make it".to_owned());
        }
        match &seen.link.kind {
            LinkKind::Veth { peer } => {
                let (pod, index) = peer.as_ref().ok_or("its other end is neither a port nor in a pod that was seen")?;
                let far = self.seen(pod, *index)?;
                if !far.link.ours {
                    return Err(format!("its other end, {}, is not in podwire's device group", far.key));
                }
                Ok(Found::Pair(seen.clone(), far))
            }
            LinkKind::Macvlan { parent, mode } => {
                let devices = &self.observed.devices;
                let parent = parent.and_then(|index| devices.iter().find(|(_, (i, _))| *i == index));
                let parent =
                    parent.and_then(|(name, _)| name.parse().ok()).ok_or("its parent is no device of the node")?;
                let mode = mode.ok_or("its macvlan mode is none that podwire makes")?;
                Ok(Found::Macvlan(seen.clone(), parent, mode))
            }
            LinkKind::Other => {
                Err("it is marked, and neither a veth nor a macvlan: podwire did not make it".to_owned())
            }
        }
    }

    /// Which element something is, its ends in order.
    fn element_of(&self, found: &Found<'a>) -> Result<(ElementName, Found<'a>), String> {
        match found {
            Found::Pair(x, y) => {
                let (id_x, id_y) = (self.id_of(x), self.id_of(y));
                let id_x = id_x.map_err(|reason| format!("{}: {reason}", x.key))?;
                let id_y = id_y.map_err(|reason| format!("{}: {reason}", y.key))?;
                let found = match (id_x.end, id_y.end) {
                    (End::A, End::B) => Found::Pair(x.clone(), y.clone()),
                    (End::B, End::A) => Found::Pair(y.clone(), x.clone()),
                    _ => return Err(format!("its ends are marked as `{id_x}` and `{id_y}`")),
                };
                if id_x.element != id_y.element {
                    return Err(format!("its ends are marked as `{id_x}` and `{id_y}`"));
                }
                Ok((id_x.element, found))
            }
            Found::Macvlan(seen, parent, mode) => match self.id_of(seen)? {
                InterfaceId { element, end: End::Only } => {
                    Ok((element, Found::Macvlan(seen.clone(), parent.clone(), *mode)))
                }
                id => Err(format!("it is a macvlan and marked as `{id}`, the end of a link")),
            },
        }
    }

    /// What is ours and cannot be kept stands in the intent before, under a name that nothing else has.
    fn doom(&mut self, found: &Found<'a>, reason: &str) {
        let taken = |name: &ElementName| self.kept.spec.has(name) || self.doomed.spec.has(name);
        let mut names = (1..).filter_map(|n: u32| format!("unfinished-{n}").parse().ok());
        let Some(element) = names.find(|name| !taken(name)) else { return };
        let mut draft = std::mem::replace(&mut self.doomed, Draft::new(self.key));
        self.put(&mut draft, &element, found);
        self.doomed = draft;
        match found {
            Found::Pair(a, b) => {
                let what = format!("{} and {}, which are one veth pair", a.key, b.key);
                self.leave(what, reason, Fate::Removed);
            }
            Found::Macvlan(seen, ..) => self.leave(&seen.key, reason, Fate::Removed),
        }
    }

    fn put(&self, draft: &mut Draft, element: &ElementName, found: &Found<'_>) {
        let id = |end| InterfaceId { element: element.clone(), end };
        match found {
            Found::Pair(a, b) => {
                let mtu = wire_mtu([a.link.mtu, b.link.mtu]);
                let (interface_a, assigned_a) = self.interface(a, mtu);
                let (interface_b, assigned_b) = self.interface(b, mtu);
                draft.spec.links.push(LinkSpec {
                    name: element.clone(),
                    a: interface_a,
                    b: interface_b,
                    mode: LinkMode::Direct,
                    up: true,
                    ipam: None,
                    a_to_b: Impairment::default(),
                    b_to_a: Impairment::default(),
                });
                draft.assigned.extend([(id(End::A), assigned_a), (id(End::B), assigned_b)]);
            }
            Found::Macvlan(seen, parent, mode) => {
                let of_parent = self.observed.devices.get(parent.as_str()).map(|(_, mtu)| *mtu);
                let own = Mtu::try_from(seen.link.mtu).ok().filter(|own| Some(own.bytes()) != of_parent);
                let (interface, assigned) = self.interface(seen, own);
                draft.spec.attachments.push(AttachmentSpec {
                    name: element.clone(),
                    interface,
                    target: Target::Device(DeviceSpec { parent: parent.clone(), mode: *mode, ipam: None }),
                    hairpin: None,
                    isolated: None,
                    vlan: None,
                    flood: None,
                    mcast_flood: None,
                    up: true,
                    to_interface: Impairment::default(),
                });
                draft.assigned.insert(id(End::Only), assigned);
            }
        }
    }
}

fn keep<'a>(adoption: &mut Adoption<'a>, element: &ElementName, found: &Found<'a>) {
    let mut draft = std::mem::replace(&mut adoption.kept, Draft::new(adoption.key));
    adoption.put(&mut draft, element, found);
    adoption.kept = draft;
}
