//! The task that owns the connection to the runtime and keeps the cache fresh.

use std::{
    collections::{BTreeSet, HashMap},
    ffi::OsString,
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, sleep_until},
};

use crate::{causes::chain, pods::PodChange};

use super::{
    cache::Cache,
    events::{self, Event},
    namespaces::{Namespaces, Sign},
    runtime::{Runtime, RuntimeError, Sockets},
};

/// How often the runtime is asked for its list though nothing happened.
const SWEEP: Duration = Duration::from_secs(5);

/// How often it is asked while a new namespace waits for its sandbox, where the runtime has no events.
const FAST: Duration = Duration::from_millis(20);

/// The same where it has. containerd 1.7 hands each event to one listener only, so events alone are not enough:
/// <https://github.com/containerd/containerd/issues/7318>.
const FAST_BESIDE_EVENTS: Duration = Duration::from_millis(100);

/// How long a new namespace may wait for its sandbox: CNI plugins of some clusters take seconds.
const UNMATCHED: Duration = Duration::from_secs(10);

/// New namespaces that are waited for at most.
const MOST_UNMATCHED: usize = 1024;

/// The first and the longest pause before another attempt to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Different reasons of one outage that are logged at most.
const MOST_SAID: usize = 8;

/// Status calls under way at a time.
const AT_A_TIME: usize = 64;

/// Who waits for a fresh list: told, without a word, when it was tried.
pub(super) type Ask = SyncSender<()>;

/// What the task and those who ask share.
#[derive(Debug)]
pub(super) struct Shared {
    cache: Mutex<Cache>,
    changes: broadcast::Sender<PodChange>,
}

impl Shared {
    pub(super) fn new(changes: broadcast::Sender<PodChange>) -> Self {
        Self { cache: Mutex::default(), changes }
    }

    pub(super) fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the cache and tells what that changed for pods.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Cache) -> T) -> T {
        let mut cache = self.cache();
        let done = change(&mut cache);
        for news in cache.news() {
            tracing::debug!(?news, "sandboxes changed");
            // Nobody listens yet: who does later looks at everything first.
            let _ = self.changes.send(news);
        }
        done
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<PodChange> {
        self.changes.subscribe()
    }
}

/// The task.
pub(super) struct Follower {
    pub shared: Arc<Shared>,
    pub sockets: Sockets,
    pub asks: mpsc::Receiver<Ask>,
    /// Directories in which runtimes keep network namespaces.
    pub dirs: Vec<PathBuf>,
    pub namespaces: Namespaces,
}

/// A connection as it is used.
struct Session {
    runtime: Runtime,
    /// Names of new files that no sandbox is known for, and until when each is waited for.
    unmatched: HashMap<OsString, Instant>,
    /// Whether the runtime tells of events.
    has_events: bool,
    /// How long the last list took.
    cost: Duration,
    /// Sandboxes that were skipped, as logged.
    skipped: usize,
}

