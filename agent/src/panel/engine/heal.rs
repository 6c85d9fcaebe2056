//! What an event sets off.

use std::sync::Arc;

use crate::{
    causes::chain,
    domain::{name::TopologyKey, part::Part, step::Step},
    kernel::boottime,
};

use super::{
    super::{
        converge::{Converge, Outcome},
        glance::Unseen,
        healer::Cause,
        ledger::Entry,
        record::confirm,
    },
    Engine,
};

/// Steps that an event names one by one.
const NAMED_STEPS: usize = 4;

impl Engine {
    /// Brings a topology that waits for it to its intent, as far as that can be: each interface succeeds or fails alone.
    pub(in crate::panel) async fn heal(&self, key: &TopologyKey) {
        let leaving = self.0.gate.read().await;
        let _turn = self.0.turns.take(key).await;
        // From here on: what happens later queues it anew.
        let Some(cause) = self.0.healer.dequeue(key) else { return };
        if !*leaving {
            self.heal_in_turn(key, &cause).await;
        }
    }

    /// Heals a topology of which an earlier change may have left something, before the next change forgets what that was.
    pub(super) async fn finish_earlier_change(&self, key: &TopologyKey) {
        if self.ledger().get(key).is_some_and(|entry| entry.former.is_some()) {
            self.heal_in_turn(key, &Cause::Again).await;
        }
    }

    pub(super) async fn heal_in_turn(&self, key: &TopologyKey, cause: &Cause) {
        let now = boottime();
        let known = {
            let mut ledger = self.ledger();
            ledger.get_mut(key).map(|entry| {
                entry.fights.rest(now);
                // In a new sandbox nobody has fought yet.
                if let Cause::Appeared(pod) | Cause::Gone(pod) = cause {
                    entry.fights.forget(pod);
                }
                // What it was, where something of that may be left: of a change that was cut off or not undone, of strays.
                // Under the turn: whatever a change did is noted by now.
                let unseen = if let Cause::Heard(rumours) = cause { entry.unseen(rumours) } else { Unseen::All };
                (Arc::clone(&entry.intent), entry.former.clone(), unseen, entry.fights.clone())
            })
        };
        let Some((intent, former, unseen, fights)) = known else { return };
        let explained = match unseen {
            Unseen::Nothing => true,
            Unseen::Part(part) => self.glance(key, cause, part).await,
            Unseen::All => false,
        };
        if explained {
            return;
        }
        let prepare = self.preparing(key, Some(intent), former);
        let left_alone = fights.left_alone(now);
        let healed = self.work(key, move || prepare()?.leaving_alone(left_alone).carry_out_what_can_be()).await;
        self.0.metrics.work.healed(cause.word(), healed.is_ok());
        match healed {
            Ok(outcome) => self.healed(key, cause, &outcome),
            Err(error) => {
                let error = chain(&error);
                let pause = self.publish_trouble(key, &error, &format!("{cause}, and healing failed"));
                tracing::warn!(topology = %key, %cause, error, retry = ?pause, "healing failed");
                self.heal_after(key, pause);
            }
        }
    }

    /// Looks at a part of a topology of which something was heard. False: all of it has to be looked at.
    async fn glance(&self, key: &TopologyKey, cause: &Cause, part: Part) -> bool {
        let known = self.ledger().get(key).and_then(Entry::known);
        let look = self.preparing_part(key, None, Some(part), known);
        let outcome = self.work(key, move || Ok(look().map(Converge::outcome))).await;
        let Some(outcome) = outcome.ok().flatten().filter(Outcome::is_whole) else { return false };
        let confirmed = self.ledger().get_mut(key).is_some_and(|entry| {
            entry.vain.looked(boottime());
            confirm(entry, &outcome)
        });
        if !confirmed {
            self.publish(key, &outcome, &cause.to_string());
        }
        true
    }

    fn healed(&self, key: &TopologyKey, cause: &Cause, outcome: &Outcome) {
        // That a port follows the state of the far NIC is no repair.
        let repairs = || outcome.taken.iter().any(|step| !matches!(step, Step::SetPort(..)));
        let restarted = self.ledger().get(key).is_some_and(|entry| entry.restarted(outcome));
        let by_somebody = matches!(cause, Cause::Heard(..) | Cause::Again) && repairs() && !restarted;
        let without_past = {
            let (mut ledger, now) = (self.ledger(), boottime());
            let kept = ledger.get(key).is_some_and(|entry| entry.keeps_former(outcome));
            let forgotten = outcome.former_is_gone && !kept && ledger.forget_former(key);
            if let Some(entry) = ledger.get_mut(key) {
                match cause {
                    // What goes and comes with a pod is nobody's quarrel.
                    _ if restarted => {}
                    Cause::Heard(..) if by_somebody => {
                        entry.fights.repaired(&outcome.taken, &entry.flapped(outcome), now);
                    }
                    Cause::Heard(..) => entry.vain.looked(now),
                    Cause::Again => entry.fights.repaired_again(&outcome.taken, now),
                    Cause::Started | Cause::Appeared(_) | Cause::Gone(_) | Cause::DeleteFailed => {}
                }
            }
            ledger.intent(key).filter(|_| forgotten)
        };
        if let Some(intent) = without_past {
            self.forget_stored_former(key, &intent);
        }
        if by_somebody {
            let cause = format!("{cause}, put right: {}", in_words(&outcome.taken));
            self.0.metrics.work.repairs.inc();
            tracing::warn!(topology = %key, cause, "repaired");
            self.tell(key, outcome, &cause);
        } else {
            self.publish(key, outcome, &cause.to_string());
        }
        self.0.retired.notify_one();
        self.look_after_fight(key);
    }
}

fn in_words(steps: &[Step]) -> String {
    let named = steps.iter().take(NAMED_STEPS).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    match steps.len().checked_sub(NAMED_STEPS) {
        None | Some(0) => named,
        Some(more) => format!("{named}; and {more} more"),
    }
}
