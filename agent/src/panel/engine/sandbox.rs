//! Sandboxes that the CNI plugin announces.

use std::{collections::BTreeSet, sync::Arc};

use tokio::time::{Instant, timeout_at};

use crate::{
    causes::chain,
    domain::{
        announcement::{AnnouncedSandbox, Announcement},
        desired::{Nic, Wire},
        intent::PodKey,
        name::TopologyKey,
        observed::SandboxId,
        status::State,
    },
    kernel::{Netns, PodDoor},
    pods::{AnnounceError, Wanted},
};

use super::{
    super::{
        error::{ChangeError, Unready},
        events::EventKind,
        healer::Cause,
        view::TopologyView,
    },
    Engine,
};

/// The interfaces of one sandbox.
#[derive(Debug, Clone)]
pub struct PluggedSandbox {
    /// The sandbox.
    pub sandbox: AnnouncedSandbox,
    /// Its pod.
    pub pod: PodKey,
    /// The topologies that have interfaces in it.
    pub views: Vec<TopologyView>,
}

impl PluggedSandbox {
    /// The interfaces of a view that are the sandbox' own: one that is wanted in another incarnation of the pod is not.
    pub fn nics<'a>(&'a self, view: &'a TopologyView) -> impl Iterator<Item = &'a Nic> {
        let own = |nic: &&Nic| nic.uid.is_none() || nic.uid == self.sandbox.uid;
        view.desired.nics.iter().filter(|nic| nic.key.pod == self.pod).filter(own)
    }

    fn name(&self) -> String {
        format!("{}/{}", self.sandbox.namespace, self.sandbox.pod)
    }
}

impl Engine {
    /// Announces a sandbox, plugs what topologies want in its pod and waits until that is READY.
    ///
    /// # Errors
    ///
    /// It cannot be announced; an interface was refused, or is not READY in time: it is plugged later.
    pub async fn plug_sandbox(
        &self,
        sandbox: AnnouncedSandbox,
        until: Option<Instant>,
    ) -> Result<PluggedSandbox, ChangeError> {
        let key = TopologyKey { namespace: sandbox.namespace.clone(), ..TopologyKey::default() };
        let (pods, announced) = (Arc::clone(&self.0.pods), sandbox.clone());
        let work = move || pods.announce(&announced).map_err(|error| refused(&announced, error));
        let announcement = self.work(&key, work).await?;
        self.keep(&key, announcement).await?;
        let mut token = self.events().latest();
        let mut plugged = self.own(sandbox);
        let keys = self.ledger().of_pod(&plugged.pod);
        tracing::info!(pod = %plugged.name(), sandbox = %plugged.sandbox.sandbox_id, topologies = keys.len(), "announced");
        if !keys.is_empty() {
            self.takes_changes()?;
        }
        self.heal_now(&keys, &Cause::Appeared(plugged.pod.clone())).await;
        plugged.views = self.views(&keys).await?;
        let mut leaving = self.0.leaving.subscribe();
        loop {
            let waiting = self.unready(&plugged).await?;
            if waiting.is_empty() {
                return Ok(plugged);
            }
            let pod = plugged.name();
            if waiting.iter().any(|each| each.state == State::Failed) {
                return Err(ChangeError::SandboxFailed { pod, waiting });
            }
            let Some(until) = until else { return Err(ChangeError::SandboxNotReady { pod, waiting }) };
            let event = tokio::select! {
                event = timeout_at(until, self.events().after(token)) => event,
                _ = leaving.wait_for(|leaving| *leaving) => return Err(ChangeError::ShuttingDown),
            };
            match event {
                Err(_) => return Err(ChangeError::SandboxNotReady { pod, waiting }),
                Ok(Ok(event)) => {
                    token = event.token;
                    let Some(at) = plugged.views.iter().position(|view| *view.key() == event.key) else { continue };
                    match event.kind {
                        EventKind::Changed(now) => plugged.views[at] = (*now).clone(),
                        EventKind::Deleted => drop(plugged.views.remove(at)),
                    }
                }
                Ok(Err(_)) => {
                    token = self.events().latest();
                    plugged.views = self.views(&keys).await?;
                }
            }
        }
    }

    /// Stores an announcement before anything is plugged: where nothing else tells of pods, the next run of the agent would
    /// not find again what is in them.
    async fn keep(&self, key: &TopologyKey, announcement: Announcement) -> Result<(), ChangeError> {
        let (store, sandbox) = (Arc::clone(&self.0.store), announcement.sandbox.sandbox_id.clone());
        let stored = self.work(key, move || store.put_announcement(&announcement).map_err(ChangeError::State)).await;
        let Err(error) = stored else { return Ok(()) };
        if self.0.pods.only_announced() {
            self.0.pods.withdraw(&sandbox);
            return Err(error);
        }
        tracing::warn!(%sandbox, error = %chain(&error), "a restarted agent will not know that it was announced");
        Ok(())
    }

    /// Takes an announcement back. Of a sandbox that is not its pod's current one nothing comes of it.
    pub fn unplug_sandbox(&self, sandbox: &SandboxId) {
        self.0.store.forget_announcement(sandbox);
        let Some(pod) = self.0.pods.withdraw(sandbox) else { return };
        let keys = self.ledger().of_pod(&pod);
        tracing::info!(%pod, %sandbox, topologies = keys.len(), "announcement withdrawn");
        // Not waited for: what was in the pod goes with it.
        if self.takes_changes().is_ok() {
            self.heal_soon(keys, &Cause::Gone(pod));
        }
    }

    /// Takes the announcements of all other sandboxes back: which.
    pub fn retain_sandboxes(&self, keep: &BTreeSet<SandboxId>) -> Vec<SandboxId> {
        let stale: Vec<_> = self.0.pods.announced().into_iter().filter(|each| !keep.contains(each)).collect();
        for each in &stale {
            self.unplug_sandbox(each);
        }
        stale
    }