impl Follower {
    /// Runs for ever.
    pub(super) async fn run(mut self) {
        let mut pause = BACKOFF.0;
        let mut said = BTreeSet::new();
        loop {
            self.follow_dirs();
            let error = match self.connect().await {
                Ok(runtime) => {
                    let (error, listed) = self.serve(runtime).await;
                    if listed {
                        (pause, said) = (BACKOFF.0, BTreeSet::new());
                    }
                    error
                }
                Err(error) => error,
            };
            // Once for each outage; what is no runtime at all says so besides, once for each answer of its.
            let words = chain(&error);
            let news = if matches!(error, RuntimeError::NotCri { .. }) { words.clone() } else { String::new() };
            if said.len() < MOST_SAID && said.insert(news) {
                tracing::warn!(reason = %words, "the container runtime does not answer: pods stay as they were last seen");
            }
            self.shared.change(|cache| cache.away = Some(Arc::new(error)));
            self.wait(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
        }
    }

    /// Connects. Whoever asks meanwhile waits for it the first time only: a socket may accept and never answer.
    async fn connect(&mut self) -> Result<Runtime, RuntimeError> {
        let known = !matches!(self.shared.cache().away.as_deref(), Some(RuntimeError::NotAsked));
        let mut connecting = pin!(self.sockets.connect());
        loop {
            tokio::select! {
                done = &mut connecting => return done,
                Some(ask) = self.asks.recv(), if known => { let _ = ask.try_send(()); }
                sign = self.namespaces.next() => if sign != Sign::Overrun { self.shared.change(Cache::look_for_lost) },
            }
        }
    }

    /// Answers those who ask while there is no runtime, and heeds the kernel's signs.
    async fn wait(&mut self, pause: Duration) {
        let end = Instant::now() + pause;
        loop {
            tokio::select! {
                () = sleep_until(end) => return,
                Some(ask) = self.asks.recv() => { let _ = ask.try_send(()); }
                sign = self.namespaces.next() => if sign != Sign::Overrun { self.shared.change(Cache::look_for_lost) },
            }
        }
    }

    /// Until the runtime goes away: why, and whether it gave a list before.
    async fn serve(&mut self, runtime: Runtime) -> (RuntimeError, bool) {
        // Before the first list, so that nothing falls between the two.
        let mut events = events::follow(runtime.clone());
        let mut session =
            Session { runtime, unmatched: HashMap::new(), has_events: true, cost: Duration::ZERO, skipped: 0 };
        let mut asks = Vec::new();
        let mut lists = 0_u64;
        let mut due = Instant::now();
        loop {
            tokio::select! {
                biased;
                sign = self.namespaces.next() => {
                    if sign == Sign::Overrun { due = Instant::now(); }
                    self.heed(sign, &mut session);
                    due = due.min(Instant::now() + session.pause());
                    continue;
                }
                Some(event) = events.next() => match event {
                    Event::Ended(id) => self.shared.change(|cache| cache.ended(&id)),
                    Event::Other => {}
                    Event::Unavailable => session.has_events = false,
                },
                Some(ask) = self.asks.recv() => asks.push(ask),
                () = sleep_until(due) => {}
            }
            // All who asked until now are served by one list.
            while let Ok(ask) = self.asks.try_recv() {
                asks.push(ask);
            }
            let done = self.list(&mut session).await;
            for ask in asks.drain(..) {
                // Who has stopped waiting does not mind.
                let _ = ask.try_send(());
            }
            if let Err(error) = done {
                return (error, lists > 0);
            }
            if lists == 0 {
                tracing::info!(runtime = %session.runtime, sandboxes = self.shared.cache().pods().len(), "the container runtime answers");
            }
            lists += 1;
            due = Instant::now() + session.pause();
        }
    }

    fn heed(&self, sign: Sign, session: &mut Session) {
        match sign {
            Sign::Came(name) if session.unmatched.len() < MOST_UNMATCHED => {
                session.unmatched.insert(name, Instant::now() + UNMATCHED);
            }
            Sign::Went => self.shared.change(Cache::look_for_lost),
            Sign::Came(_) | Sign::Overrun => {}
        }
    }

    /// One list, and the status of what is new in it.
    async fn list(&mut self, session: &mut Session) -> Result<(), RuntimeError> {
        let started = Instant::now();
        let listed = session.runtime.list().await?;
        session.cost = started.elapsed();
        let (unplaced, skipped) = self.shared.change(|cache| {
            cache.listed(&listed);
            (cache.unplaced(), cache.skipped)
        });
        if skipped != session.skipped {
            tracing::warn!(count = skipped, "sandboxes without the labels of a pod are skipped");
            session.skipped = skipped;
        }
        for ids in unplaced.chunks(AT_A_TIME) {
            let answers = join_all(ids.iter().map(|id| session.runtime.place(id))).await;
            self.shared.change(|cache| {
                for (id, answer) in ids.iter().zip(answers) {
                    match answer {
                        Ok(Some(place)) => cache.place(id.clone(), place),
                        Ok(None) => {}
                        // Asked again with the next list; where the runtime went away, that says so.
                        Err(error) => tracing::debug!(sandbox = %id, error = %chain(&error), "no status"),
                    }
                }
            });
        }
        self.follow_dirs();
        let now = Instant::now();
        let cache = self.shared.cache();
        session.unmatched.retain(|name, until| {
            *until > now && !cache.paths().any(|path| path.file_name() == Some(name.as_os_str()))
        });
        Ok(())
    }

    fn follow_dirs(&mut self) {
        for dir in &self.dirs {
            self.namespaces.follow(dir);
        }
        let cache = self.shared.cache();
        for dir in cache.paths().filter_map(|path| path.parent()) {
            self.namespaces.follow(dir);
        }
    }
}

impl Session {
    /// Until the next list, if nothing happens. One that takes long is not asked for all the time.
    fn pause(&self) -> Duration {
        if self.unmatched.is_empty() {
            SWEEP
        } else {
            let fast = if self.has_events { FAST_BESIDE_EVENTS } else { FAST };
            fast.max(self.cost * 4).min(SWEEP)
        }
    }
}
