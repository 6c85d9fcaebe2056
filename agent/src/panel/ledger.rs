//! All intents of the node, and what they claim from each other.

mod claims;
mod entry;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    domain::{
        intent::{Generation, Intent, PodKey},
        name::{Namespace, TopologyKey},
        quota::{Count, Quota},
        status::State,
        uplink,
    },
    kernel::boottime,
    store::Record,
};

use super::{
    error::ChangeError,
    request::{Fence, Renewal},
};

use claims::Index;
pub(super) use claims::Others;
pub(super) use entry::{Entry, Known};

/// How long a deleted topology's generation fences.
const TOMBSTONE: Duration = Duration::from_secs(24 * 60 * 60);

/// Generations of deleted topologies that are kept at the most.
pub(crate) const TOMBSTONES: usize = 65_536;

/// So many are forgotten together where there are more: choosing them looks at all.
const CROWD: usize = TOMBSTONES / 16;

/// What a change does to the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lease {
    /// It runs in full again.
    Renewed,
    /// It goes on as it was.
    Runs,
}

/// Intents by key, with an index of what they claim.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<TopologyKey, Entry>,
    deleted: BTreeMap<TopologyKey, (Generation, SystemTime)>,
    claims: Index,
}

impl Ledger {
    pub(super) fn get(&self, key: &TopologyKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub(super) fn get_mut(&mut self, key: &TopologyKey) -> Option<&mut Entry> {
        self.entries.get_mut(key)
    }

    pub(super) fn intent(&self, key: &TopologyKey) -> Option<Arc<Intent>> {
        self.entries.get(key).map(|entry| Arc::clone(&entry.intent))
    }

    /// Whether a topology may be changed so, by what its namespace has.
    pub(super) fn check_quota(
        &self,
        quota: &Quota,
        former: Option<&Intent>,
        wanted: &Intent,
    ) -> Result<(), ChangeError> {
        if *quota == Quota::default() {
            return Ok(());
        }
        let key = &wanted.spec.key;
        let others = self.entries.iter().filter(|(of, _)| of.namespace == key.namespace && *of != key);
        let others = others.fold(Count::default(), |all, (_, entry)| all.and(Count::of(&entry.intent.spec)));
        let checked = quota.check(others, former.map(|former| &former.spec), &wanted.spec);
        checked.map_err(|excess| ChangeError::Quota { namespace: key.namespace.clone(), excess })
    }

    /// All of them.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&TopologyKey, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keys of a namespace or of all.
    pub(super) fn keys(&self, namespace: Option<&Namespace>) -> Vec<TopologyKey> {
        let wanted = |key: &&TopologyKey| namespace.is_none_or(|namespace| key.namespace == *namespace);
        self.entries.keys().filter(wanted).cloned().collect()
    }

    /// Topologies that have an interface in a pod.
    pub(super) fn of_pod(&self, pod: &PodKey) -> Vec<TopologyKey> {
        self.claims.of_pod(pod)
    }

    /// Topologies that have an interface on a device of the node: on one of this name, or on what had this index when they
    /// were last looked at.
    pub(super) fn on_device(&self, index: u32, name: &str) -> Vec<TopologyKey> {
        let on_device = |key: &TopologyKey, entry: &Entry| {
            let spec = &entry.intent.spec;
            entry.parents.contains(&index)
                || spec.devices().any(|own| own.as_str() == name)
                || uplink::ports(key, spec).any(|own| own == name)
        };
        self.entries.iter().filter(|(key, entry)| on_device(key, entry)).map(|(key, _)| key.clone()).collect()
    }

    /// Topologies whose interfaces are not all READY, or of whose past something may be left.
    pub(super) fn unfinished(&self) -> Vec<TopologyKey> {
        let is_finished = |entry: &Entry| entry.state.0 == State::Ready && entry.former.is_none();
        let unfinished = self.entries.iter().filter(|(_, entry)| !is_finished(entry));
        unfinished.map(|(key, _)| key.clone()).collect()
    }

    /// Whether a caller may change a topology.
    pub(super) fn check_fence(&self, key: &TopologyKey, fence: Fence) -> Result<(), ChangeError> {
        let stored = self.generation(key);
        let unfenced = fence.generation == Generation(0) && (stored == Generation(0) || fence.force);
        if unfenced || fence.generation >= stored && fence.generation != Generation(0) {
            return Ok(());
        }
        Err(ChangeError::Fenced { key: key.clone(), stored, given: fence.generation })
    }

    /// The highest generation seen for a key, of a live or of a deleted topology.
    pub(super) fn generation(&self, key: &TopologyKey) -> Generation {
        let live = self.entries.get(key).map(|entry| entry.intent.generation);
        live.unwrap_or_else(|| self.buried(key).unwrap_or_default())
    }

    /// The generation that a deleted topology left behind.
    pub(super) fn buried(&self, key: &TopologyKey) -> Option<Generation> {
        let (generation, at) = self.deleted.get(key)?;
        is_fresh(*at).then_some(*generation)
    }

    /// Puts a new intent in the place of the one before, which keeps its claims until `settle`. What was before that is
    /// forgotten: whether something of it may be left.
    pub(super) fn begin(&mut self, intent: Arc<Intent>) -> bool {
        let key = intent.key().clone();
        let Some(entry) = self.entries.get_mut(&key) else {
            self.entries.insert(key.clone(), Entry { under_way: true, ..Entry::new(intent) });
            self.index(&key);
            return false;
        };
        entry.under_way = true;
        let same = entry.intent.claims_the_same(&intent);
        let before = std::mem::replace(&mut entry.intent, intent);
        let forgotten = entry.former.replace(before).is_some();
        // A large topology has thousands, of which most changes change none.
        if !same || forgotten {
            self.index(&key);
        }
        forgotten
    }

    /// Something may be left of what a topology was, or was to be: it keeps its claims until it is gone. False: there is no
    /// such topology, or it has a past already.
    pub(super) fn remember_former(&mut self, key: &TopologyKey, former: Arc<Intent>) -> bool {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.former.is_none()) else { return false };
        entry.former = Some(former);
        self.index(key);
        true
    }

