//! The end of a topology.

use std::{sync::Arc, time::SystemTime};

use crate::{
    causes::chain,
    domain::{
        intent::{Generation, Intent},
        name::TopologyKey,
    },
    kernel::boottime,
    store::Record,
};

use super::{
    super::{error::ChangeError, events::EventKind, healer::Cause, request::Fence},
    Engine,
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
            engine.finish_earlier_change(&key).await;
            engine.delete_in_turn(&key, fence, "delete").await
        })
        .await
    }

    /// The kernel's work comes before the record: a crash in between leaves an intent, by which the rest can be proven
    /// and removed. Of a key that is not known there may still be a panel, of a run of the agent that forgot it.
    pub(super) async fn delete_in_turn(&self, key: &TopologyKey, fence: Fence, cause: &str) -> Result<(), ChangeError> {
        let (former, generation) = {
            let ledger = self.ledger();
            ledger.check_fence(key, fence)?;
            (ledger.intent(key), fence.generation.max(ledger.generation(key)))
        };
        if let Err(error) = self.remove_and_record(key, former.clone(), generation).await {
            // What was removed before the failure comes back: the topology is still wanted until its delete succeeds.
            self.heal_in_turn(key, &Cause::DeleteFailed).await;
            return Err(error);
        }
        self.bury(key, generation);
        if former.is_some() {
            self.0.events.publish(key.clone(), EventKind::Deleted, cause);
        }
        self.0.retired.notify_one();
        Ok(())
    }

    /// Forgets the generations of topologies that were deleted more than a day ago.
    pub(in crate::panel) async fn forget_old_generations(&self) {
        let expired = self.ledger().expired();
        for key in expired {
            // Under the turn: who makes it anew meanwhile must not lose his record.
            let _turn = self.0.turns.take(&key).await;
            if !self.ledger().forget_deleted(&key) {
                continue;
            }
            let forgotten = Record::Deleted { generation: Generation(0), at: SystemTime::now() };
            if let Err(error) = self.put(&key, forgotten).await {
                tracing::warn!(topology = %key, error = %chain(&error), "an old generation stays in the store for now");
            }
        }
    }

    /// Of a topology that is not there only a higher generation stays: an older scheduler must know that it is one.
    pub(super) async fn leave_generation(&self, key: &TopologyKey, generation: Generation) -> Result<(), ChangeError> {
        if generation <= self.ledger().generation(key) {
            return Ok(());
        }
        self.put(key, Record::Deleted { generation, at: SystemTime::now() }).await?;
        self.bury(key, generation);
        Ok(())
    }

    /// The topology is gone, and its generation is stored. Where there are too many of those, some are forgotten.
    fn bury(&self, key: &TopologyKey, generation: Generation) {
        let mut ledger = self.ledger();
        ledger.bury(key, generation);
        // Under the lock: who makes one of them anew stores it behind this.
        for forgotten in ledger.crowd_out() {
            self.0.store.forget_unwaited(&forgotten);
        }
    }

    async fn remove_and_record(
        &self,
        key: &TopologyKey,
        former: Option<Arc<Intent>>,
        generation: Generation,
    ) -> Result<(), ChangeError> {
        let prepare = self.preparing(key, None, former);
        let outcome = self.work(key, move || prepare()?.carry_out()).await?;
        self.put(key, Record::Deleted { generation, at: SystemTime::now() }).await?;
        if !outcome.former_is_gone {
            // It has no intent any more, and is removed when its pods can be looked into.
            self.0.orphans.notify_one();
        }
        Ok(())
    }

    /// Ends a topology whose lease has run out, unless it was renewed meanwhile.
    pub(in crate::panel) async fn expire(&self, key: &TopologyKey) {
        let leaving = self.0.gate.read().await;
        if *leaving {
            return;
        }
        let _turn = self.0.turns.take(key).await;
        // From here on it is too late to renew: who is told that a lease runs in full can rely on it.
        let ended = self.ledger().get_mut(key).is_some_and(|entry| {
            entry.ending = entry.lease_ends.is_some_and(|end| end <= boottime());
            entry.ending
        });
        if !ended {
            return;
        }
        let fence = Fence { generation: Generation(0), force: true };
        if let Err(error) = self.delete_in_turn(key, fence, "lease expired").await {
            tracing::warn!(topology = %key, error = %chain(&error), "a topology whose lease expired could not be deleted");
            if let Some(entry) = self.ledger().get_mut(key) {
                entry.ending = false;
            }
        }
    }
}
