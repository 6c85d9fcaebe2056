//! Topologies that nobody asked for: of an agent that was killed while it removed them, or of a store that is gone.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use crate::domain::name::TopologyKey;

use super::{
    engine::{Engine, chain},
    found::Found,
};

/// How long to wait where the node cannot be looked at: the runtime is not up yet, say.
const WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Removes the topologies of the kernel that the engine does not know, and returns when none is left.
pub(super) async fn remove(engine: Engine) {
    let mut wait = WAIT;
    loop {
        let mut failed = false;
        match engine.orphans().await {
            Ok((found, keys)) => {
                for key in keys {
                    failed |= !engine.remove_orphan(&found, key).await;
                }
            }
            Err(error) => {
                failed = true;
                tracing::warn!(error, retry = ?wait, "what earlier runs of the agent left cannot be looked for");
            }
        }
        if !failed {
            return;
        }
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

impl Engine {
    async fn orphans(&self) -> Result<(Arc<Found>, Vec<TopologyKey>), String> {
        let (dir, pods) = (self.netns_dir(), Arc::clone(&self.0.pods));
        let found = spawn_blocking(move || Found::look(&dir, &*pods)).await.map_err(|error| error.to_string())?;
        let found = found.map_err(|error| chain(&error))?;
        let known: BTreeSet<TopologyKey> = self.ledger().keys(None).into_iter().collect();
        for left in &found.left {
            tracing::debug!(what = left.what, reason = left.reason, "not provably podwire's: it is left alone");
        }
        let unknown = found.unknown(&known);
        Ok((Arc::new(found), unknown))
    }

    /// False: it has to be tried again.
    async fn remove_orphan(&self, found: &Arc<Found>, key: TopologyKey) -> bool {
        let leaving = self.0.gate.read().await;
        let _turn = self.0.turns.take(&key).await;
        // Somebody may have asked for it meanwhile: what was there is then part of his topology, or was removed.
        if *leaving || self.ledger().get(&key).is_some() {
            return true;
        }
        let (kernel, pods) = (Arc::clone(&self.0.kernel), Arc::clone(&self.0.pods));
        let (found, of) = (Arc::clone(found), key.clone());
        let removed = self.work(&key, move || found.remove(&of, &*kernel, &*pods)).await;
        match &removed {
            Ok(left) => {
                tracing::info!(topology = %key, "removed: no intent asks for it");
                for left in left {
                    tracing::warn!(topology = %key, what = left.what, reason = left.reason, "it is left alone");
                }
            }
            Err(error) => tracing::warn!(topology = %key, error = %chain(error), "it cannot be removed for now"),
        }
        self.0.retired.notify_one();
        removed.is_ok()
    }
}
