//! Which devices a topology has, and when each was looked at: what is heard of one needs a look at that one only.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::{
    domain::{
        desired::Desired,
        device::{bridge_device_name, port_device_name},
        intent::{NicKey, PodKey},
        name::ElementName,
        observed::{Observed, PodView},
        part::Part,
    },
    kernel::{Moment, News, Place},
};

/// Devices that are gone and remembered nevertheless, or of which was heard. With more, the next look is at the whole topology.
const MOST: usize = 256;

/// A device: where it is, and its index there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spot {
    Panel(u32),
    Pod(PodKey, u32),
}

/// What a device is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Nic(NicKey),
    Bridge(ElementName),
}

/// What of a topology is to be looked at for what was heard.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::panel) enum Unseen {
    Nothing,
    Part(Part),
    All,
}

/// Devices, with what they are of.
pub(super) type Spots = BTreeMap<Spot, Owner>;

/// The devices that are there of what is desired.
pub(super) fn spots(desired: &Desired, observed: &Observed) -> Spots {
    let mut spots = Spots::new();
    let panel = observed.panel.as_ref();
    for nic in &desired.nics {
        let owner = Owner::Nic(nic.key.clone());
        if let Some(port) = panel.and_then(|panel| panel.ports.get(&port_device_name(&nic.key))) {
            spots.insert(Spot::Panel(port.index), owner.clone());
        }
        let Some(PodView::Present(pod)) = observed.pods.get(&nic.key.pod) else { continue };
        if let Some(link) = pod.links.get(nic.key.name.as_str()) {
            spots.insert(Spot::Pod(nic.key.pod.clone(), link.index), owner);
        }
    }
    for bridge in &desired.bridges {
        if let Some(now) = panel.and_then(|panel| panel.bridges.get(&bridge_device_name(&bridge.name))) {
            spots.insert(Spot::Panel(now.index), Owner::Bridge(bridge.name.clone()));
        }
    }
    spots
}

/// The devices of a topology, and when each was looked at. None of a small one, which is always looked at as a whole.
#[derive(Debug, Default)]
pub(super) struct Glances(BTreeMap<Spot, (Moment, Owner)>);

impl Glances {
    /// Notes what a look saw that began at a moment.
    pub(super) fn note(&mut self, spots: &Spots, at: Moment) {
        self.0.extend(spots.iter().map(|(spot, owner)| (spot.clone(), (at, owner.clone()))));
    }

    /// What a look at all of a topology saw.
    pub(super) fn of_all(desired: &Desired, observed: &Observed, at: Moment) -> Self {
        let mut glances = Self::default();
        if Part::is_large(desired) {
            glances.note(&spots(desired, observed), at);
        }
        glances
    }

    /// Whether much of it is of NICs that are gone. A NIC has a port and itself.
    pub(super) fn are_old(&self, desired: &Desired) -> bool {
        self.0.len() > 2 * desired.nics.len() + desired.bridges.len() + MOST
    }

    /// What is to be looked at for news of a place. The topology was looked at as a whole at that moment.
    fn unseen(&self, place: &Place, news: &News, looked_at: Moment) -> Option<Part> {
        let mut part = Part::default();
        for (index, heard) in news.devices.iter().filter(|(_, heard)| looked_at <= **heard) {
            let (at, owner) = index.and_then(|index| self.0.get(&spot(place, index)?))?;
            if at > heard {
                continue;
            }
            match owner {
                Owner::Nic(nic) => part.nics.insert(nic.clone()),
                Owner::Bridge(bridge) => part.bridges.insert(bridge.clone()),
            };
        }
        Some(part)
    }
}

/// What was heard of a topology and is not judged yet: a look that is under way may explain it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::panel) struct Rumours {
    until: Moment,
    /// `None`: of anything.
    places: Option<BTreeMap<Place, News>>,
}

impl Rumours {
    pub(super) fn of_anything(until: Moment) -> Self {
        Self { until, places: None }
    }

    pub(super) fn of(place: Place, news: News) -> Self {
        Self { until: news.at, places: Some(BTreeMap::from([(place, news)])) }
    }

    /// Both.
    pub(super) fn and(self, other: Self) -> Self {
        let until = self.until.max(other.until);
        let both = self.places.zip(other.places).map(|(mut places, others)| {
            for (place, news) in others {
                match places.entry(place) {
                    Entry::Vacant(none) => drop(none.insert(news)),
                    Entry::Occupied(mut before) => before.get_mut().add(news),
                }
            }
            places
        });
        // A pod may make devices as long as nobody looks.
        let few =
            |places: &BTreeMap<Place, News>| places.values().map(|news| news.devices.len()).sum::<usize>() <= MOST;
        Self { until, places: both.filter(few) }
    }

    /// What of a topology is to be looked at for them, of which all was looked at at a moment, and its devices as noted.
    pub(super) fn unseen(&self, glances: &Glances, looked_at: Moment) -> Unseen {
        if self.until < looked_at {
            return Unseen::Nothing;
        }
        let parts = self.places.iter().flatten().map(|(place, news)| glances.unseen(place, news, looked_at));
        let part = parts.reduce(|here, there| Some(here?.and(there?)));
        match part {
            Some(Some(part)) if part == Part::default() => Unseen::Nothing,
            Some(Some(part)) => Unseen::Part(part),
            Some(None) | None => Unseen::All,
        }
    }
}

fn spot(place: &Place, index: u32) -> Option<Spot> {
    match place {
        Place::Panel(_) => Some(Spot::Panel(index)),
        Place::Pod(pod) => Some(Spot::Pod(pod.clone(), index)),
        Place::Node | Place::Device { .. } => None,
    }
}
