//! Puts right what others change: what is heard from the kernel becomes a heal of the topologies that it concerns.

use std::{
    collections::BTreeMap,
    fmt,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    sync::{Semaphore, mpsc},
    time::sleep,
};

use crate::{
    causes::chain,
    domain::{device::panel_key, intent::PodKey, name::TopologyKey},
    kernel::{Ear, Heard, KernelError, Moment, Place, boottime},
    metrics::Metrics,
};

use super::{
    engine::Engine,
    error::ChangeError,
    glance::{Rumours, Unseen},
    ledger::Entry,
};

/// How long the ear waits after the first notification of a burst: a link makes about seven.
const BURST: Duration = Duration::from_millis(1);

/// How long to wait where the kernel cannot be heard.
const DEAF: Duration = Duration::from_secs(5);

/// Heals at a time. RTNL is one lock: more would only wait for each other.
const AT_A_TIME: usize = 4;

/// What sets off a heal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::panel) enum Cause {
    /// The agent started.
    Started,
    /// A pod has a new sandbox.
    Appeared(PodKey),
    /// A pod is gone.
    Gone(PodKey),
    /// Something was heard.
    Heard(Rumours),
    /// A delete of it failed.
    DeleteFailed,
    /// It was not READY, or was left alone for a while.
    Again,
}

impl Cause {
    /// In one word, for counting.
    pub(in crate::panel) fn word(&self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Appeared(_) => "appeared",
            Self::Gone(_) => "gone",
            Self::Heard(..) => "heard",
            Self::DeleteFailed => "delete_failed",
            Self::Again => "again",
        }
    }

    /// The one that says more; of rumours both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Heard(here), Self::Heard(there)) => Self::Heard(here.and(there)),
            (Self::Heard(..), other) => other,
            (before, _) => before,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("agent started"),
            Self::Appeared(pod) => write!(f, "pod {pod} appeared"),
            Self::Gone(pod) => write!(f, "pod {pod} is gone"),
            Self::Heard(..) => f.write_str("changed by somebody else"),
            Self::DeleteFailed => f.write_str("delete failed"),
            Self::Again => f.write_str("tried again"),
        }
    }
}

/// Topologies that wait for a heal, and how many are healed at a time.
#[derive(Debug)]
pub(in crate::panel) struct Healer {
    waiting: Mutex<BTreeMap<TopologyKey, Cause>>,
    slots: Semaphore,
    /// Whether the ear hears.
    hearing: Arc<AtomicBool>,
}

impl Default for Healer {
    fn default() -> Self {
        Self { waiting: Mutex::default(), slots: Semaphore::new(AT_A_TIME), hearing: Arc::default() }
    }
}

impl Healer {
    /// Whether the topology did not wait already. One that does waits for both causes from now on.
    fn enqueue(&self, key: &TopologyKey, cause: &Cause) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let before = waiting.remove(key);
        let first = before.is_none();
        waiting.insert(key.clone(), before.map_or_else(|| cause.clone(), |before| before.and(cause.clone())));
        first
    }

    /// How many topologies wait.
    pub(in crate::panel) fn waiting(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether whatever happens to a topology is heard, and all that was heard of it so far needs no look at the whole.
    pub(in crate::panel) fn is_quiet(&self, key: &TopologyKey, entry: &Entry) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let in_part = match waiting.get(key) {
            None => true,
            Some(Cause::Heard(rumours)) => entry.unseen(rumours) != Unseen::All,
            Some(_) => false,
        };
        in_part && self.hearing.load(Ordering::Acquire)
    }

    /// Takes a topology from the queue: what happens from now on queues it anew.
    pub(in crate::panel) fn dequeue(&self, key: &TopologyKey) -> Option<Cause> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(key)
    }
}

