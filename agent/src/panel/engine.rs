//! The engine: what may be asked, and in which order a change goes.

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{Notify, RwLock},
    task::spawn_blocking,
    time::{Instant, timeout_at},
};
use tracing::Instrument;

use crate::{
    domain::{
        assign::assign,
        edit::{Edit, edit},
        intent::{Generation, Intent, Ownership},
        name::{ElementName, Namespace, TopologyKey, TopologyName},
        spec::TopologySpec,
        status::State,
        step::Step,
    },
    kernel::{Kernel, LinuxKernel, NetnsDir, boottime, probe, release},
    pods::{NamedPods, Pod, Pods},
    store::{MemoryStore, Record, Store},
};

use super::{
    admission::{admit, edit_error},
    background,
    converge::{Converge, Outcome},
    error::ChangeError,
    events::{EventKind, Events, ResumeToken},
    ledger::{Entry, Ledger, Others},
    record::{record, wall_clock},
    request::{Apply, Change, EngineConfig, Fence, Node, Renewal},
    turns::Turns,
    view::TopologyView,
};

/// The engine. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    config: EngineConfig,
    node: Node,
    kernel: Arc<dyn Kernel>,
    pods: Arc<dyn Pods>,
    store: Arc<dyn Store>,
    ledger: Mutex<Ledger>,
    turns: Turns,
    events: Events,
    /// Changes hold it for reading; who takes it for writing has waited for all of them. True: the agent is leaving.
    gate: RwLock<bool>,
    /// A panel was retired.
    retired: Notify,
    /// A lease may end earlier than was thought.
    leases: Notify,
}

impl Engine {
    /// Starts an engine on the kernel of this node. Its background tasks live until `shutdown`.
    ///
    /// # Errors
    ///
    /// The kernel cannot make or mount network namespaces.
    pub async fn start(config: EngineConfig) -> Result<Self, ChangeError> {
        let dir = NetnsDir::new(&config.netns_dir);
        let kernel = Arc::new(LinuxKernel::new(dir.clone()));
        let pods = Arc::new(NamedPods::new(dir));
        Self::start_with(config, kernel, pods, Arc::new(MemoryStore::default())).await
    }