    /// What it was left nothing behind. Whether it was anything.
    pub(super) fn forget_former(&mut self, key: &TopologyKey) -> bool {
        let was = self.entries.get_mut(key).and_then(|entry| entry.former.take()).is_some();
        if was {
            self.index(key);
        }
        was
    }

    /// The change is certain: what it was is forgotten.
    pub(super) fn settle(&mut self, key: &TopologyKey, lease: Lease) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.under_way = false;
            let same = entry.former.take().is_none_or(|former| former.claims_the_same(&entry.intent));
            if lease == Lease::Renewed {
                entry.lease_ends = entry.intent.spec.lease.map(|lease| boottime() + lease);
            }
            entry.failures.retain(|id, _| entry.intent.assigned.contains_key(id));
            self.deleted.remove(key);
            if !same {
                self.index(key);
            }
        }
    }

    /// The change failed: what it was is again what it shall be.
    pub(super) fn abort(&mut self, key: &TopologyKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.under_way = false;
            match entry.former.take() {
                Some(former) => entry.intent = former,
                None => {
                    self.entries.remove(key);
                }
            }
        }
        self.index(key);
    }

    /// Takes over what the store has.
    pub(super) fn load(&mut self, records: Vec<(TopologyKey, Record)>) {
        let mut formers = Vec::new();
        for (key, record) in records {
            match record {
                Record::Live { intent, former } => {
                    self.begin(intent);
                    self.settle(&key, Lease::Renewed);
                    formers.extend(former.map(|former| (key, former)));
                }
                Record::Deleted { generation, at } => {
                    self.deleted.insert(key, (generation, at));
                }
            }
        }
        // After all that is: what was claims only what nobody has by now.
        for (key, former) in formers {
            self.remember_former(&key, former);
        }
    }

    /// Deleted topologies whose generations' day is over.
    pub(super) fn expired(&self) -> Vec<TopologyKey> {
        self.deleted.iter().filter(|(_, (_, at))| !is_fresh(*at)).map(|(key, _)| key.clone()).collect()
    }

    /// Forgets a deleted topology, if its generation's day is over and nobody has made it anew. Whether it did.
    pub(super) fn forget_deleted(&mut self, key: &TopologyKey) -> bool {
        let old = self.deleted.get(key).is_some_and(|(_, at)| !is_fresh(*at)) && !self.entries.contains_key(key);
        old && self.deleted.remove(key).is_some()
    }

    /// Forgets generations where there are too many, and says whose: the oldest ones of the namespace that has the most, so that
    /// who makes and deletes without end loses his own.
    pub(super) fn crowd_out(&mut self) -> Vec<TopologyKey> {
        if self.deleted.len() <= TOMBSTONES {
            return Vec::new();
        }
        let mut counts: BTreeMap<&Namespace, usize> = BTreeMap::new();
        for key in self.deleted.keys() {
            *counts.entry(&key.namespace).or_default() += 1;
        }
        // Where none has many, those of all.
        let crowd = counts.into_iter().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > CROWD);
        let crowd = crowd.map(|(namespace, _)| namespace);
        // The record of one that is being made anew is its own.
        let may_go =
            |key: &TopologyKey| crowd.is_none_or(|crowd| key.namespace == *crowd) && !self.entries.contains_key(key);
        let mut old: Vec<(SystemTime, TopologyKey)> =
            self.deleted.iter().filter(|(key, _)| may_go(key)).map(|(key, (_, at))| (*at, key.clone())).collect();
        old.sort();
        old.truncate(CROWD);
        let old: Vec<TopologyKey> = old.into_iter().map(|(_, key)| key).collect();
        for key in &old {
            self.deleted.remove(key);
        }
        old
    }

    /// The topology is gone; its generation stays for a day.
    pub(super) fn bury(&mut self, key: &TopologyKey, generation: Generation) {
        self.entries.remove(key);
        self.index(key);
        if generation > Generation(0) {
            self.deleted.insert(key.clone(), (generation, SystemTime::now()));
        }
    }

    /// Lets a lease run in full again, as it was acknowledged: a change that is under way may be refused yet. Its end on the
    /// clock of `boottime`.
    pub(super) fn renew(&mut self, key: &TopologyKey, generation: Generation) -> Renewal<Duration> {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| !entry.ending) else { return Renewal::NotFound };
        let acknowledged = if entry.under_way { entry.former.as_ref() } else { Some(&entry.intent) };
        let Some(intent) = acknowledged else { return Renewal::NotFound };
        if generation > Generation(0) && generation < intent.generation {
            return Renewal::Fenced;
        }
        let Some(lease) = intent.spec.lease else { return Renewal::NoLease };
        let end = boottime() + lease;
        entry.lease_ends = Some(end);
        Renewal::Renewed(end)
    }

    /// The earliest end of a lease, and the topologies whose lease has ended.
    pub(super) fn leases(&self) -> (Option<Duration>, Vec<TopologyKey>) {
        let now = boottime();
        let ends = self.entries.iter().filter_map(|(key, entry)| Some((entry.lease_ends?, key)));
        let (ended, running): (Vec<_>, Vec<_>) = ends.partition(|(end, _)| *end <= now);
        let next = running.into_iter().map(|(end, _)| end.saturating_sub(now)).min();
        (next, ended.into_iter().map(|(_, key)| key.clone()).collect())
    }

    /// Writes anew what a topology claims.
    fn index(&mut self, key: &TopologyKey) {
        self.claims.write(key, self.entries.get(key));
    }
}

/// Whether a deletion is less than a day ago. A clock that was set back makes it younger, not forgotten.
fn is_fresh(at: SystemTime) -> bool {
    at.elapsed().ok().is_none_or(|age| age < TOMBSTONE)
}

#[cfg(test)]
mod tests;
