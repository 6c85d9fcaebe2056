//! A store that lasts as long as the agent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use crate::domain::name::TopologyKey;

use super::{Record, Store, StoreError};

/// Intents in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<BTreeMap<TopologyKey, Record>>);

impl Store for MemoryStore {
    fn load(&self) -> Result<Vec<(TopologyKey, Record)>, StoreError> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(records.iter().map(|(key, record)| (key.clone(), record.clone())).collect())
    }

    fn put(&self, key: &TopologyKey, record: &Record) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), record.clone());
        Ok(())
    }

    fn forget(&self, key: &TopologyKey) -> Result<(), StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        Ok(())
    }
}