    /// Starts an engine on these parts.
    ///
    /// # Errors
    ///
    /// The kernel cannot make or mount network namespaces.
    pub async fn start_with(
        config: EngineConfig,
        kernel: Arc<dyn Kernel>,
        pods: Arc<dyn Pods>,
        store: Arc<dyn Store>,
    ) -> Result<Self, ChangeError> {
        let key = TopologyKey::default();
        let dir = NetnsDir::new(&config.netns_dir);
        let prepare = move || dir.prepare().and_then(|()| probe());
        let probed = spawn_blocking(prepare).await.map_err(|_| ChangeError::Bug(key.clone()))?;
        let capabilities = probed.map_err(|source| ChangeError::Look { key: key.clone(), source })?;
        let node = Node {
            name: config.node_name.clone(),
            kernel: release(),
            pods: pods.kind(),
            netns_dir: config.netns_dir.clone(),
            capabilities,
            node_devices: config.node_devices.iter().map(ToString::to_string).collect(),
            max_topologies: config.max_topologies,
        };
        let mut ledger = Ledger::default();
        ledger.load(store.load().map_err(|source| ChangeError::Store { key, source })?);
        // A number that no earlier run of the agent had: tokens of those must not be taken for ours.
        let run =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(0));
        let engine = Self(Arc::new(Inner {
            config,
            node,
            kernel,
            pods,
            store,
            ledger: Mutex::new(ledger),
            turns: Turns::default(),
            events: Events::new(run),
            gate: RwLock::new(false),
            retired: Notify::new(),
            leases: Notify::new(),
        }));
        background::start(&engine)?;
        Ok(engine)
    }

    /// Takes no more changes, and returns when those under way are done. The wires stay.
    pub async fn shutdown(&self) {
        *self.0.gate.write().await = true;
    }

    /// Replaces the whole desired state of a topology.
    ///
    /// # Errors
    ///
    /// Why not; the topology is then as it was before.
    pub async fn apply(&self, apply: Apply) -> Result<TopologyView, ChangeError> {
        let (key, until, token) = (apply.spec.key.clone(), apply.until, self.events().latest());
        let view = self.undisturbed(key, |engine| async move { engine.apply_in_turn(apply).await }).await?;
        self.until_ready(view, None, token, until).await
    }

    /// The steps that `apply` would take, and the topology that it would make. Touches and reserves nothing.
    ///
    /// # Errors
    ///
    /// Why `apply` would not.
    pub async fn plan(&self, apply: Apply) -> Result<(Vec<Step>, TopologyView), ChangeError> {
        let key = apply.spec.key.clone();
        let _turn = self.0.turns.take(&key).await;
        let (intent, former) = self.decide_apply(&apply, &self.ledger())?;
        let intent = Arc::new(intent);
        let converge = self.prepare(&key, Some(Arc::clone(&intent)), former).await?;
        converge.refuse_trouble()?;
        let steps = converge.steps().to_vec();
        Ok((steps, record(&mut Entry::new(intent), &converge.outcome())))
    }

    /// Adds, changes or removes one element. `None`: the topology is gone with its last element, or never was.
    ///
    /// # Errors
    ///
    /// Why not; the topology is then as it was before.
    pub async fn change(&self, change: Change) -> Result<Option<TopologyView>, ChangeError> {
        let (key, until, token) = (change.key.clone(), change.until, self.events().latest());
        let element = element_of(&change.edit).clone();
        let view = self.undisturbed(key, |engine| async move { engine.change_in_turn(change).await }).await?;
        match view {
            Some(view) => self.until_ready(view, Some(element), token, until).await.map(Some),
            None => Ok(None),
        }
    }

    /// Removes a topology. When it returns, no pod has its interfaces any more.
    ///
    /// # Errors
    ///
    /// Why not.
    pub async fn delete(&self, key: TopologyKey, fence: Fence) -> Result<(), ChangeError> {
        self.undisturbed(key.clone(), |engine| async move {
            let _turn = engine.0.turns.take(&key).await;
            engine.delete_in_turn(&key, fence, "delete").await
        })
        .await
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
        let Some(entry) = ledger.get_mut(key) else { return Renewal::NotFound };
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

    /// Runs a change in a task of its own: a caller that goes away does not cut it in half.
    async fn undisturbed<T, F>(&self, key: TopologyKey, work: impl FnOnce(Self) -> F) -> Result<T, ChangeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ChangeError>> + Send + 'static,
    {
        let engine = self.clone();
        let work = work(self.clone());
        let task = async move {
            let leaving = engine.0.gate.read().await;
            if *leaving { Err(ChangeError::ShuttingDown) } else { work.await }
        };
        tokio::spawn(task.in_current_span()).await.unwrap_or(Err(ChangeError::Bug(key)))
    }

    async fn apply_in_turn(&self, apply: Apply) -> Result<TopologyView, ChangeError> {
        let key = apply.spec.key.clone();
        let _turn = self.0.turns.take(&key).await;
        let (intent, former) = {
            let mut ledger = self.ledger();
            let (intent, former) = self.decide_apply(&apply, &ledger)?;
            let intent = Arc::new(intent);
            ledger.begin(Arc::clone(&intent));
            (intent, former)
        };
        self.commit(intent, former, "apply").await
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
        if given > Generation(0) && given == ledger.generation(key) {
            // The same number again: with the same body a repeat, which a change by a single call outlives.
            return match former {
                Some(former) if *former.body() == apply.spec => Ok(((*former).clone(), Some(former))),
                _ => Err(ChangeError::GenerationReused { key: key.clone(), generation: given }),
            };
        }
        let intent = self.choose(apply.spec.clone(), former.as_deref(), apply.fence, Ownership::Apply, ledger)?;
        Ok((intent, former))
    }

    /// Chooses what a spec leaves open.
    fn choose(
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
        Ok(Intent { spec, ownership, generation, applied: None, assigned })
    }

    async fn change_in_turn(&self, change: Change) -> Result<Option<TopologyView>, ChangeError> {
        let Change { key, edit: wanted, fence, .. } = change;
        let _turn = self.0.turns.take(&key).await;
        let decided = {
            let mut ledger = self.ledger();
            let former = ledger.intent(&key);
            let update = matches!(wanted, Edit::UpdateLink { .. } | Edit::UpdateAttachment { .. });
            let ownership = former.as_ref().map_or(Ownership::Calls, |former| former.ownership);
            if ownership == Ownership::Apply && !update {
                return Err(ChangeError::ManagedByApply(key));
            }
            ledger.check_fence(&key, fence)?;
            let before = former.as_ref().map_or_else(|| TopologySpec::empty(key.clone()), |former| former.spec.clone());
            let changed = edit(&before, &wanted).map_err(|error| edit_error(error, &key))?;
            let raised = former.as_ref().is_some_and(|former| fence.generation > former.generation);
            let spec = match (changed, &former) {
                (Some(spec), _) => spec,
                (None, Some(former)) if raised => former.spec.clone(),
                (None, Some(_)) => before,
                (None, None) => return Ok(None),
            };
            if spec.elements() == 0 {
                None
            } else {
                let mut intent = self.choose(spec, former.as_deref(), fence, ownership, &ledger)?;
                if let (Ownership::Apply, Some(former)) = (ownership, &former) {
                    intent.applied = Some(Box::new(former.body().clone()));
                }
                let intent = Arc::new(intent);
                ledger.begin(Arc::clone(&intent));
                Some((intent, former))
            }
        };
        let cause = cause_of(&wanted);
        match decided {
            Some((intent, former)) => self.commit(intent, former, &cause).await.map(Some),
            None => self.delete_in_turn(&key, fence, &cause).await.map(|()| None),
        }
    }

    /// Makes a decided change true: looks, then works on the kernel while the intent goes to disk. What fails is undone
    /// by converging to the intent before it.
    async fn commit(
        &self,
        intent: Arc<Intent>,
        former: Option<Arc<Intent>>,
        cause: &str,
    ) -> Result<TopologyView, ChangeError> {
        let key = intent.key().clone();
        let prepared = self.prepare(&key, Some(Arc::clone(&intent)), former.clone()).await;
        let prepared = prepared.and_then(|prepared| prepared.refuse_trouble().map(|()| prepared));
        let prepared = prepared.inspect_err(|_| self.ledger().abort(&key))?;
        let stored = former.as_ref() == Some(&intent);
        let store = async { if stored { Ok(()) } else { self.put(&key, Record::Live(Arc::clone(&intent))).await } };
        let work = spawn_blocking(move || prepared.carry_out());
        let (stored, worked) = tokio::join!(store, work);
        let worked = worked.unwrap_or(Err(ChangeError::Bug(key.clone())));
        match stored.and(worked) {
            Ok(outcome) => {
                self.ledger().settle(&key);
                self.0.leases.notify_one();
                self.publish(&key, &outcome, cause).ok_or_else(|| absent(&key))
            }
            Err(error) => Err(self.undo(&key, intent, former, error).await),
        }
    }

    /// Converges back to what was before a change that failed.
    async fn undo(
        &self,
        key: &TopologyKey,
        intent: Arc<Intent>,
        former: Option<Arc<Intent>>,
        mut error: ChangeError,
    ) -> ChangeError {
        let back = match self.prepare(key, former.clone(), Some(intent)).await {
            Ok(prepared) => {
                let work = spawn_blocking(move || prepared.carry_out()).await;
                work.unwrap_or(Err(ChangeError::Bug(key.clone()))).map(drop)
            }
            Err(problem) => Err(problem),
        };
        if let (Err(problem), ChangeError::Step { undo, .. }) = (&back, &mut error) {
            *undo = Some(chain(problem));
        }
        let record = match &former {
            Some(former) => Record::Live(Arc::clone(former)),
            None => {
                Record::Deleted { generation: self.ledger().buried(key).unwrap_or_default(), at: SystemTime::now() }
            }
        };
        if let Err(problem) = self.put(key, record).await {
            tracing::error!(topology = %key, error = %chain(&problem), "the intent before a failed change could not be stored");
        }
        self.ledger().abort(key);
        self.0.retired.notify_one();
        error
    }

    pub(super) async fn delete_in_turn(&self, key: &TopologyKey, fence: Fence, cause: &str) -> Result<(), ChangeError> {
        let (former, generation) = {
            let ledger = self.ledger();
            ledger.check_fence(key, fence)?;
            (ledger.intent(key), fence.generation.max(ledger.generation(key)))
        };
        let tombstone = Record::Deleted { generation, at: SystemTime::now() };
        let Some(former) = former else {
            self.ledger().bury(key, generation);
            return self.put(key, tombstone).await;
        };
        let prepared = self.prepare(key, None, Some(Arc::clone(&former))).await?;
        let work = spawn_blocking(move || prepared.carry_out());
        let (stored, worked) = tokio::join!(self.put(key, tombstone), work);
        let worked = worked.unwrap_or(Err(ChangeError::Bug(key.clone())));
        if let Err(error) = stored.and(worked.map(drop)) {
            // What was removed before the failure comes back: the topology is still wanted until its delete succeeds.
            self.put(key, Record::Live(former)).await?;
            self.heal_in_turn(key, "delete failed").await;
            return Err(error);
        }
        self.ledger().bury(key, generation);
        self.0.events.publish(key.clone(), EventKind::Deleted, cause);
        self.0.retired.notify_one();
        Ok(())
    }

    /// Brings a topology to its intent as far as that can be: each interface succeeds or fails alone.
    pub(super) async fn heal(&self, key: &TopologyKey, cause: &str) {
        let leaving = self.0.gate.read().await;
        if *leaving {
            return;
        }
        let _turn = self.0.turns.take(key).await;
        self.heal_in_turn(key, cause).await;
    }

    async fn heal_in_turn(&self, key: &TopologyKey, cause: &str) {
        let Some(intent) = self.ledger().intent(key) else { return };
        let healed = match self.prepare(key, Some(intent), None).await {
            Ok(prepared) => {
                let work = spawn_blocking(move || prepared.carry_out_what_can_be()).await;
                work.unwrap_or(Err(ChangeError::Bug(key.clone())))
            }
            Err(error) => Err(error),
        };
        match healed {
            Ok(outcome) => drop(self.publish(key, &outcome, cause)),
            Err(error) => tracing::warn!(topology = %key, cause, error = %chain(&error), "healing failed"),
        }
    }

    async fn prepare(
        &self,
        key: &TopologyKey,
        wanted: Option<Arc<Intent>>,
        former: Option<Arc<Intent>>,
    ) -> Result<Converge, ChangeError> {
        let (kernel, pods, key) = (Arc::clone(&self.0.kernel), Arc::clone(&self.0.pods), key.clone());
        let bug = ChangeError::Bug(key.clone());
        let look = move || Converge::prepare(&key, wanted.as_deref(), former.as_deref(), &*kernel, &*pods);
        spawn_blocking(look).await.unwrap_or(Err(bug))
    }

    async fn put(&self, key: &TopologyKey, record: Record) -> Result<(), ChangeError> {
        let (store, key) = (Arc::clone(&self.0.store), key.clone());
        let bug = ChangeError::Bug(key.clone());
        let put = move || {
            let forgotten = matches!(record, Record::Deleted { generation: Generation(0), .. });
            let stored = if forgotten { store.forget(&key) } else { store.put(&key, &record) };
            stored.map_err(|source| ChangeError::Store { key, source })
        };
        spawn_blocking(put).await.unwrap_or(Err(bug))
    }

    /// Records what was seen, and tells those who watch where it is news. `None`: the topology is gone.
    fn publish(&self, key: &TopologyKey, outcome: &Outcome, cause: &str) -> Option<TopologyView> {
        let mut ledger = self.ledger();
        let entry = ledger.get_mut(key)?;
        let view = record(entry, outcome);
        if entry.published.as_ref().is_none_or(|before| !before.shows_the_same(&view)) {
            let published = Arc::new(view.clone());
            entry.published = Some(Arc::clone(&published));
            self.0.events.publish(key.clone(), EventKind::Changed(published), cause);
        }
        Some(view)
    }

    /// Waits until a topology, or one element of it, is READY.
    async fn until_ready(
        &self,
        mut view: TopologyView,
        element: Option<ElementName>,
        mut token: ResumeToken,
        until: Option<Instant>,
    ) -> Result<TopologyView, ChangeError> {
        let Some(until) = until else { return Ok(view) };
        let key = view.key().clone();
        loop {
            let waiting = view.interfaces.iter().any(|(id, status)| {
                element.as_ref().is_none_or(|element| id.element == *element) && status.state != State::Ready
            });
            if !waiting {
                return Ok(view);
            }
            match timeout_at(until, self.0.events.after(token)).await {
                Err(_) => return Err(ChangeError::NotReady(Box::new(view))),
                Ok(Ok(event)) => {
                    token = event.token;
                    match event.kind {
                        EventKind::Changed(now) if event.key == key => view = (*now).clone(),
                        EventKind::Deleted if event.key == key => return Err(absent(&key)),
                        EventKind::Changed(_) | EventKind::Deleted => {}
                    }
                }
                Ok(Err(_)) => {
                    token = self.0.events.latest();
                    view = self.get(&key).await?;
                }
            }
        }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn netns_dir(&self) -> NetnsDir {
        NetnsDir::new(&self.0.config.netns_dir)
    }

    pub(super) fn background_parts(&self) -> (&Arc<dyn Kernel>, &Arc<dyn Pods>, &Notify, &Notify) {
        (&self.0.kernel, &self.0.pods, &self.0.retired, &self.0.leases)
    }

    /// Ends a topology whose lease has run out, unless it was renewed meanwhile.
    pub(super) async fn expire(&self, key: &TopologyKey) {
        let leaving = self.0.gate.read().await;
        if *leaving {
            return;
        }
        let _turn = self.0.turns.take(key).await;
        let ended = self.ledger().get(key).is_some_and(|entry| entry.lease_ends.is_some_and(|end| end <= boottime()));
        if !ended {
            return;
        }
        let fence = Fence { generation: Generation(0), force: true };
        if let Err(error) = self.delete_in_turn(key, fence, "lease expired").await {
            tracing::warn!(topology = %key, error = %chain(&error), "a topology whose lease expired could not be deleted");
        }
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
