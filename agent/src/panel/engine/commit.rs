//! How a decided change becomes true.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::oneshot, task::spawn_blocking, time::sleep};
use tracing::{Instrument, Span};

use crate::{
    causes::chain,
    domain::{
        intent::{Generation, Intent},
        name::TopologyKey,
        part::Part,
        step::Step,
    },
    metrics::Stage,
    store::{Record, Store, StoreError},
};

use super::{
    super::{
        carrier,
        converge::{Converge, Means, Outcome},
        error::ChangeError,
        events::EventKind,
        kept::kept,
        ledger::{Entry, Known, Lease, Ledger},
        record::{record, record_trouble},
        view::TopologyView,
    },
    Engine, absent,
};

/// Wait between two tries to store what was before a failed change, at first.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// And at last.
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// How far a change has come.
enum Work {
    /// To its end.
    Done(Result<Outcome, ChangeError>),
    /// Only what is stored proves what it makes.
    Waits(Converge),
}

impl Engine {
    /// Runs a change in a task of its own: a caller that goes away does not cut it in half.
    pub(super) async fn undisturbed<T, F>(
        &self,
        key: TopologyKey,
        work: impl FnOnce(Self) -> F,
    ) -> Result<T, ChangeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ChangeError>> + Send + 'static,
    {
        self.takes_changes()?;
        let engine = self.clone();
        let under_way = self.0.metrics.work.change();
        let work = work(self.clone());
        let kept = kept();
        let task = async move {
            let (_under_way, _kept) = (under_way, kept);
            let leaving = engine.0.gate.read().await;
            if *leaving { Err(ChangeError::ShuttingDown) } else { work.await }
        };
        tokio::spawn(task.in_current_span()).await.unwrap_or(Err(ChangeError::Bug(key)))
    }

    /// Makes a decided change true: looks, then works on the kernel while the intent goes to disk, or after that where
    /// only the intent proves what is made. What fails is undone by converging to the intent before it.
    pub(super) async fn commit(
        &self,
        intent: Arc<Intent>,
        former: Option<Arc<Intent>>,
        known: Option<Known>,
        cause: &str,
        lease: Lease,
    ) -> Result<TopologyView, ChangeError> {
        let key = intent.key().clone();
        let stored_before = former.as_ref() == Some(&intent);
        let _panel = if former.is_none() { self.0.kernel.panel_ahead() } else { None };
        let (looked, ready) = oneshot::channel();
        let prepare_part = self.preparing_part(&key, Some(Arc::clone(&intent)), None, known);
        let prepare = self.preparing(&key, Some(Arc::clone(&intent)), former.clone());
        // On one thread from the first look to the last: each time that another one takes over costs its turn of the scheduler.
        let work = self.work(&key, move || {
            let prepared = prepare_part().map_or_else(prepare, Ok)?;
            prepared.refuse_trouble()?;
            let partial = prepared.is_partial();
            // It is heard: who waits for it waits for the result too.
            let _ = looked.send(());
            // Who waits for the store gives up the thread: the store needs one.
            let work = if prepared.needs_proof() { Work::Waits(prepared) } else { Work::Done(prepared.carry_out()) };
            Ok((partial, work))
        });
        let store = async {
            // What it was stays in the record: after a crash in the middle there may be devices of both.
            let record = Record::Live { intent: Arc::clone(&intent), former: former.clone() };
            // While the look goes on.
            let draft = (!stored_before).then(|| self.0.store.draft(&record));
            ready.await.ok()?;
            let Some(draft) = draft else { return Some(Ok(())) };
            Some(self.put_by(&key, move |store, key| store.put_draft(key, draft?)).await)
        };
        let (stored, partial, worked) = match tokio::join!(work, store) {
            (Ok((partial, Work::Done(worked))), Some(stored)) => (stored, partial, worked),
            (Ok((partial, Work::Waits(prepared))), Some(Ok(()))) => {
                (Ok(()), partial, self.work(&key, move || prepared.carry_out()).await)
            }
            // It died at its work.
            (Err(error), Some(stored)) => (stored, false, Err(error)),
            // Nothing was touched.
            (worked, stored) => {
                self.ledger().abort(&key);
                let refused = stored.and_then(Result::err).or(worked.err());
                return Err(refused.unwrap_or(ChangeError::Bug(key)));
            }
        };
        let worked = match worked {
            // Whatever is odd is looked at as a whole.
            worked if partial && stored.is_ok() && !worked.as_ref().is_ok_and(Outcome::is_whole) => {
                self.carry_out_whole(&key, &intent, former.clone()).await
            }
            worked => worked,
        };
        // What is stored after it: the intent before it, where the store refused the new one.
        let unstored = stored_before || stored.is_err();
        match stored.and(worked) {
            Ok(outcome) => {
                self.ledger().settle(&key, lease);
                if !outcome.former_is_gone {
                    self.0.orphans.notify_one();
                }
                if former.is_some() && !stored_before {
                    self.forget_stored_former(&key, &intent);
                }
                self.0.leases.notify_one();
                let view = self.publish(&key, &outcome, cause).ok_or_else(|| absent(&key));
                if outcome.taken.contains(&Step::CreatePanel) {
                    // The name goes that it may have been parked under.
                    self.0.retired.notify_one();
                }
                view
            }
            Err(error) => Err(self.undo(&key, intent, former, unstored, error).await),
        }
    }