    /// Looks whether a sandbox is its pod's current one and has its interfaces.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub async fn check_sandbox(&self, sandbox: AnnouncedSandbox) -> Result<PluggedSandbox, ChangeError> {
        let key = TopologyKey { namespace: sandbox.namespace.clone(), ..TopologyKey::default() };
        let (pods, asked) = (Arc::clone(&self.0.pods), sandbox.clone());
        self.work(&key, move || {
            // The cookie says which namespace it is: never path, inode or id.
            let cookie = Netns::open(&asked.netns_path).map(|netns| netns.cookie());
            let cookie = cookie.map_err(|error| not_current(&asked, &error.to_string()))?;
            match pods.find(&[Wanted::pod_of(&asked)])?.into_values().next() {
                Some(PodDoor::Open(netns, _)) if netns.cookie() == cookie => Ok(()),
                Some(PodDoor::Open(_, current)) => {
                    Err(not_current(&asked, &format!("its pod has sandbox {current} now")))
                }
                Some(PodDoor::Absent(reason)) => Err(not_current(&asked, &reason)),
                Some(PodDoor::Refused(refusal)) => Err(not_current(&asked, &refusal.message)),
                None => Err(not_current(&asked, "its pod is not known")),
            }
        })
        .await?;
        let mut plugged = self.own(sandbox);
        let keys = self.ledger().of_pod(&plugged.pod);
        for key in &keys {
            match self.get(key).await {
                Ok(view) => plugged.views.push(view),
                Err(ChangeError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let waiting = self.unready(&plugged).await?;
        let pod = plugged.name();
        if waiting.is_empty() {
            Ok(plugged)
        } else if waiting.iter().any(|each| each.state == State::Failed) {
            Err(ChangeError::SandboxFailed { pod, waiting })
        } else {
            Err(ChangeError::SandboxNotReady { pod, waiting })
        }
    }

    fn own(&self, sandbox: AnnouncedSandbox) -> PluggedSandbox {
        let wanted = Wanted::pod_of(&sandbox);
        let pod = self.0.pods.key(&wanted.namespace, &wanted.owner);
        PluggedSandbox { sandbox, pod, views: Vec::new() }
    }

    /// What is known of topologies; those that are gone are left out.
    async fn views(&self, keys: &[TopologyKey]) -> Result<Vec<TopologyView>, ChangeError> {
        let mut views = Vec::with_capacity(keys.len());
        for key in keys {
            let published = self.ledger().get(key).and_then(|entry| entry.published.clone());
            match published {
                Some(view) => views.push((*view).clone()),
                None => match self.get(key).await {
                    Ok(view) => views.push(view),
                    Err(ChangeError::NotFound { .. }) => {}
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(views)
    }

    /// The interfaces that are still to come.
    async fn unready(&self, plugged: &PluggedSandbox) -> Result<Vec<Unready>, ChangeError> {
        let mut waiting = Vec::new();
        for view in &plugged.views {
            for nic in plugged.nics(view) {
                let Some(seen) = view.interfaces.get(&nic.id).filter(|seen| seen.state != State::Ready) else {
                    continue;
                };
                if seen.state == State::Pending && self.waits_for_another(view, nic).await? {
                    continue;
                }
                let interface = format!("{}/{}", view.key().name, nic.id);
                // What failed as a whole is tried again soon, unlike what was refused.
                let state = if view.trouble.is_some() { State::Pending } else { seen.state };
                waiting.push(Unready { interface, state, reason: seen.reason.clone() });
            }
        }
        Ok(waiting)
    }

    /// Whether a NIC is the end of a DIRECT link whose other end is the reason: its pod is not there, or refuses it.
    async fn waits_for_another(&self, view: &TopologyView, nic: &Nic) -> Result<bool, ChangeError> {
        let Wire::Direct { far } = &nic.wire else { return Ok(false) };
        let Some(far) = view.desired.nic(far).filter(|far| far.key.pod != nic.key.pod) else { return Ok(false) };
        if view.interfaces.get(&far.id).is_some_and(|seen| seen.state == State::Failed) {
            return Ok(true);
        }
        let namespace = view.key().namespace.clone();
        let wanted = Wanted { namespace, owner: far.owner.clone(), uid: far.uid.clone() };
        let pods = Arc::clone(&self.0.pods);
        let found = self.work(view.key(), move || Ok(pods.find(&[wanted])?)).await?;
        Ok(!matches!(found.into_values().next(), Some(PodDoor::Open(..))))
    }
}

fn not_current(sandbox: &AnnouncedSandbox, why: &str) -> ChangeError {
    let AnnouncedSandbox { namespace, pod, sandbox_id, .. } = sandbox;
    let message = format!("sandbox {sandbox_id} is not the current one: {why}");
    ChangeError::SandboxRefused { pod: format!("{namespace}/{pod}"), reason: "NOT_CURRENT", message }
}

fn refused(sandbox: &AnnouncedSandbox, error: AnnounceError) -> ChangeError {
    let pod = format!("{}/{}", sandbox.namespace, sandbox.pod);
    match error {
        AnnounceError::Pods(error) => error.into(),
        AnnounceError::Refused(refusal) => {
            ChangeError::SandboxRefused { pod, reason: refusal.reason, message: refusal.message }
        }
        AnnounceError::Unsupported(_) => {
            let message =
                format!("{error}: take podwire-cni out of the CNI configuration, or find pods in another way");
            ChangeError::SandboxRefused { pod, reason: "SANDBOXES_NOT_ANNOUNCED", message }
        }
    }
}
