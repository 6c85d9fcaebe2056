//! A store that lasts as long as the agent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::{announcement::Announcement, name::TopologyKey, observed::SandboxId};

use super::{Draft, Record, Store, StoreError, codec};

/// Intents in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: Mutex<BTreeMap<TopologyKey, Draft>>,
    announcements: Mutex<BTreeMap<SandboxId, Announcement>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn damaged(error: &serde_json::Error) -> StoreError {
    StoreError::Damaged { path: "the store in memory".to_owned(), reason: error.to_string() }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Vec<(TopologyKey, Record)>, StoreError> {
        let records = lock(&self.records);
        let load = |(key, draft): (&TopologyKey, &Draft)| Ok((key.clone(), serde_json::from_slice(&draft.0)?));
        records.iter().map(load).collect::<Result<_, serde_json::Error>>().map_err(|error| damaged(&error))
    }

    fn draft(&self, record: &Record) -> Result<Draft, StoreError> {
        codec::encode(record).map(Draft).map_err(|error| damaged(&error))
    }

    fn put_draft(&self, key: &TopologyKey, draft: Draft) -> Result<(), StoreError> {
        lock(&self.records).insert(key.clone(), draft);
        Ok(())
    }

    fn forget(&self, key: &TopologyKey) -> Result<(), StoreError> {
        lock(&self.records).remove(key);
        Ok(())
    }

    fn announcements(&self) -> Result<Vec<Announcement>, StoreError> {
        Ok(lock(&self.announcements).values().cloned().collect())
    }

    fn put_announcement(&self, announcement: &Announcement) -> Result<(), StoreError> {
        lock(&self.announcements).insert(announcement.sandbox.sandbox_id.clone(), announcement.clone());
        Ok(())
    }

    fn forget_announcement(&self, sandbox: &SandboxId) {
        lock(&self.announcements).remove(sandbox);
    }
}