    /// Finishes a change of which a part of the topology was not all.
    async fn carry_out_whole(
        &self,
        key: &TopologyKey,
        intent: &Arc<Intent>,
        former: Option<Arc<Intent>>,
    ) -> Result<Outcome, ChangeError> {
        let prepared = self.prepare(key, Some(Arc::clone(intent)), former).await?;
        prepared.refuse_trouble()?;
        self.work(key, move || prepared.carry_out()).await
    }

    /// Converges back to what was before a change that failed.
    async fn undo(
        &self,
        key: &TopologyKey,
        intent: Arc<Intent>,
        former: Option<Arc<Intent>>,
        unstored: bool,
        mut error: ChangeError,
    ) -> ChangeError {
        // What can be: an interface that has nothing to do with it must not keep the rest from going.
        let back = match self.prepare(key, former.clone(), Some(Arc::clone(&intent))).await {
            Ok(prepared) => self.work(key, move || prepared.carry_out_what_can_be()).await,
            Err(problem) => Err(problem),
        };
        let problem = match &back {
            Ok(outcome) => outcome.failures.iter().flatten().map(|(id, words)| format!("{id}: {words}")).next(),
            Err(problem) => Some(chain(problem)),
        };
        let unfinished = problem.is_some();
        if let Some(problem) = problem {
            tracing::error!(topology = %key, error = %problem, "undoing a failed change failed");
            if let ChangeError::Step { undo, .. } = &mut error {
                *undo = Some(problem);
            }
        }
        self.ledger().abort(key);
        if !unstored && let Err(problem) = self.put_back(key, &intent).await {
            tracing::error!(topology = %key, error = %chain(&problem), "what was before a failed change is not stored yet");
            tokio::spawn(self.clone().keep_putting_back(key.clone(), Arc::clone(&intent)));
        }
        if let Ok(outcome) = &back {
            self.publish(key, outcome, "a change was undone");
        }
        if unfinished {
            // What is left of the refused change goes later: with the topology that was before, or as nobody's.
            if !self.ledger().remember_former(key, intent) {
                self.0.orphans.notify_one();
            }
            self.heal_after(key, FIRST_PAUSE);
        }
        self.0.retired.notify_one();
        error
    }

    /// Nothing is left of what a topology was: neither must the next start take anything for that. Under its turn.
    pub(super) fn forget_stored_former(&self, key: &TopologyKey, intent: &Arc<Intent>) {
        let record = Record::Live { intent: Arc::clone(intent), former: None };
        self.0.store.put_unwaited(key, record);
    }

    /// Stores what the ledger has of a topology, with a refused intent as what it was: there may be devices of it.
    async fn put_back(&self, key: &TopologyKey, refused: &Arc<Intent>) -> Result<(), ChangeError> {
        let (intent, generation) = {
            let ledger = self.ledger();
            (ledger.intent(key), ledger.buried(key).unwrap_or_default())
        };
        let record = match intent {
            Some(intent) => Record::Live { intent, former: Some(Arc::clone(refused)) },
            None => Record::Deleted { generation, at: SystemTime::now() },
        };
        self.put(key, record).await
    }

