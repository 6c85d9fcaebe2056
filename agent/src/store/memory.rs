//! A store that lasts as long as the agent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::domain::{announcement::Announcement, name::TopologyKey, observed::SandboxId};

use super::{Record, Store, StoreError};

/// Intents in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: Mutex<BTreeMap<TopologyKey, Record>>,
    announcements: Mutex<BTreeMap<SandboxId, Announcement>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Vec<(TopologyKey, Record)>, StoreError> {
        Ok(lock(&self.records).iter().map(|(key, record)| (key.clone(), record.clone())).collect())
    }

    fn put(&self, key: &TopologyKey, record: &Record) -> Result<(), StoreError> {
        lock(&self.records).insert(key.clone(), record.clone());
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
