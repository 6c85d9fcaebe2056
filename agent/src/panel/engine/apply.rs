//! A whole desired state at once.

use std::sync::Arc;

use crate::domain::{
    assign::assign,
    intent::{Generation, Intent, Ownership},
    name::TopologyName,
    spec::TopologySpec,
    step::Step,
};

use super::{
    super::{
        admission::admit,
        error::ChangeError,
        events::ResumeToken,
        ledger::{Entry, Lease, Ledger, Others},
        record::record,
        request::{Apply, Fence},
        view::TopologyView,
    },
    Engine,
};

impl Engine {
    /// Replaces the whole desired state of a topology.
    ///
    /// # Errors
    ///
    /// Why not; the topology is then as it was before.
    pub async fn apply(&self, apply: Apply) -> Result<TopologyView, ChangeError> {
        let (key, until) = (apply.spec.key.clone(), apply.until);
        let (view, token) = self.undisturbed(key, |engine| async move { engine.apply_in_turn(apply).await }).await?;
        self.until_ready(view, None, token, until).await
    }

    /// The steps that `apply` would take, and the topology that it would make. Touches and reserves nothing.
    ///
    /// # Errors
    ///
    /// Why `apply` would not.
    pub async fn plan(&self, apply: Apply) -> Result<(Vec<Step>, TopologyView), ChangeError> {
        self.takes_changes()?;
        let key = apply.spec.key.clone();
        let _turn = self.0.turns.take(&key).await;
        let (intent, former) = self.decide_apply(&apply, &self.ledger())?;
        let intent = Arc::new(intent);
        let converge = self.prepare(&key, Some(Arc::clone(&intent)), former).await?;
        converge.refuse_trouble()?;
        let steps = converge.steps().to_vec();
        Ok((steps, record(&mut Entry::new(intent), &converge.outcome())))
    }

    /// The topology after it, and the event after which it may have changed.
    async fn apply_in_turn(&self, apply: Apply) -> Result<(TopologyView, ResumeToken), ChangeError> {
        let key = apply.spec.key.clone();
        let _turn = self.0.turns.take(&key).await;
        self.finish_earlier_change(&key).await;
        let token = self.events().latest();
        let (intent, former, known) = {
            let mut ledger = self.ledger();
            let (intent, former) = self.decide_apply(&apply, &ledger)?;
            let (intent, known) = (Arc::new(intent), self.known(&key, &ledger));
            if ledger.begin(Arc::clone(&intent)) {
                self.0.orphans.notify_one();
            }
            (intent, former, known)
        };
        self.commit(intent, former, known, "apply", Lease::Renewed).await.map(|view| (view, token))
    }

    /// What an apply asks for, if it may: the intent with everything chosen, and the one before it.
    fn decide_apply(&self, apply: &Apply, ledger: &Ledger) -> Result<(Intent, Option<Arc<Intent>>), ChangeError> {
        let key = &apply.spec.key;
        if key.name == TopologyName::default() {
            return Err(ChangeError::DefaultIsForCalls);
        }
        let former = ledger.intent(key);
        if former.as_ref().is_some_and(|former| former.ownership == Ownership::Calls) {
            return Err(ChangeError::ManagedByCalls(key.clone()));
        }
        ledger.check_fence(key, apply.fence)?;
        let given = apply.fence.generation;
        if given > Generation(0) {
            match &former {
                // The same number again: with the same body a repeat, which a change by a single call outlives.
                Some(before) if given == before.applied_at => {
                    return if *before.body() == apply.spec {
                        Ok(((**before).clone(), former))
                    } else {
                        Err(ChangeError::GenerationReused { key: key.clone(), generation: given })
                    };
                }
                None if ledger.buried(key) == Some(given) => {
                    return Err(ChangeError::Buried { key: key.clone(), generation: given });
                }
                Some(_) | None => {}
            }
        }
        let intent = self.choose(apply.spec.clone(), former.as_deref(), apply.fence, Ownership::Apply, ledger)?;
        ledger.check_quota(&apply.quota, former.as_deref(), &intent)?;
        Ok((intent, former))
    }

    /// Chooses what a spec leaves open.
    pub(super) fn choose(
        &self,
        spec: TopologySpec,
        former: Option<&Intent>,
        fence: Fence,
        ownership: Ownership,
        ledger: &Ledger,
    ) -> Result<Intent, ChangeError> {
        admit(&spec, &self.0.config, &self.0.node)?;
        if former.is_none() && ledger.len() >= self.0.config.max_topologies {
            let (what, subject) = ("topologies", format!("node {}", self.0.node.name));
            return Err(ChangeError::Limit { what, subject, limit: self.0.config.max_topologies });
        }
        let claims = Others { ledger, key: &spec.key, pods: &*self.0.pods };
        let assigned = assign(&spec, former, &claims)?;
        let generation = fence.generation.max(ledger.generation(&spec.key));
        Ok(Intent { spec, ownership, generation, applied_at: fence.generation, applied: None, assigned })
    }
}
