//! Pods of which nothing is known but what the CNI plugin announces.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::{StreamExt, stream};

use crate::{
    domain::{
        announcement::{AnnouncedSandbox, Announcement},
        intent::PodKey,
        name::Namespace,
        observed::SandboxId,
        spec::PodOwner,
    },
    kernel::PodDoor,
};

use super::{
    AnnounceError, Pod, PodChanges, Pods, PodsError, Wanted,
    announcements::{Announcements, check},
    door::{self, Way},
    pod_key,
};

/// Pods whose sandboxes were announced: for runtimes that cannot be asked. Of two sandboxes of a pod the one that was
/// announced last is the current one.
#[derive(Debug, Default)]
pub struct AnnouncedPods {
    announcements: Mutex<Announcements>,
    /// What earlier runs of the agent were told is known.
    recalled: AtomicBool,
}

impl AnnouncedPods {
    fn all(&self) -> MutexGuard<'_, Announcements> {
        self.announcements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that are still there: nobody tells of the end of one whose CNI DEL never came.
    fn present(&self) -> MutexGuard<'_, Announcements> {
        let mut all = self.all();
        all.forget_lost();
        all
    }

    fn way(wanted: &Wanted, pod: &PodKey, sandbox: Option<&AnnouncedSandbox>) -> Way {
        if !matches!(wanted.owner, PodOwner::Pod(_)) {
            let message = format!("{} is not a pod, and only pods are announced on this node", wanted.owner);
            return Way::Told(door::refused("NOT_A_POD", message));
        }
        let Some(sandbox) = sandbox else {
            return Way::Told(PodDoor::Absent(format!("no sandbox of pod {pod} is announced yet")));
        };
        match door::another_incarnation(pod, wanted.uid.as_ref(), sandbox.uid.as_ref()) {
            Some(refused) => Way::Told(refused),
            None => Way::to(&sandbox.netns_path, sandbox.sandbox_id.as_str()),
        }
    }
}

impl Pods for AnnouncedPods {
    fn kind(&self) -> &'static str {
        "announced"
    }

    fn key(&self, namespace: &Namespace, owner: &PodOwner) -> PodKey {
        match owner {
            PodOwner::Pod(name) => pod_key(namespace, name),
            PodOwner::Netns(_) => PodKey::new(owner.to_string()),
        }
    }

    fn find(&self, wanted: &[Wanted]) -> Result<BTreeMap<PodKey, PodDoor>, PodsError> {
        let current = |each: &Wanted| match &each.owner {
            PodOwner::Pod(name) => self.all().current(&each.namespace, name).cloned(),
            PodOwner::Netns(_) => None,
        };
        drop(self.present());
        // Opened outside the lock: it costs a thread.
        let keys: Vec<PodKey> = wanted.iter().map(|each| self.key(&each.namespace, &each.owner)).collect();
        let ways = wanted.iter().zip(&keys).map(|(each, key)| Self::way(each, key, current(each).as_ref())).collect();
        Ok(keys.into_iter().zip(door::open_all(ways)?).collect())
    }

    fn list(&self) -> Result<Vec<Pod>, PodsError> {
        // The last of each pod stays.
        let current: BTreeMap<PodKey, AnnouncedSandbox> =
            self.present().waiting().map(|each| (pod_key(&each.namespace, &each.pod), each.clone())).collect();
        let pods = current.into_values().map(|each| {
            let (sandbox, problem) = door::told(door::open(Way::to(&each.netns_path, each.sandbox_id.as_str()))?);
            Ok(Pod {
                namespace: Some(each.namespace),
                name: each.pod.to_string(),
                uid: each.uid,
                sandbox,
                netns_path: each.netns_path,
                problem,
            })
        });
        pods.collect()
    }

    /// None: who announces looks at the pod's topologies, and the kernel tells of the end of a namespace.
    fn changes(&self) -> Result<PodChanges, PodsError> {
        Ok(stream::pending().boxed())
    }

    fn announce(&self, sandbox: &AnnouncedSandbox) -> Result<Announcement, AnnounceError> {
        let announcement = check(sandbox)?;
        self.all().announce(&announcement);
        Ok(announcement)
    }

    fn recall(&self, announcements: Vec<Announcement>) -> Vec<SandboxId> {
        let gone = self.all().recall(announcements);
        self.recalled.store(true, Ordering::Release);
        gone
    }

    fn unknown(&self) -> Option<String> {
        let recalled = self.recalled.load(Ordering::Acquire);
        (!recalled)
            .then(|| "what was announced is in the agent's state, and that is not there or cannot be read".to_owned())
    }

    fn only_announced(&self) -> bool {
        true
    }

    fn withdraw(&self, sandbox: &SandboxId) -> Option<PodKey> {
        let withdrawn = self.all().withdraw(sandbox.as_str())?;
        Some(pod_key(&withdrawn.namespace, &withdrawn.pod))
    }

    fn announced(&self) -> Vec<SandboxId> {
        self.all().ids()
    }
}

#[cfg(test)]
mod tests;
