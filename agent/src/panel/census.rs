//! How much there is of everything, for who counts it.

use std::collections::BTreeMap;

use crate::{
    domain::{name::TopologyKey, status::State},
    kernel::Moment,
};

use super::engine::Engine;

/// How much there is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Census {
    /// Topologies by the worst state in them.
    pub topologies: BTreeMap<State, usize>,
    /// Interfaces by state, as they were seen last.
    pub interfaces: BTreeMap<State, usize>,
    /// Topologies about which somebody fights.
    pub fights: usize,
    /// Topologies that wait for a heal.
    pub heals_waiting: usize,
    /// Captures that run.
    pub captures: usize,
    /// Watchers.
    pub watchers: usize,
    /// Events that the slowest watcher has not got.
    pub watch_lag: u64,
    /// Events so far.
    pub events: u64,
    /// Whether all pods of the node are known.
    pub pods_known: bool,
}

impl Engine {
    /// Counts. It looks at nothing: what is told is what was seen last.
    pub fn census(&self) -> Census {
        let mut census = Census {
            heals_waiting: self.0.healer.waiting(),
            captures: self.0.captures.count(),
            events: self.events().latest().sequence,
            pods_known: self.0.pods.unknown().is_none(),
            ..Census::default()
        };
        (census.watchers, census.watch_lag) = self.events().watched();
        for (_, entry) in self.ledger().entries() {
            *census.topologies.entry(entry.state.0).or_default() += 1;
            for (state, _) in entry.states.values() {
                *census.interfaces.entry(*state).or_default() += 1;
            }
            // One at which nobody has looked yet.
            if entry.looked_at == Moment::default() && entry.states.is_empty() {
                *census.interfaces.entry(State::Pending).or_default() += entry.intent.assigned.len();
            }
            census.fights += usize::from(entry.fights.any());
        }
        census
    }

    /// The first topologies that have so many interfaces together, by key, and how many interfaces the others have.
    pub fn first(&self, interfaces: usize) -> (Vec<TopologyKey>, usize) {
        let (mut keys, mut left, mut left_out) = (Vec::new(), interfaces, 0);
        for (key, entry) in self.ledger().entries() {
            let has = entry.intent.assigned.len();
            match left.checked_sub(has) {
                Some(rest) if left_out == 0 => (keys.push(key.clone()), left = rest).0,
                _ => left_out += has,
            }
        }
        (keys, left_out)
    }
}
