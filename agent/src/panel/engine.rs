//! The engine: its parts, and what it tells of the node and its topologies.

mod apply;
mod commit;
mod delete;
mod heal;
mod ready;
mod sandbox;
mod single;
mod start;

use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify, RwLock, watch},
    task::spawn_blocking,
    time::timeout,
};

use crate::{
    domain::{
        intent::Generation,
        name::{Namespace, TopologyKey},
    },
    kernel::{Kernel, KernelError, NetnsDir, boottime},
    pods::{Pod, Pods},
    store::Store,
};

pub use sandbox::PluggedSandbox;

use super::{
    capture::Captures,
    error::ChangeError,
    events::Events,
    healer::Healer,
    ledger::Ledger,
    record::wall_clock,
    request::{EngineConfig, Node, Renewal},
    turns::Turns,
    view::TopologyView,
};

/// How long retired panels may take when the agent leaves. A bridge takes 32 ms.
const LAST_REAP: Duration = Duration::from_secs(5);

/// The engine. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Engine(pub(super) Arc<Inner>);

/// What all clones share.
pub(super) struct Inner {
    config: EngineConfig,
    node: Node,
    pub(super) kernel: Arc<dyn Kernel>,
    pub(super) pods: Arc<dyn Pods>,
    store: Arc<dyn Store>,
    ledger: std::sync::Mutex<Ledger>,
    pub(super) turns: Turns,
    events: Events,
    /// Changes hold it for reading; who takes it for writing has waited for all of them. True: the agent is leaving.
    pub(super) gate: RwLock<bool>,
    /// True: the agent is about to leave, and who waits for READY waits no longer.
    leaving: watch::Sender<bool>,
    /// Topologies that wait for a heal.
    pub(super) healer: Healer,
    /// Held by who takes down retired panels.
    reaping: Mutex<()>,
    /// A panel was retired.
    pub(super) retired: Notify,
    /// Something may be there that nobody asks for.
    pub(super) orphans: Notify,
    /// A lease may end earlier than was thought.
    pub(super) leases: Notify,
    pub(super) captures: Captures,
}

impl Engine {
    /// Sends away who waits for READY: those pods may take longer to come than the agent has. Changes are still taken.
    pub fn leave(&self) {
        self.0.leaving.send_replace(true);
    }

    /// Takes no more changes, and returns when those under way are done and, if it does not take long, retired panels
    /// are gone. The wires stay.
    pub async fn shutdown(&self) {
        self.leave();
        *self.0.gate.write().await = true;
        // One that takes no changes removes nothing either.
        let clear = self.reap_by(Kernel::clear);
        if self.takes_changes().is_ok() && timeout(LAST_REAP, clear).await.is_err() {
            tracing::info!("retired panels are left: the next start takes them down");
        }
    }

    /// Parks or takes down the panels that were retired. One task at a time: they would only wait for each other's bridges. False:
    /// one is left.
    pub(super) async fn reap(&self) -> bool {
        self.reap_by(Kernel::reap).await
    }

    async fn reap_by(&self, work: fn(&dyn Kernel) -> Result<(), KernelError>) -> bool {
        let _reaping = self.0.reaping.lock().await;
        let kernel = Arc::clone(&self.0.kernel);
        match spawn_blocking(move || work(&*kernel)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::warn!(error = %chain(&error), "a retired panel stays for now"),
            Err(error) => tracing::error!(%error, "taking down panels panicked"),
        }
        false
    }

    /// A topology as it is now.
    ///
    /// # Errors
    ///
    /// There is none of this key; the kernel cannot be looked at.
    pub async fn get(&self, key: &TopologyKey) -> Result<TopologyView, ChangeError> {
        let _turn = self.0.turns.take(key).await;
        let intent = self.ledger().intent(key).ok_or_else(|| absent(key))?;
        let converge = self.prepare(key, Some(intent), None).await?;
        self.publish(key, &converge.outcome(), "looked at").ok_or_else(|| absent(key))
    }

    /// All topologies of a namespace or of the node as they are now, by key.
    ///
    /// # Errors
    ///
    /// The kernel cannot be looked at.
    pub async fn list(&self, namespace: Option<&Namespace>) -> Result<Vec<TopologyView>, ChangeError> {
        let keys = self.ledger().keys(namespace);
        let mut views = Vec::with_capacity(keys.len());
        for key in keys {
            match self.get(&key).await {
                Ok(view) => views.push(view),
                // Deleted since the keys were read.
                Err(ChangeError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(views)
    }

    /// Lets a lease run in full again. Generation 0 is not checked.
    pub fn renew(&self, key: &TopologyKey, generation: Generation) -> Renewal {
        let mut ledger = self.ledger();
        let Some(entry) = ledger.get_mut(key).filter(|entry| !entry.ending) else { return Renewal::NotFound };
        if generation > Generation(0) && generation < entry.intent.generation {
            return Renewal::Fenced;
        }
        let Some(lease) = entry.intent.spec.lease else { return Renewal::NoLease };
        let end = boottime() + lease;
        entry.lease_ends = Some(end);
        Renewal::Renewed(wall_clock(end))
    }

    /// The events of all topologies.
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// What the agent knows of its node.
    pub fn node(&self) -> &Node {
        &self.0.node
    }

    /// The pods of the node.
    ///
    /// # Errors
    ///
    /// Their source does not answer.
    pub async fn pods(&self) -> Result<Vec<Pod>, ChangeError> {
        let pods = Arc::clone(&self.0.pods);
        let listed = spawn_blocking(move || pods.list()).await;
        Ok(listed.map_err(|_| ChangeError::Bug(TopologyKey::default()))??)
    }

    /// Refuses changes where the intents of an earlier run are not known.
    ///
    /// # Errors
    ///
    /// Why there are no intents.
    pub fn takes_changes(&self) -> Result<(), ChangeError> {
        self.0.node.store_problem.clone().map_or(Ok(()), |problem| Err(ChangeError::StoreUnreadable(problem)))
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn netns_dir(&self) -> NetnsDir {
        NetnsDir::new(&self.0.config.netns_dir)
    }
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

fn absent(key: &TopologyKey) -> ChangeError {
    ChangeError::NotFound { kind: "topology", name: key.to_string() }
}
