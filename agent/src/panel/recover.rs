//! What becomes of the topologies in the kernel when the store is gone. Blocking.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    domain::{
        adopt::{Adopted, Left},
        name::TopologyKey,
    },
    kernel::{Kernel, NetnsDir},
    pods::Pods,
    store::{Record, Store, StoreError},
};

use super::found::{Found, LookError, record};

/// What becomes of each topology that was found.
#[derive(Debug)]
pub struct Recovery {
    /// What was found of each, by key, and whether it is kept.
    pub topologies: BTreeMap<TopologyKey, (Adopted, Verdict)>,
    /// What is part of none.
    pub left: Vec<Left>,
}

/// What becomes of a topology.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its intent is stored, and its wires stay.
    Adopt,
    /// No intent is stored: the agent removes it when it starts.
    Remove,
    /// There is nothing in it to adopt: the agent removes what is ours of it when it starts.
    Empty,
}

/// Topologies that were named and are not in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no topology {} in the kernel", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
pub struct NoSuchTopology(pub Vec<TopologyKey>);

impl Recovery {
    /// Looks at the node: everything that can be adopted is.
    ///
    /// # Errors
    ///
    /// The node cannot be looked at.
    pub fn look(dir: &NetnsDir, kernel: &dyn Kernel, pods: &dyn Pods) -> Result<Self, LookError> {
        let found = Found::look(dir, pods)?;
        let mut topologies = BTreeMap::new();
        for key in found.keys() {
            let adopted = found.adopt(key, kernel, pods)?;
            let verdict = if adopted.intent.spec.elements() == 0 { Verdict::Empty } else { Verdict::Adopt };
            topologies.insert(key.clone(), (adopted, verdict));
        }
        let mut left = found.left.clone();
        left.extend(found.unknown_pods(pods));
        Ok(Self { topologies, left })
    }

    /// Whether there is nothing of podwire's in the kernel.
    pub fn is_empty(&self) -> bool {
        self.topologies.is_empty()
    }

    /// Decides: `adopt` are kept, or all where it is empty, but not those of `remove`.
    ///
    /// # Errors
    ///
    /// One of them is not in the kernel.
    pub fn choose(&mut self, adopt: &[TopologyKey], remove: &[TopologyKey]) -> Result<(), NoSuchTopology> {
        let named: BTreeSet<&TopologyKey> = adopt.iter().chain(remove).collect();
        let absent: Vec<_> = named.into_iter().filter(|key| !self.topologies.contains_key(key)).cloned().collect();
        if !absent.is_empty() {
            return Err(NoSuchTopology(absent));
        }
        for (key, (_, verdict)) in &mut self.topologies {
            let kept = (adopt.is_empty() || adopt.contains(key)) && !remove.contains(key);
            if *verdict == Verdict::Adopt && !kept {
                *verdict = Verdict::Remove;
            }
        }
        Ok(())
    }

    /// Writes the intents of what is adopted into a new store, and returns how many there are.
    ///
    /// # Errors
    ///
    /// The disk does not take them.
    pub fn write(self, store: &dyn Store) -> Result<usize, StoreError> {
        let kept = self.topologies.into_values().filter(|(_, verdict)| *verdict == Verdict::Adopt);
        let records: Vec<(TopologyKey, Record)> = kept.filter_map(|(adopted, _)| record(adopted)).collect();
        for (key, record) in &records {
            store.put(key, record)?;
        }
        Ok(records.len())
    }
}

/// Everything that a store has, with what it was while a change is under way.
pub(super) fn intents(store: &dyn Store) -> Result<Vec<Arc<crate::domain::intent::Intent>>, StoreError> {
    let records = store.load()?.into_iter();
    Ok(records
        .flat_map(|(_, record)| match record {
            Record::Live { intent, former } => former.into_iter().chain([intent]).collect(),
            Record::Deleted { .. } => Vec::new(),
        })
        .collect())
}
