//! One element at a time.

use std::sync::Arc;

use crate::domain::{
    edit::{Edit, edit},
    intent::Ownership,
    name::ElementName,
    spec::TopologySpec,
};

use super::{
    super::{
        admission::edit_error, error::ChangeError, events::ResumeToken, ledger::Lease, request::Change,
        view::TopologyView,
    },
    Engine,
};

impl Engine {
    /// Adds, changes or removes one element. `None`: the topology is gone with its last element, or never was.
    ///
    /// # Errors
    ///
    /// Why not; the topology is then as it was before.
    pub async fn change(&self, change: Change) -> Result<Option<TopologyView>, ChangeError> {
        let (key, until) = (change.key.clone(), change.until);
        let element = element_of(&change.edit).clone();
        let changed = self.undisturbed(key, |engine| async move { engine.change_in_turn(change).await }).await?;
        match changed {
            Some((view, token)) => self.until_ready(view, Some(element), token, until).await.map(Some),
            None => Ok(None),
        }
    }

    /// The topology after it, and the event after which it may have changed.
    async fn change_in_turn(&self, change: Change) -> Result<Option<(TopologyView, ResumeToken)>, ChangeError> {
        let Change { key, edit: wanted, fence, quota, .. } = change;
        let _turn = self.0.turns.take(&key).await;
        self.finish_earlier_change(&key).await;
        let token = self.events().latest();
        let former = self.ledger().intent(&key);
        let known = former.is_some();
        let decided = {
            let mut ledger = self.ledger();
            let update = matches!(wanted, Edit::UpdateLink { .. } | Edit::UpdateAttachment { .. });
            let ownership = former.as_ref().map_or(Ownership::Calls, |former| former.ownership);
            if ownership == Ownership::Apply && !update {
                return Err(ChangeError::ManagedByApply(key));
            }
            ledger.check_fence(&key, fence)?;
            let before = former.as_ref().map_or_else(|| TopologySpec::empty(key.clone()), |former| former.spec.clone());
            let changed = edit(&before, &wanted).map_err(|error| edit_error(error, &key))?;
            // A repeat changes nothing, but it may raise the generation.
            let spec = changed.unwrap_or(before);
            if spec.elements() == 0 {
                None
            } else {
                let mut intent = self.choose(spec, former.as_deref(), fence, ownership, &ledger)?;
                ledger.check_quota(&quota, former.as_deref(), &intent)?;
                if let (Ownership::Apply, Some(former)) = (ownership, &former) {
                    intent.applied = (intent.spec != *former.body()).then(|| Box::new(former.body().clone()));
                    intent.applied_at = former.applied_at;
                }
                let (intent, known) = (Arc::new(intent), self.known(&key, &ledger));
                if ledger.begin(Arc::clone(&intent)) {
                    self.0.orphans.notify_one();
                }
                Some((intent, former, known))
            }
        };
        let cause = cause_of(&wanted);
        match decided {
            Some((intent, former, known)) => {
                self.commit(intent, former, known, &cause, Lease::Runs).await.map(|view| Some((view, token)))
            }
            None if known => self.delete_in_turn(&key, fence, &cause).await.map(|()| None),
            None => self.leave_generation(&key, fence.generation).await.map(|()| None),
        }
    }
}

fn element_of(edit: &Edit) -> &ElementName {
    match edit {
        Edit::CreateBridge(bridge) => &bridge.name,
        Edit::CreateLink(link) => &link.name,
        Edit::Attach(attachment) => &attachment.name,
        Edit::DeleteBridge { name, .. }
        | Edit::UpdateLink { name, .. }
        | Edit::DeleteLink(name)
        | Edit::UpdateAttachment { name, .. }
        | Edit::Detach(name) => name,
    }
}

fn cause_of(edit: &Edit) -> String {
    let verb = match edit {
        Edit::CreateBridge(_) | Edit::CreateLink(_) => "create",
        Edit::Attach(_) => "attach",
        Edit::UpdateLink { .. } | Edit::UpdateAttachment { .. } => "update",
        Edit::DeleteBridge { .. } | Edit::DeleteLink(_) => "delete",
        Edit::Detach(_) => "detach",
    };
    format!("{verb} {}", element_of(edit))
}
