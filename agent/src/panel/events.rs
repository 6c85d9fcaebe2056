//! Events of topologies, for those who watch.

use std::{
    collections::VecDeque,
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use tokio::{runtime::Handle, sync::watch};

use crate::domain::name::TopologyKey;

use super::view::TopologyView;

/// Events that are kept for those who resume. A watcher that falls further behind begins anew.
const KEPT: usize = 1024;

/// Interfaces that all kept events may show together: an event of a large topology takes some kilobytes for each ten.
const KEPT_INTERFACES: usize = 32 * 1024;

/// Interfaces of an event above which others need not wait until it is forgotten.
const LARGE: usize = 64;

/// Where in the stream of events a watcher is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeToken {
    /// The run of the agent.
    pub run: u64,
    /// Number of the event in that run.
    pub sequence: u64,
}

/// Something that happened to a topology.
#[derive(Debug, Clone)]
pub struct Event {
    /// Resume after it with this.
    pub token: ResumeToken,
    /// Which topology.
    pub key: TopologyKey,
    /// What happened.
    pub kind: EventKind,
    /// Why, in a few words.
    pub cause: String,
    /// When.
    pub time: SystemTime,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum EventKind {
    /// It was made, or its desired or observed state changed: what it is now.
    Changed(Arc<TopologyView>),
    /// It is gone.
    Deleted,
}

/// Why a watcher cannot resume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResumeError {
    /// Not a token.
    #[error("it is not a resume token")]
    Malformed,
    /// The watcher reads more slowly than things happen. It is sent away while it can still resume.
    #[error(
        "{behind} events wait to be read and will soon be forgotten: resume with the token {token}, and read faster"
    )]
    TooSlow {
        /// The last event that it got.
        token: ResumeToken,
        /// How many it has not got.
        behind: u64,
    },
    /// Of another run of the agent, or too long ago.
    #[error("the token is too old or of another run of the agent: begin with a snapshot")]
    TooOld,
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.run, self.sequence)
    }
}

impl FromStr for ResumeToken {
    type Err = ResumeError;

    fn from_str(text: &str) -> Result<Self, ResumeError> {
        let (run, sequence) = text.split_once('-').ok_or(ResumeError::Malformed)?;
        let number = |text| u64::from_str_radix(text, 16).map_err(|_| ResumeError::Malformed);
        Ok(Self { run: number(run)?, sequence: number(sequence)? })
    }
}

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Event>,
    interfaces: usize,
}

/// The events of all topologies: a bounded ring that each watcher reads at its own pace, so that a slow one costs
/// nobody anything.
#[derive(Debug)]
pub struct Events {
    run: u64,
    ring: Mutex<Ring>,
    latest: watch::Sender<u64>,
    /// The number of the last event that each watcher got.
    watchers: Mutex<Vec<Weak<AtomicU64>>>,
}

/// A watcher, for counting: it is one until this is dropped.
#[derive(Debug)]
pub struct Watcher(Arc<AtomicU64>);

impl Watcher {
    /// It got this event.
    pub fn got(&self, token: ResumeToken) {
        self.0.store(token.sequence, Ordering::Relaxed);
    }
}

impl Events {
    /// No events yet, in a run of the agent that no other run shares a number with.
    pub(super) fn new(run: u64) -> Self {
        Self { run, ring: Mutex::default(), latest: watch::Sender::new(0), watchers: Mutex::default() }
    }

    /// The token of the latest event: what comes after it is new.
    pub fn latest(&self) -> ResumeToken {
        ResumeToken { run: self.run, sequence: *self.latest.borrow() }
    }

