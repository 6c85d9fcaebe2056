//! What an event sets off.

use std::sync::Arc;

use crate::domain::name::TopologyKey;

use super::{Engine, chain};

impl Engine {
    /// Brings a topology to its intent as far as that can be: each interface succeeds or fails alone.
    pub(in crate::panel) async fn heal(&self, key: &TopologyKey, cause: &str) {
        let leaving = self.0.gate.read().await;
        if *leaving {
            return;
        }
        let _turn = self.0.turns.take(key).await;
        self.heal_in_turn(key, cause).await;
    }

    pub(super) async fn heal_in_turn(&self, key: &TopologyKey, cause: &str) {
        // What it was is known here only of a change that an earlier run of the agent did not finish.
        let known = self.ledger().get(key).map(|entry| (Arc::clone(&entry.intent), entry.former.clone()));
        let Some((intent, former)) = known else { return };
        let healed = match self.prepare(key, Some(intent), former).await {
            Ok(prepared) => self.work(key, move || prepared.carry_out_what_can_be()).await,
            Err(error) => Err(error),
        };
        match healed {
            Ok(outcome) => {
                self.ledger().forget_former(key);
                self.publish(key, &outcome, cause);
            }
            Err(error) => tracing::warn!(topology = %key, cause, error = %chain(&error), "healing failed"),
        }
    }
}
