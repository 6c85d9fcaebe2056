//! The end of a topology.

use std::{sync::Arc, time::SystemTime};

use tokio::task::spawn_blocking;

use crate::{
    domain::{intent::Generation, name::TopologyKey},
    kernel::boottime,
    store::Record,
};

use super::{
    super::{error::ChangeError, events::EventKind, request::Fence},
    Engine, chain,
};

impl Engine {
    /// Removes a topology. When it returns, no pod has its interfaces any more.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn delete(&self, key: TopologyKey, fence: Fence) -> Result<(), ChangeError> {
        self.undisturbed(key.clone(), |engine| async move {
            let _turn = engine.0.turns.take(&key).await;
            engine.delete_in_turn(&key, fence, "delete").await
        })
        .await
    }

    pub(super) async fn delete_in_turn(&self, key: &TopologyKey, fence: Fence, cause: &str) -> Result<(), ChangeError> {
        let (former, generation) = {
            let ledger = self.ledger();
            ledger.check_fence(key, fence)?;
            (ledger.intent(key), fence.generation.max(ledger.generation(key)))
        };
        let tombstone = Record::Deleted { generation, at: SystemTime::now() };
        let Some(former) = former else {
            self.ledger().bury(key, generation);
            return self.put(key, tombstone).await;
        };
        let prepared = self.prepare(key, None, Some(Arc::clone(&former))).await?;
        let work = spawn_blocking(move || prepared.carry_out());
        let (stored, worked) = tokio::join!(self.put(key, tombstone), work);
        let worked = worked.unwrap_or(Err(ChangeError::Bug(key.clone())));
        if let Err(error) = stored.and(worked.map(drop)) {
            // What was removed before the failure comes back: the topology is still wanted until its delete succeeds.
            self.put(key, Record::Live(former)).await?;
            self.heal_in_turn(key, "delete failed").await;
            return Err(error);
        }
        self.ledger().bury(key, generation);
        self.0.events.publish(key.clone(), EventKind::Deleted, cause);
        self.0.retired.notify_one();
        Ok(())
    }

    /// Ends a topology whose lease has run out, unless it was renewed meanwhile.
    pub(in crate::panel) async fn expire(&self, key: &TopologyKey) {
        let leaving = self.0.gate.read().await;
        if *leaving {
            return;
        }
        let _turn = self.0.turns.take(key).await;
        let ended = self.ledger().get(key).is_some_and(|entry| entry.lease_ends.is_some_and(|end| end <= boottime()));
        if !ended {
            return;
        }
        let fence = Fence { generation: Generation(0), force: true };
        if let Err(error) = self.delete_in_turn(key, fence, "lease expired").await {
            tracing::warn!(topology = %key, error = %chain(&error), "a topology whose lease expired could not be deleted");
        }
    }
}