impl Engine {
    /// Heals topologies soon, each in a task of its own: one that waits for its turn does not hold up the others. One
    /// that waits already is not queued twice: its look is still to come.
    pub(in crate::panel) fn heal_soon(&self, keys: Vec<TopologyKey>, cause: &Cause) {
        for key in keys {
            // One that waits out a pause does not hold up what needs none.
            if !self.0.healer.enqueue(&key, cause) && matches!(cause, Cause::Heard(..)) {
                continue;
            }
            let (engine, pause) = (self.clone(), self.pause_before(&key, cause));
            tokio::spawn(async move {
                sleep(pause).await;
                let Ok(_slot) = engine.0.healer.slots.acquire().await else { return };
                engine.heal(&key).await;
            });
        }
    }

    /// Heals topologies, and returns when each was looked at since this was called. Each in a task of its own: a caller that
    /// goes away does not cut them in half.
    pub(in crate::panel) async fn heal_now(&self, keys: &[TopologyKey], cause: &Cause) {
        let tasks = keys.iter().cloned().map(|key| {
            self.0.healer.enqueue(&key, cause);
            let engine = self.clone();
            // Where another task takes it from the queue meanwhile, this one waits for the turn of that.
            tokio::spawn(async move { engine.heal(&key).await })
        });
        for task in tasks.collect::<Vec<_>>() {
            // One that died has said so in the log; its topology is looked at anew.
            let _ = task.await;
        }
    }

    /// How long a topology is left alone yet. A pod that changes things of its own all the time does not keep the agent busy.
    fn pause_before(&self, key: &TopologyKey, cause: &Cause) -> Duration {
        let ledger = self.ledger();
        let Some(entry) = ledger.get(key).filter(|_| matches!(cause, Cause::Heard(..))) else { return Duration::ZERO };
        let now = boottime();
        let fight = entry.fights.panel_pause(now).map_or(Duration::ZERO, |end| end.saturating_sub(now));
        fight.max(entry.vain.pause(now)).max(entry.failed)
    }

    /// Looks again when a fight of a topology may be over.
    pub(in crate::panel) fn look_after_fight(&self, key: &TopologyKey) {
        let now = boottime();
        let next = self.ledger().get(key).and_then(|entry| entry.fights.next(now));
        if let Some(next) = next {
            self.heal_after(key, next.saturating_sub(now));
        }
    }

    /// Heals a topology after a pause. One alarm at a time: the heal that it sets off sets the next one.
    pub(in crate::panel) fn heal_after(&self, key: &TopologyKey, pause: Duration) {
        let now = boottime();
        {
            let mut ledger = self.ledger();
            let Some(entry) = ledger.get_mut(key) else { return };
            if entry.alarm.is_some_and(|alarm| now < alarm && alarm <= now + pause) {
                return;
            }
            entry.alarm = Some(now + pause);
        }
        let (engine, key) = (self.clone(), key.clone());
        tokio::spawn(async move {
            sleep(pause).await;
            engine.heal_soon(vec![key], &Cause::Again);
        });
    }

    fn heard(&self, heard: Heard) {
        let changes = match heard {
            Heard::Changes(changes) => changes,
            Heard::TooMuch(moment) => {
                if moment != Moment::LAST {
                    self.0.metrics.netlink.overruns.inc();
                }
                tracing::warn!("more changes than could be heard: looking at everything");
                let all = self.ledger().keys(None);
                return self.heal_soon(all, &Cause::Heard(Rumours::of_anything(moment)));
            }
        };
        for (place, news) in changes {
            let keys = match &place {
                Place::Panel(panel) => panel_key(panel).ok().into_iter().collect(),
                Place::Pod(pod) => self.ledger().of_pod(pod),
                Place::Device { index, name } => self.ledger().on_device(*index, name),
                // Its devices are places of their own.
                Place::Node => Vec::new(),
            };
            if let (Place::Pod(pod), true) = (&place, news.gone) {
                let cause = Cause::Gone(pod.clone());
                let unseen = |key: &TopologyKey| self.ledger().get(key).is_some_and(|entry| entry.looked_at <= news.at);
                self.heal_soon(keys.into_iter().filter(unseen).collect(), &cause);
                continue;
            }
            // What was seen since then needs no second look: most of what is heard is the agent's own work.
            for key in keys {
                let rumours = Rumours::of(place.clone(), news.clone());
                if self.ledger().get(&key).is_some_and(|entry| entry.unseen(&rumours) != Unseen::Nothing) {
                    self.heal_soon(vec![key], &Cause::Heard(rumours));
                }
            }
        }
    }
}

