//! What nobody asked for: topologies of an agent that was killed while it removed them, interfaces of a change that was
//! cut off.

use std::{sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};

use crate::{
    causes::chain,
    domain::{intent::Intent, name::TopologyKey},
};

use super::{engine::Engine, found::Found, healer::Cause, ledger::Entry};

/// How long to wait where the node cannot be looked at: the runtime is not up yet, say.
const WAIT: Duration = Duration::from_secs(1);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Removes what is there now, and looks again whenever something may be.
pub(super) async fn follow(engine: Engine) {
    loop {
        remove(&engine).await;
        engine.0.orphans.notified().await;
    }
}

/// Removes what of the kernel the engine does not know, and returns when none is left.
async fn remove(engine: &Engine) {
    let mut wait = WAIT;
    loop {
        let mut failed = false;
        match engine.look_for_orphans().await {
            Ok(found) => {
                // What is in a pod that cannot be read nobody knows.
                failed |= found.unread > 0;
                for key in found.keys() {
                    failed |= !engine.remove_orphan(&found, key.clone()).await;
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
    async fn look_for_orphans(&self) -> Result<Arc<Found>, String> {
        let (dir, pods) = (self.netns_dir(), Arc::clone(&self.0.pods));
        let found = spawn_blocking(move || Found::look(&dir, &*pods)).await.map_err(|error| error.to_string())?;
        let found = found.map_err(|error| chain(&error))?;
        for left in &found.left {
            tracing::debug!(what = left.what, reason = left.reason, "not provably podwire's: it is left alone");
        }
        Ok(Arc::new(found))
    }

    /// False: it has to be tried again.
    async fn remove_orphan(&self, found: &Arc<Found>, key: TopologyKey) -> bool {
        let leaving = self.0.gate.read().await;
        let _turn = self.0.turns.take(&key).await;
        if *leaving {
            return true;
        }
        let (kernel, pods) = (Arc::clone(&self.0.kernel), Arc::clone(&self.0.pods));
        let (found, of) = (Arc::clone(found), key.clone());
        let known = self.ledger().get(&key).map(Entry::known_nics);
        if let Some(known) = known {
            let strays = self.work(&key, move || found.strays(&of, &known, &*kernel, &*pods)).await;
            return match strays {
                Ok(strays) => strays.is_none_or(|strays| self.remove_strays(&key, strays)),
                Err(error) => {
                    tracing::warn!(topology = %key, error = %chain(&error), "what is left of it cannot be looked for");
                    false
                }
            };
        }
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

    /// Heals a topology from strays: they are what it was. False: it has a past already, which has to go first.
    fn remove_strays(&self, key: &TopologyKey, strays: Intent) -> bool {
        tracing::info!(topology = %key, "its pods have interfaces that are marked as its own and that it does not know");
        let remembered = self.ledger().remember_former(key, Arc::new(strays));
        self.heal_soon(vec![key.clone()], &Cause::Started);
        remembered
    }
}
