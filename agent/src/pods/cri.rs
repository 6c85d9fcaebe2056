//! Pods of a Kubernetes node: what its container runtime tells of its sandboxes.

mod cache;
mod events;
mod follow;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod info;
mod namespaces;
mod runtime;
mod sandbox;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, mpsc::sync_channel},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::{broadcast, mpsc},
    task::JoinHandle,
};
use tokio_stream::wrappers::BroadcastStream;

use crate::{
    causes::chain,
    domain::{
        announcement::{AnnouncedSandbox, Announcement},
        intent::PodKey,
        name::{Namespace, PodName, PodUid},
        observed::SandboxId,
        spec::PodOwner,
    },
    kernel::{NetnsDir, PodDoor},
};

use self::{
    cache::{Cache, Current, Standing},
    follow::{Ask, Follower, Shared},
    namespaces::Namespaces,
    runtime::Sockets,
};

use super::{
    AnnounceError, NETNS_DIRS, NamedPods, Pod, PodChange, PodChanges, Pods, PodsError, Wanted,
    announcements::check,
    door::{self, Way},
    pod_key,
};

pub use self::runtime::RuntimeError;

/// How long a fresh list is waited for. What is known is used then.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at most before a pod is taken as it is: more would mean that its sandbox is replaced faster than it is opened.
const LOOKS: usize = 4;

/// Changes that may wait for the engine. More is an overrun.
const QUEUE: usize = 1024;

/// Pods as a container runtime has them. Interfaces of bare network namespaces are found as [`NamedPods`] finds them.
#[derive(Debug)]
pub struct CriPods {
    named: NamedPods,
    shared: Arc<Shared>,
    asks: mpsc::Sender<Ask>,
    task: JoinHandle<()>,
}

impl CriPods {
    /// Follows the runtime at this socket, or at the first of the usual ones that answers. It need not run yet. Must be
    /// called within a tokio runtime; `dir` is the directory of named network namespaces.
    pub fn start(socket: Option<PathBuf>, dir: NetnsDir) -> Self {
        let shared = Arc::new(Shared::new(broadcast::Sender::new(QUEUE)));
        let (asks, asked) = mpsc::channel(QUEUE);
        let follower = Follower {
            shared: Arc::clone(&shared),
            sockets: Sockets::new(socket),
            asks: asked,
            dirs: [dir.dir().to_owned()].into_iter().chain(NETNS_DIRS.map(PathBuf::from)).collect(),
            namespaces: Namespaces::new(),
        };
        Self { named: NamedPods::new(dir), shared, asks, task: tokio::spawn(follower.run()) }
    }

    /// Waits until the runtime was asked after this call began, or until it takes too long. Blocking.
    fn refresh(&self) {
        let (told, done) = sync_channel(1);
        if self.asks.try_send(told).is_ok() {
            let _ = done.recv_timeout(PATIENCE);
        }
    }

    fn current(&self, namespace: &Namespace, pod: &PodName) -> Option<Current> {
        self.shared.cache().current(namespace, pod)
    }

    fn way(&self, pod: &PodKey, uid: Option<&PodUid>, current: Option<&Current>) -> Way {
        let Some(current) = current else { return Way::Told(PodDoor::Absent(self.why_absent(pod))) };
        let id = &current.id;
        if let Some(refused) = door::another_incarnation(pod, uid, current.uid.as_ref()) {
            return Way::Told(refused);
        }
        Way::Told(match &current.standing {
            Standing::Netns(path) => {
                let going = format!("sandbox {id} of pod {pod} is going");
                let absent = move |reason| PodDoor::Absent(format!("{going}: {reason}"));
                return Way::Path { path: path.clone(), id: id.clone(), absent: Box::new(absent) };
            }
            Standing::Host => {
                let message = format!(
                    "pod {pod} has hostNetwork, so its network namespace is the node's own: podwire never plugs interfaces \
                     into it"
                );
                door::refused("HOST_NETWORK", message)
            }
            Standing::Untold(seen) => {
                let message = format!(
                    "the container runtime does not tell the network namespace of pod {pod} (sandbox {id}: {seen}): add \
                     the CNI plugin `podwire-cni` to the node's CNI chain, which tells it, and start the pod anew"
                );
                door::refused("NO_NETNS_PATH", message)
            }
            Standing::Unasked => PodDoor::Absent(format!(
                "the container runtime has not said yet where sandbox {id} of pod {pod} has its network"
            )),
            Standing::NotReady => PodDoor::Absent(format!(
                "pod {pod} has no sandbox that is READY: {id} is NOTREADY, its network is not set up or it was stopped"
            )),
            Standing::Dead => PodDoor::Absent(format!("sandbox {id} of pod {pod} was stopped")),
        })
    }