/// Listens until the engine is gone, on a thread of its own.
pub(super) fn listen(engine: &Engine) -> Result<(), ChangeError> {
    let (ear, hearing) = (engine.0.kernel.ear(), Arc::clone(&engine.0.healer.hearing));
    let (sender, mut heard) = mpsc::unbounded_channel();
    let (open, metrics) = (Open(Arc::clone(&ear)), engine.0.metrics.clone());
    let thread = thread::Builder::new().name("podwire-ear".to_owned()).spawn(move || {
        keep_hearing(&sender, DEAF, &metrics, || {
            let _hearing = Hearing::new(&hearing);
            hear(&ear, &sender)
        });
    });
    thread.map_err(|source| ChangeError::Listen { source })?;
    let engine = engine.clone();
    tokio::spawn(async move {
        let _open = open;
        while let Some(heard) = heard.recv().await {
            engine.heard(heard);
        }
    });
    Ok(())
}

/// Closes the ear when the task that asks for news ends.
struct Open(Arc<Ear>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The ear hears for as long as this is there.
struct Hearing<'a>(&'a AtomicBool);

impl<'a> Hearing<'a> {
    fn new(hearing: &'a AtomicBool) -> Self {
        hearing.store(true, Ordering::Release);
        Self(hearing)
    }
}

impl Drop for Hearing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Hears until nobody asks for news any more, whatever goes wrong: an agent that is deaf heals nothing.
fn keep_hearing(
    sender: &mpsc::UnboundedSender<Heard>,
    pause: Duration,
    metrics: &Metrics,
    mut hear: impl FnMut() -> Result<(), KernelError>,
) {
    loop {
        match panic::catch_unwind(AssertUnwindSafe(&mut hear)) {
            Ok(Ok(())) => break,
            Ok(Err(error)) => {
                tracing::error!(error = %chain(&error), retry = ?pause, "changes by others cannot be heard");
            }
            // The panic itself is in the log already.
            Err(_) => {
                tracing::error!(retry = ?pause, "what hears changes by others died: this is a bug, please report it with the log");
            }
        }
        metrics.netlink.restarts.inc();
        thread::sleep(pause);
        // Anything may have happened.
        if sender.send(Heard::TooMuch(Moment::LAST)).is_err() {
            break;
        }
    }
}

fn hear(ear: &Ear, sender: &mpsc::UnboundedSender<Heard>) -> Result<(), KernelError> {
    while ear.wait()? {
        thread::sleep(BURST);
        let heard = ear.hear()?;
        if heard != Heard::Changes(BTreeMap::new()) && sender.send(heard).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_happens_to_the_ear_it_hears_again_and_everything_is_looked_at() {
        let (sender, mut heard) = mpsc::unbounded_channel();
        let metrics = Metrics::default();
        let mut fates = vec![Fate::Ends, Fate::Fails, Fate::Dies];
        keep_hearing(&sender, Duration::ZERO, &metrics, || match fates.pop() {
            Some(Fate::Dies) => panic!("of the test"),
            Some(Fate::Fails) => Err(KernelError::Panicked("the ear".to_owned())),
            Some(Fate::Ends) | None => Ok(()),
        });
        assert!(fates.is_empty());
        assert_eq!(metrics.netlink.restarts.get(), 2);
        for _ in 0..2 {
            assert!(matches!(heard.try_recv(), Ok(Heard::TooMuch(_))));
        }
        assert!(heard.try_recv().is_err());
    }

    enum Fate {
        Ends,
        Fails,
        Dies,
    }
}
