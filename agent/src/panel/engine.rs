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
    time::{Instant, timeout, timeout_at},
};

use crate::{
    causes::chain,
    domain::{
        intent::Generation,
        name::{Namespace, TopologyKey},
    },
    kernel::{Kernel, KernelError, NetnsDir},
    metrics::Metrics,
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
    record::{blind, wall_clock},
    request::{EngineConfig, Node, Renewal},
    turns::Turns,
    view::TopologyView,
};

/// How long retired panels may take when the agent leaves. A bridge takes 32 ms.
const LAST_REAP: Duration = Duration::from_secs(5);

/// How long a reader waits for the turn of a topology. A heal behind a pod or a runtime that hangs takes longer.
const READER: Duration = Duration::from_secs(1);

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
    pub(super) metrics: Metrics,
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

    /// A topology as it is now. Where it cannot be looked at, or somebody works on it for longer than a reader may wait: as it
    /// was seen last, with the error where there is one.
    ///
    /// # Errors
    ///
    /// There is none of this key.
    pub async fn get(&self, key: &TopologyKey) -> Result<TopologyView, ChangeError> {
        self.look_by(key, Instant::now() + READER).await.ok_or_else(|| absent(key))
    }

    /// All topologies of the namespaces that are wanted as `get` shows them, by key. The others are not looked at.
    pub async fn list(&self, wanted: impl Fn(&Namespace) -> bool) -> Vec<TopologyView> {
        self.look_at(&self.keys(wanted)).await
    }

    /// The keys of all topologies of the namespaces that are wanted, sorted.
    pub fn keys(&self, wanted: impl Fn(&Namespace) -> bool) -> Vec<TopologyKey> {
        let mut keys = self.ledger().keys(None);
        keys.retain(|key| wanted(&key.namespace));
        keys
    }

    /// These topologies as `get` shows them, without those that are not there any more.
    pub async fn look_at(&self, keys: &[TopologyKey]) -> Vec<TopologyView> {
        let mut views = Vec::with_capacity(keys.len());
        let until = Instant::now() + READER;
        for key in keys {
            views.extend(self.look_by(key, until).await);
        }
        views
    }

    async fn look_by(&self, key: &TopologyKey, until: Instant) -> Option<TopologyView> {
        let _turn = if let Ok(turn) = timeout_at(until, self.0.turns.take(key)).await {
            turn
        } else {
            let seen = self.ledger().get(key)?.published.clone();
            if let Some(seen) = seen {
                return Some(TopologyView::clone(&seen));
            }
            self.0.turns.take(key).await
        };
        let intent = self.ledger().intent(key)?;
        match self.prepare(key, Some(intent), None).await {
            Ok(converge) => self.publish(key, &converge.outcome(), "looked at"),
            Err(error) => self.ledger().get(key).map(|entry| blind(entry, chain(&error))),
        }
    }

    /// Lets a lease run in full again. Generation 0 is not checked.
    pub fn renew(&self, key: &TopologyKey, generation: Generation) -> Renewal {
        match self.ledger().renew(key, generation) {
            Renewal::Renewed(end) => Renewal::Renewed(wall_clock(end)),
            Renewal::NoLease => Renewal::NoLease,
            Renewal::NotFound => Renewal::NotFound,
            Renewal::Fenced => Renewal::Fenced,
        }
    }

    /// What it is measured by.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
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
        self.work(&TopologyKey::default(), move || Ok(pods.list()?)).await
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

fn absent(key: &TopologyKey) -> ChangeError {
    ChangeError::NotFound { kind: "topology", name: key.to_string() }
}
