//! What is known of the sandboxes of the node. Pure, but for looking whether a path is there.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use podwire_proto::cri::PodSandbox;

use crate::{
    domain::{
        intent::PodKey,
        name::{Namespace, PodName, PodUid},
    },
    pods::{
        PodChange,
        announcements::{Announcements, Listed},
        pod_key,
    },
};

use super::{info::Place, runtime::RuntimeError, sandbox::Sandbox};

/// What is known.
#[derive(Debug)]
pub(super) struct Cache {
    /// As last listed, by pod; never an empty list.
    sandboxes: BTreeMap<PodKey, Vec<Sandbox>>,
    /// Where the network of each is, by id.
    places: HashMap<String, Place>,
    /// Those that ended before the runtime lists them so: their namespace is gone, or an event said it.
    dead: HashSet<String>,
    pub(super) announced: Announcements,
    /// Why the runtime does not answer; `None`: it does.
    pub(super) away: Option<Arc<RuntimeError>>,
    /// Sandboxes that are no pod's.
    pub(super) skipped: usize,
    /// What the engine was told last: the current sandbox of each pod, with the UID, which an announcement may lack.
    published: BTreeMap<PodKey, (String, Option<PodUid>)>,
}

/// The current sandbox of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Current {
    pub id: String,
    pub uid: Option<PodUid>,
    pub standing: Standing,
}

/// How it is with a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its network namespace is at this path.
    Netns(PathBuf),
    /// It has the node's own.
    Host,
    /// The runtime does not tell where its network is.
    Untold(&'static str),
    /// The runtime has not been asked yet, or did not answer.
    Unasked,
    /// The runtime calls it NOTREADY.
    NotReady,
    /// It is on its way out.
    Dead,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            sandboxes: BTreeMap::new(),
            places: HashMap::new(),
            dead: HashSet::new(),
            announced: Announcements::default(),
            away: Some(Arc::new(RuntimeError::NotAsked)),
            skipped: 0,
            published: BTreeMap::new(),
        }
    }
}

impl Cache {
    /// Takes over a list. What is not in it any more is forgotten.
    pub(super) fn listed(&mut self, list: &[PodSandbox]) {
        self.sandboxes.clear();
        self.skipped = 0;
        for listed in list {
            match Sandbox::parse(listed) {
                Some(sandbox) => self.sandboxes.entry(sandbox.key()).or_default().push(sandbox),
                None => self.skipped += 1,
            }
        }
        let ids: HashSet<&str> = self.sandboxes.values().flatten().map(|sandbox| sandbox.id.as_str()).collect();
        self.places.retain(|id, _| ids.contains(id.as_str()));
        let places = &self.places;
        // A path that is there again was mounted anew; an id without a path is dead because an event said so.
        self.dead.retain(|id| match places.get(id) {
            Some(Place::Netns(path)) => ids.contains(id.as_str()) && !path.exists(),
            _ => ids.contains(id.as_str()),
        });
        let sandboxes = &self.sandboxes;
        self.announced.settle(|| {
            Box::new(sandboxes.values().flatten().map(|each| Listed {
                id: &each.id,
                namespace: &each.namespace,
                pod: &each.pod,
                ready: each.ready,
                created_at: each.created_at,
            }))
        });
        self.announced.forget_lost();
        self.away = None;
    }

    /// The current sandboxes whose place was not asked for yet.
    pub(super) fn unplaced(&self) -> Vec<String> {
        let current = self.sandboxes.values().filter_map(|all| newest(all)).filter(|sandbox| sandbox.ready);
        let new = current.filter(|sandbox| !self.places.contains_key(&sandbox.id));
        new.map(|sandbox| sandbox.id.clone()).collect()
    }

    /// Remembers where the network of a sandbox is.
    pub(super) fn place(&mut self, id: String, place: Place) {
        self.places.insert(id, place);
    }

    /// An event said that this container or sandbox ended.
    pub(super) fn ended(&mut self, id: &str) {
        if self.places.contains_key(id) {
            self.dead.insert(id.to_owned());
            self.announced.withdraw(id);
        }
    }