    /// Somebody watches who got the event of this token last.
    pub fn attend(&self, token: ResumeToken) -> Watcher {
        let at = Arc::new(AtomicU64::new(token.sequence));
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| watcher.strong_count() > 0);
        watchers.push(Arc::downgrade(&at));
        Watcher(at)
    }

    /// How many watch, and how many events the slowest of them has not got.
    pub(super) fn watched(&self) -> (usize, u64) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let places: Vec<u64> = watchers.iter().filter_map(Weak::upgrade).map(|at| at.load(Ordering::Relaxed)).collect();
        let latest = *self.latest.borrow();
        (places.len(), places.iter().map(|at| latest.saturating_sub(*at)).max().unwrap_or_default())
    }

    /// Whether what comes after a token is about to be forgotten: it is in the older half of what is kept.
    pub fn nearly_forgets(&self, token: ResumeToken) -> bool {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = ring.events.front().map(|event| event.token.sequence) else { return false };
        // The first of all is still there: nothing was ever forgotten.
        first > 1 && token.sequence.saturating_add(1) < first + ring.events.len() as u64 / 2
    }

    /// How many events come after a token.
    pub fn behind(&self, token: ResumeToken) -> u64 {
        self.latest.borrow().saturating_sub(token.sequence)
    }

    /// The next event after a token; waits for it. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// `TooOld`: the watcher was too slow or comes from another run.
    pub async fn after(&self, token: ResumeToken) -> Result<Event, ResumeError> {
        let mut latest = self.latest.subscribe();
        if token.run != self.run || token.sequence > *latest.borrow() {
            return Err(ResumeError::TooOld);
        }
        loop {
            if let Some(event) = self.find(token.sequence)? {
                return Ok(event);
            }
            if latest.changed().await.is_err() {
                return Err(ResumeError::TooOld);
            }
        }
    }

    fn find(&self, sequence: u64) -> Result<Option<Event>, ResumeError> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(first) = ring.events.front().map(|event| event.token.sequence) else { return Ok(None) };
        let Some(offset) = sequence.saturating_add(1).checked_sub(first) else { return Err(ResumeError::TooOld) };
        Ok(usize::try_from(offset).ok().and_then(|offset| ring.events.get(offset)).cloned())
    }

    pub(super) fn publish(&self, key: TopologyKey, kind: EventKind, cause: &str) {
        tracing::info!(topology = %key, cause, kind = kind.word(), "event");
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let sequence = *self.latest.borrow() + 1;
        let token = ResumeToken { run: self.run, sequence };
        ring.interfaces += kind.interfaces();
        ring.events.push_back(Event { token, key, kind, cause: cause.to_owned(), time: SystemTime::now() });
        let mut forgotten = Vec::new();
        while ring.events.len() > KEPT || (ring.interfaces > KEPT_INTERFACES && ring.events.len() > 1) {
            if let Some(oldest) = ring.events.pop_front() {
                ring.interfaces -= oldest.kind.interfaces();
                forgotten.push(oldest);
            }
        }
        self.latest.send_replace(sequence);
        drop(ring);
        drop_elsewhere(forgotten);
    }
}

/// A view of a large topology has thousands of parts: to free them takes longer than all else that publishing does.
fn drop_elsewhere(events: Vec<Event>) {
    let large = events.iter().any(|event| event.kind.interfaces() > LARGE);
    match Handle::try_current() {
        Ok(runtime) if large => drop(runtime.spawn_blocking(|| drop(events))),
        _ => {}
    }
}

impl EventKind {
    fn interfaces(&self) -> usize {
        match self {
            Self::Changed(view) => view.interfaces.len(),
            Self::Deleted => 0,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Changed(_) => "changed",
            Self::Deleted => "deleted",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> TopologyKey {
        TopologyKey::default()
    }

    #[tokio::test]
    async fn a_watcher_sees_each_event_once_and_in_order() {
        let events = Events::new(7);
        let mut token = events.latest();
        for _ in 0..3 {
            events.publish(key(), EventKind::Deleted, "test");
        }
        for sequence in 1..=3 {
            let event = events.after(token).await.unwrap();
            assert_eq!(event.token.sequence, sequence);
            token = event.token;
        }
    }

    #[tokio::test]
    async fn a_watcher_that_falls_behind_is_told() {
        let events = Events::new(7);
        let token = events.latest();
        for _ in 0..=KEPT {
            events.publish(key(), EventKind::Deleted, "test");
        }
        assert_eq!(events.after(token).await.map(|e| e.token), Err(ResumeError::TooOld));
        let other = ResumeToken { run: 8, sequence: 0 };
        assert_eq!(events.after(other).await.map(|e| e.token), Err(ResumeError::TooOld));
    }

    #[test]
    fn tokens_read_back() {
        let token = ResumeToken { run: 0xfeed, sequence: 12 };
        assert_eq!(token.to_string().parse(), Ok(token));
        assert_eq!("12".parse::<ResumeToken>(), Err(ResumeError::Malformed));
    }
}
