//! The turn of a topology: one task at a time works on it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::domain::name::TopologyKey;

/// Turns of all topologies that somebody works on or waits for.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<TopologyKey, Arc<tokio::sync::Mutex<()>>>>);

impl Turns {
    /// Waits for the turn of a topology. It ends when the guard is dropped.
    pub(super) async fn take(&self, key: &TopologyKey) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Turns that nobody holds or waits for are forgotten, so that the table does not grow with every name.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(key.clone()).or_default())
        };
        turn.lock_owned().await
    }
}