    fn why_absent(&self, pod: &PodKey) -> String {
        match &self.shared.cache().away {
            Some(error) => format!("pod {pod} is not known yet: {}", chain(&**error)),
            None => format!("the container runtime of this node has no sandbox of pod {pod} yet"),
        }
    }

    fn pod(&self, namespace: Namespace, name: &PodName) -> Result<Option<Pod>, PodsError> {
        let Some(current) = self.current(&namespace, name) else { return Ok(None) };
        let way = self.way(&pod_key(&namespace, name), None, Some(&current));
        let (sandbox, problem) = door::told(door::open(way)?);
        let netns_path = match current.standing {
            Standing::Netns(path) => path,
            _ => PathBuf::new(),
        };
        Ok(Some(Pod {
            namespace: Some(namespace),
            name: name.to_string(),
            uid: current.uid,
            sandbox,
            netns_path,
            problem,
        }))
    }
}

impl Drop for CriPods {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pods for CriPods {
    fn kind(&self) -> &'static str {
        "cri"
    }

    fn key(&self, namespace: &Namespace, owner: &PodOwner) -> PodKey {
        match owner {
            PodOwner::Pod(name) => pod_key(namespace, name),
            PodOwner::Netns(_) => self.named.key(namespace, owner),
        }
    }

    fn find(&self, wanted: &[Wanted]) -> Result<BTreeMap<PodKey, PodDoor>, PodsError> {
        let mut pods: BTreeMap<PodKey, (&Wanted, &PodName)> = BTreeMap::new();
        let mut others = Vec::new();
        for each in wanted {
            match &each.owner {
                PodOwner::Pod(name) => drop(pods.insert(pod_key(&each.namespace, name), (each, name))),
                PodOwner::Netns(_) => others.push(each.clone()),
            }
        }
        let mut doors = self.named.find(&others)?;
        // Opened first and compared with a fresh list afterwards: what was opened is then known to be current.
        let mut opened: BTreeMap<&PodKey, Option<Current>> = BTreeMap::new();
        for _ in 0..LOOKS {
            let mut ways = Vec::new();
            for (key, (each, name)) in &pods {
                let current = self.current(&each.namespace, name);
                if opened.get(key) != Some(&current) {
                    ways.push((key.clone(), self.way(key, each.uid.as_ref(), current.as_ref())));
                    opened.insert(key, current);
                }
            }
            if ways.is_empty() {
                break;
            }
            let (changed, ways): (Vec<_>, Vec<_>) = ways.into_iter().unzip();
            doors.extend(changed.into_iter().zip(door::open_all(ways)?));
            self.refresh();
        }
        // The reason may have changed though the pod has not: there is a runtime by now.
        for (key, _) in opened.iter().filter(|(_, current)| current.is_none()) {
            doors.insert((*key).clone(), PodDoor::Absent(self.why_absent(key)));
        }
        Ok(doors)
    }

    fn list(&self) -> Result<Vec<Pod>, PodsError> {
        self.refresh();
        let pods = {
            let cache = self.shared.cache();
            if let Some(error) = &cache.away {
                return Err(PodsError::Runtime(Arc::clone(error)));
            }
            cache.pods()
        };
        pods.into_values().filter_map(|(namespace, name)| self.pod(namespace, &name).transpose()).collect()
    }

    fn changes(&self) -> Result<PodChanges, PodsError> {
        let sandboxes =
            BroadcastStream::new(self.shared.subscribe()).map(|change| change.unwrap_or(PodChange::Overrun));
        Ok(stream::select(sandboxes, self.named.changes()?).boxed())
    }

    fn announce(&self, sandbox: &AnnouncedSandbox) -> Result<Announcement, AnnounceError> {
        let announcement = check(sandbox)?;
        self.shared.change(|cache: &mut Cache| cache.announced.announce(&announcement));
        Ok(announcement)
    }

    fn recall(&self, announcements: Vec<Announcement>) -> Vec<SandboxId> {
        self.shared.change(|cache: &mut Cache| cache.announced.recall(announcements))
    }

    fn unknown(&self) -> Option<String> {
        let cache = self.shared.cache();
        if let Some(error) = &cache.away {
            return Some(chain(&**error));
        }
        let unplaced = cache.unplaced().len();
        (unplaced > 0)
            .then(|| format!("the container runtime has not said yet where {unplaced} sandboxes have their network"))
    }

    fn withdraw(&self, sandbox: &SandboxId) -> Option<PodKey> {
        let withdrawn = self.shared.change(|cache: &mut Cache| cache.announced.withdraw(sandbox.as_str()))?;
        Some(pod_key(&withdrawn.namespace, &withdrawn.pod))
    }

    fn announced(&self) -> Vec<SandboxId> {
        self.shared.cache().announced.ids()
    }
}