    /// Does so until the disk takes it: a restart must not bring a refused change to life.
    async fn keep_putting_back(self, key: TopologyKey, refused: Arc<Intent>) {
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(LAST_PAUSE);
            let _turn = self.0.turns.take(&key).await;
            if self.put_back(&key, &refused).await.is_ok() {
                return;
            }
        }
    }

    pub(super) async fn prepare(
        &self,
        key: &TopologyKey,
        wanted: Option<Arc<Intent>>,
        former: Option<Arc<Intent>>,
    ) -> Result<Converge, ChangeError> {
        self.work(key, self.preparing(key, wanted, former)).await
    }

    /// The first half of a converge, for a thread that may block.
    pub(super) fn preparing(
        &self,
        key: &TopologyKey,
        wanted: Option<Arc<Intent>>,
        former: Option<Arc<Intent>>,
    ) -> impl FnOnce() -> Result<Converge, ChangeError> + Send + 'static {
        self.looking(key, move |key, means| Converge::prepare(key, wanted.as_deref(), former.as_deref(), means))
    }

    /// The same of a part of a topology: of what a change to `wanted` concerns, or of what was `heard` of. `None`: it has to be looked
    /// at as a whole.
    pub(super) fn preparing_part(
        &self,
        key: &TopologyKey,
        wanted: Option<Arc<Intent>>,
        heard: Option<Part>,
        known: Option<Known>,
    ) -> impl FnOnce() -> Option<Converge> + Send + 'static {
        let look = move |key: &TopologyKey, means: &Means<'_>| {
            Converge::prepare_part(key, wanted.as_deref(), heard.as_ref(), known?, means)
        };
        self.looking(key, look)
    }

    fn looking<T>(
        &self,
        key: &TopologyKey,
        look: impl FnOnce(&TopologyKey, &Means<'_>) -> T + Send + 'static,
    ) -> impl FnOnce() -> T + Send + 'static {
        let (kernel, pods, key) = (Arc::clone(&self.0.kernel), Arc::clone(&self.0.pods), key.clone());
        let metrics = self.0.metrics.clone();
        move || look(&key, &Means { kernel: &*kernel, pods: &*pods, metrics: &metrics })
    }

    /// What a look at a part of a topology may take for given. `None`: it has to be looked at as a whole.
    pub(super) fn known(&self, key: &TopologyKey, ledger: &Ledger) -> Option<Known> {
        ledger.get(key).filter(|entry| self.0.healer.is_quiet(key, entry)).and_then(Entry::known)
    }

    /// Does what blocks on a thread that may.
    pub(in crate::panel) async fn work<T: Send + 'static>(
        &self,
        key: &TopologyKey,
        work: impl FnOnce() -> Result<T, ChangeError> + Send + 'static,
    ) -> Result<T, ChangeError> {
        // The thread goes on where the caller does not wait for it any more. What is logged there belongs to the same call.
        let (kept, span) = (kept(), Span::current());
        let work = move || {
            let _kept = kept;
            span.in_scope(work)
        };
        spawn_blocking(work).await.unwrap_or(Err(ChangeError::Bug(key.clone())))
    }

    pub(super) async fn put(&self, key: &TopologyKey, record: Record) -> Result<(), ChangeError> {
        let forgotten = matches!(record, Record::Deleted { generation: Generation(0), .. });
        self.put_by(key, move |store, key| if forgotten { store.forget(key) } else { store.put(key, &record) }).await
    }

    async fn put_by(
        &self,
        key: &TopologyKey,
        put: impl FnOnce(&dyn Store, &TopologyKey) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), ChangeError> {
        let (store, of, metrics) = (Arc::clone(&self.0.store), key.clone(), self.0.metrics.clone());
        self.work(key, move || {
            let stored = metrics.work.stage(Stage::Store, || put(&*store, &of));
            stored.map_err(|source| ChangeError::Store { key: of, source })
        })
        .await
    }

    /// Records what was seen, and tells those who watch where it is news. `None`: the topology is gone.
    pub(super) fn publish(&self, key: &TopologyKey, outcome: &Outcome, cause: &str) -> Option<TopologyView> {
        self.record_and_tell(key, cause, false, |entry| (record(entry, outcome), ())).map(|(view, ())| view)
    }

    /// Records what was seen, and tells those who watch even where it looks as before: something was put right.
    pub(super) fn tell(&self, key: &TopologyKey, outcome: &Outcome, cause: &str) {
        self.record_and_tell(key, cause, true, |entry| (record(entry, outcome), ()));
    }

    /// Records that a heal failed as a whole, and tells those who watch where it is news. How long to wait with the next.
    pub(super) fn publish_trouble(&self, key: &TopologyKey, error: &str, cause: &str) -> Duration {
        let told = self.record_and_tell(key, cause, false, |entry| {
            let pause = entry.heal_failed();
            (record_trouble(entry, error.to_owned()), pause)
        });
        told.map_or(Duration::ZERO, |(_, pause)| pause)
    }

    /// Under the turn of the topology: what is told of it is in order.
    fn record_and_tell<T>(
        &self,
        key: &TopologyKey,
        cause: &str,
        always: bool,
        record: impl FnOnce(&mut Entry) -> (TopologyView, T),
    ) -> Option<(TopologyView, T)> {
        let (view, rest, news, carrier) = {
            let mut ledger = self.ledger();
            let entry = ledger.get_mut(key)?;
            let (view, rest) = record(entry);
            let before = entry.published.clone();
            let is_news = always || before.as_ref().is_none_or(|before| !before.shows_the_same(&view));
            let carrier = before.and_then(|before| carrier::news(&before, &view, &entry.ups));
            if is_news {
                entry.published = Some(Arc::new(view.clone()));
            }
            (view, rest, entry.published.clone().filter(|_| is_news), carrier)
        };
        if let Some(published) = news {
            let cause = carrier.map_or_else(|| cause.to_owned(), |carrier| format!("{cause}; {carrier}"));
            self.0.events.publish(key.clone(), EventKind::Changed(published), &cause);
        }
        Some((view, rest))
    }
}
