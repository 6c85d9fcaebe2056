//! What is going on at a connection, for who decides whether it may stay.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What is going on at a connection. All clones are one.
#[derive(Debug, Clone)]
pub struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    calls: usize,
    /// Calls that were ever begun, and bytes of their messages that were read.
    begun: u64,
    read: u64,
    /// When the last call ended, or the connection began.
    quiet_since: Instant,
    next: u64,
    /// Since when answers wait to be taken, by number.
    waiting: Vec<(u64, Instant)>,
}

/// A call under way.
#[derive(Debug)]
pub(super) struct Busy(Activity);

/// An answer that its caller does not take for the moment.
#[derive(Debug)]
pub(super) struct Waiting(Activity, u64);

impl Default for Activity {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            calls: 0,
            begun: 0,
            read: 0,
            quiet_since: Instant::now(),
            next: 0,
            waiting: Vec::new(),
        })))
    }
}

impl Activity {
    /// For how long no call has been under way. `None`: one is.
    pub fn quiet(&self) -> Option<Duration> {
        self.quiet_since().map(|since| since.elapsed())
    }

    /// Since when no call has been under way. `None`: one is.
    pub fn quiet_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.calls == 0).then_some(state.quiet_since)
    }

    /// How many calls there were, and how many bytes of their messages were read.
    pub fn asked(&self) -> (u64, u64) {
        let state = self.state();
        (state.begun, state.read)
    }

    /// So many bytes of a message were read.
    pub(super) fn read(&self, bytes: usize) {
        self.state().read += u64::try_from(bytes).unwrap_or_default();
    }

    /// For how long an answer has been waiting to be taken: the oldest one.
    pub fn stalled(&self) -> Duration {
        self.state().waiting.iter().map(|(_, since)| since.elapsed()).max().unwrap_or_default()
    }

    /// A call, for as long as what is returned lives.
    pub(super) fn call(&self) -> Busy {
        let mut state = self.state();
        state.calls += 1;
        state.begun += 1;
        drop(state);
        Busy(self.clone())
    }

    /// An answer waits to be taken, for as long as what is returned lives.
    pub(super) fn waits(&self) -> Waiting {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.waiting.push((number, Instant::now()));
        Waiting(self.clone(), number)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.calls -= 1;
        state.quiet_since = Instant::now();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.state().waiting.retain(|(number, _)| *number != self.1);
    }
}