    /// Namespace files were removed: those sandboxes are over, whatever the runtime says.
    pub(super) fn look_for_lost(&mut self) {
        let lost = self.places.iter().filter(|(_, place)| matches!(place, Place::Netns(path) if !path.exists()));
        self.dead.extend(lost.map(|(id, _)| id.clone()));
        self.announced.forget_lost();
    }

    /// Paths of the network namespaces that sandboxes are known to have.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let placed = self.places.values().filter_map(|place| match place {
            Place::Netns(path) => Some(path.as_path()),
            Place::Host | Place::Untold(_) => None,
        });
        placed.chain(self.announced.waiting().map(|sandbox| sandbox.netns_path.as_path()))
    }

    /// The pods that the runtime lists or that were announced.
    pub(super) fn pods(&self) -> BTreeMap<PodKey, (Namespace, PodName)> {
        let listed = self.sandboxes.values().filter_map(|all| all.first());
        let listed = listed.map(|each| (each.namespace.clone(), each.pod.clone()));
        let announced = self.announced.waiting().map(|each| (each.namespace.clone(), each.pod.clone()));
        listed.chain(announced).map(|(namespace, pod)| (pod_key(&namespace, &pod), (namespace, pod))).collect()
    }

    /// The current sandbox of a pod; `None`: it has none.
    pub(super) fn current(&self, namespace: &Namespace, pod: &PodName) -> Option<Current> {
        if let Some(sandbox) = self.announced.current(namespace, pod) {
            let standing = Standing::Netns(sandbox.netns_path.clone());
            return Some(Current { id: sandbox.sandbox_id.to_string(), uid: sandbox.uid.clone(), standing });
        }
        self.sandboxes.get(&pod_key(namespace, pod)).and_then(|all| newest(all)).map(|sandbox| self.look(sandbox))
    }

    fn look(&self, sandbox: &Sandbox) -> Current {
        let standing = if !sandbox.ready {
            Standing::NotReady
        } else if self.dead.contains(&sandbox.id) {
            Standing::Dead
        } else {
            match self.places.get(&sandbox.id) {
                None => Standing::Unasked,
                Some(Place::Netns(path)) => Standing::Netns(path.clone()),
                Some(Place::Host) => Standing::Host,
                Some(Place::Untold(seen)) => match self.announced.path(&sandbox.id) {
                    Some(path) => Standing::Netns(path.to_owned()),
                    None => Standing::Untold(seen),
                },
            }
        };
        Current { id: sandbox.id.clone(), uid: sandbox.uid.clone(), standing }
    }

    /// What changed since this was asked last.
    pub(super) fn news(&mut self) -> Vec<PodChange> {
        let mut now: BTreeMap<PodKey, (String, Option<PodUid>)> = BTreeMap::new();
        let listed = self.sandboxes.iter().filter_map(|(key, all)| Some((key.clone(), self.look(newest(all)?))));
        now.extend(
            listed
                .filter(|(_, current)| current.standing.is_there())
                .map(|(key, current)| (key, (current.id, current.uid))),
        );
        for sandbox in self.announced.waiting() {
            now.insert(
                pod_key(&sandbox.namespace, &sandbox.pod),
                (sandbox.sandbox_id.to_string(), sandbox.uid.clone()),
            );
        }
        let gone = self.published.keys().filter(|key| !now.contains_key(*key)).cloned().map(PodChange::Gone);
        let new = now.iter().filter(|(key, current)| self.published.get(*key) != Some(current));
        let news = gone.chain(new.map(|(key, _)| PodChange::Appeared(key.clone()))).collect();
        self.published = now;
        news
    }
}

impl Standing {
    /// Whether there is something to tell about: one that waits to be asked is told of when it was.
    fn is_there(&self) -> bool {
        match self {
            Self::Netns(_) | Self::Host | Self::Untold(_) => true,
            Self::Unasked | Self::NotReady | Self::Dead => false,
        }
    }
}

fn newest(sandboxes: &[Sandbox]) -> Option<&Sandbox> {
    sandboxes.iter().max_by_key(|sandbox| sandbox.rank())
}

#[cfg(test)]
mod tests;
