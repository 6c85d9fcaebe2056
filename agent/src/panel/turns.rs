//! The turn of a topology: one task at a time works on it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use tokio::sync::OwnedMutexGuard;

use crate::{domain::name::TopologyKey, metrics::Metrics};

/// Turns of all topologies that somebody works on or waits for.
#[derive(Debug, Default)]
pub(super) struct Turns {
    turns: Mutex<HashMap<TopologyKey, Arc<tokio::sync::Mutex<()>>>>,
    metrics: Metrics,
}

impl Turns {
    /// Nobody has one; who waits counts here.
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { turns: Mutex::default(), metrics }
    }

    /// Waits for the turn of a topology. It ends when the guard is dropped.
    pub(super) async fn take(&self, key: &TopologyKey) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // Turns that nobody holds or waits for are forgotten, so that the table does not grow with every name.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(key.clone()).or_default())
        };
        let (began, waiting) = (Instant::now(), self.metrics.work.wait());
        let guard = turn.lock_owned().await;
        drop(waiting);
        self.metrics.work.waited(began.elapsed());
        guard
    }
}
