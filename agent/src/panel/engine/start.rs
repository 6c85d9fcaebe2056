//! How an engine starts: with the intents of the run before it, or, where those cannot be read, with what it sees.

use std::{
    path::Path,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{Mutex, Notify, RwLock, watch},
    task::spawn_blocking,
};

use crate::{
    causes::chain,
    domain::{device::panel_key, name::TopologyKey},
    kernel::{Kernel, KernelError, LinuxKernel, Netns, NetnsDir, boot_id, probe, release},
    metrics::Metrics,
    pods::{Pods, Source},
    store::{DiskStore, MemoryStore, OpenError, Store},
};

use super::{
    super::{
        background,
        capture::Captures,
        error::ChangeError,
        events::Events,
        found::{Found, LookError},
        healer::Healer,
        ledger::Ledger,
        request::{EngineConfig, Node},
        turns::Turns,
    },
    Engine, Inner,
};

/// Intents, and why they are not those of the run before.
struct Origin {
    store: Arc<dyn Store>,
    problem: Option<String>,
}

impl Engine {
    /// Starts an engine on the kernel of this node, for pods of this source. Its background tasks live until `shutdown`.
    ///
    /// Where the intents of the run before cannot be read, it takes no changes and touches no wire: what it shows is
    /// what it sees.
    ///
    /// # Errors
    ///
    /// The kernel cannot make or mount network namespaces; another agent has the state directory, or the system refuses it.
    pub async fn start(config: EngineConfig, pods: Source, metrics: Metrics) -> Result<Self, ChangeError> {
        let dir = NetnsDir::new(&config.netns_dir);
        let pods = pods.start(dir.clone());
        let (state_dir, its_pods) = (config.state_dir.clone(), Arc::clone(&pods));
        let parked = config.parked_panels;
        let its_metrics = metrics.clone();
        let open = move || {
            dir.prepare().map_err(look_failed)?;
            let kernel = LinuxKernel::new(dir.clone()).map_err(look_failed)?;
            let kernel = kernel.parking(parked).measured(&its_metrics);
            let origin = origin(&state_dir, &dir, &kernel, &*its_pods, &its_metrics)?;
            Ok::<_, ChangeError>((Arc::new(kernel), origin))
        };
        let opened = spawn_blocking(open).await.map_err(|_| ChangeError::Bug(TopologyKey::default()))?;
        let (kernel, Origin { store, problem }) = opened?;
        Self::start_measured(config, kernel, pods, store, problem, metrics).await
    }

    /// Starts an engine on these parts. With a `store_problem` the store holds what was seen in the kernel, and the engine
    /// takes no changes.
    ///
    /// # Errors
    ///
    /// The kernel cannot make or mount network namespaces.
    pub async fn start_with(
        config: EngineConfig,
        kernel: Arc<dyn Kernel>,
        pods: Arc<dyn Pods>,
        store: Arc<dyn Store>,
        store_problem: Option<String>,
    ) -> Result<Self, ChangeError> {
        Self::start_measured(config, kernel, pods, store, store_problem, Metrics::default()).await
    }

    async fn start_measured(
        config: EngineConfig,
        kernel: Arc<dyn Kernel>,
        pods: Arc<dyn Pods>,
        store: Arc<dyn Store>,
        store_problem: Option<String>,
        metrics: Metrics,
    ) -> Result<Self, ChangeError> {
        let dir = NetnsDir::new(&config.netns_dir);
        let untouched = store_problem.is_some();
        let (its_pods, its_store) = (Arc::clone(&pods), Arc::clone(&store));
        let prepare = move || {
            dir.prepare().map_err(look_failed)?;
            if !untouched {
                remove_leftovers(&dir).map_err(look_failed)?;
                recall(&*its_pods, &*its_store)?;
            }
            probe().map_err(look_failed)
        };
        let probed = spawn_blocking(prepare).await.map_err(|_| ChangeError::Bug(TopologyKey::default()))?;
        let capabilities = probed?;
        let node = Node {
            name: config.node_name.clone(),
            kernel: release(),
            pods: pods.kind(),
            netns_dir: config.netns_dir.clone(),
            capabilities,
            node_devices: config.node_devices.iter().map(ToString::to_string).collect(),
            max_topologies: config.max_topologies,
            store_problem,
        };
        let mut ledger = Ledger::default();
        ledger.load(store.load().map_err(ChangeError::State)?);
        // A number that no earlier run of the agent had: tokens of those must not be taken for ours.
        let run =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0));
        let engine = Self(Arc::new(Inner {
            config,
            node,
            kernel,
            pods,
            store,
            ledger: std::sync::Mutex::new(ledger),
            turns: Turns::new(metrics.clone()),
            events: Events::new(run),
            gate: RwLock::new(false),
            leaving: watch::Sender::new(false),
            healer: Healer::default(),
            reaping: Mutex::new(()),
            retired: Notify::new(),
            orphans: Notify::new(),
            leases: Notify::new(),
            captures: Captures::default(),
            metrics,
        }));
        background::start(&engine)?;
        Ok(engine)
    }
}

fn look_failed(source: KernelError) -> ChangeError {
    ChangeError::Look { key: TopologyKey::default(), source: Box::new(source) }
}

/// Opens the store. One that is new while there are panels counts as one that cannot be read: a directory that was
/// mounted wrongly must not cut a lesson.
fn origin(
    state_dir: &Path,
    dir: &NetnsDir,
    kernel: &dyn Kernel,
    pods: &dyn Pods,
    metrics: &Metrics,
) -> Result<Origin, ChangeError> {
    let problem = match DiskStore::open_measured(state_dir, metrics) {
        Ok(store) => match panels_without_intents(&store, dir)? {
            0 => return Ok(Origin { store: Arc::new(prepared(store)?), problem: None }),
            panels => format!("{} is new, and the node has {panels} panel(s) of podwire", store.path().display()),
        },
        Err(error @ OpenError::Unreadable { .. }) => chain(&error),
        Err(error @ (OpenError::InUse { .. } | OpenError::Io { .. })) => return Err(error.into()),
    };
    tracing::error!(problem, "no changes are taken and no wire is touched: see `podwire-agent recover`");
    let store = MemoryStore::default();
    for (key, record) in seen(dir, kernel, pods) {
        store.put(&key, &record).map_err(|source| ChangeError::Store { key, source })?;
    }
    Ok(Origin { store: Arc::new(store), problem: Some(problem) })
}

/// Tells the source of pods what was announced to earlier runs of the agent, and forgets what is over.
fn recall(pods: &dyn Pods, store: &dyn Store) -> Result<(), ChangeError> {
    let announcements = store.announcements().map_err(ChangeError::State)?;
    for sandbox in pods.recall(announcements) {
        store.forget_announcement(&sandbox);
    }
    Ok(())
}

/// Removes files of panels that were never mounted: of an agent that was killed in between. Nobody makes one yet.
fn remove_leftovers(dir: &NetnsDir) -> Result<(), KernelError> {
    dir.names()?.iter().filter(|name| panel_key(name).is_ok()).try_for_each(|name| dir.remove_leftover(name))
}

fn panels_without_intents(store: &DiskStore, dir: &NetnsDir) -> Result<usize, ChangeError> {
    if !store.is_new() {
        return Ok(0);
    }
    let names = dir.names().map_err(look_failed)?;
    // The file of one that was never mounted, or that outlived a reboot, is none.
    let is_panel = |name: &&String| panel_key(name).is_ok() && Netns::open(&dir.path(name)).is_ok();
    Ok(names.iter().filter(is_panel).count())
}

/// Notes in which boot of the node the store is used: it is not new from then on.
fn prepared(store: DiskStore) -> Result<DiskStore, ChangeError> {
    let now = boot_id().map_err(|source| {
        ChangeError::Open(OpenError::Io { operation: "read", path: "/proc/sys/kernel/random/boot_id".into(), source })
    })?;
    match store.boot_id() {
        Some(before) if before == now => {}
        Some(_) => {
            tracing::info!("the node was started anew: all topologies are built again as their pods come");
            // A full disk must not keep the wires from being built.
            if let Err(error) = store.record_boot(&now) {
                tracing::warn!(error = %chain(&error), "the store does not take changes for now");
            }
        }
        None => store.record_boot(&now).map_err(ChangeError::State)?,
    }
    Ok(store)
}

/// What is in the kernel, as a store would have it. Where the node cannot be looked at nothing is shown.
fn seen(dir: &NetnsDir, kernel: &dyn Kernel, pods: &dyn Pods) -> Vec<(TopologyKey, crate::store::Record)> {
    let records = Found::look(dir, pods).and_then(|found| found.records(kernel, pods));
    records.unwrap_or_else(|error: LookError| {
        tracing::error!(error = %chain(&error), "what is there cannot be shown");
        Vec::new()
    })
}
