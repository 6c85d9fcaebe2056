//! What the thread of a capture, who steers it and who reads it have in common.

use std::{
    collections::{BTreeSet, VecDeque},
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use nix::sys::eventfd::{EfdFlags, EventFd};
use tokio::sync::Notify;

use super::{Chunk, End, KernelError, Port};

/// Bytes of the file that may wait for a reader: then the sockets are left to themselves.
const QUEUE_BYTES: usize = 1024 * 1024;

/// Bytes up to which small pieces become one.
const CHUNK_BYTES: usize = 64 * 1024;

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Command {
    Add(Box<Port>),
    Remove(String),
}

/// The common ground.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the thread.
    wake: EventFd,
    /// Wakes who reads.
    ready: Notify,
    /// Wakes who steers: a port's device went away.
    pub(super) lost: Notify,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct State {
    chunks: VecDeque<Vec<u8>>,
    queued: usize,
    commands: Vec<Command>,
    /// Names of the ports that are read.
    pub(super) present: BTreeSet<String>,
    /// Why it ends.
    pub(super) end: Option<End>,
    /// All sockets are closed and all is written.
    closed: bool,
    /// Frames written.
    pub(super) frames: u64,
    /// Frames dropped.
    pub(super) drops: u64,
}

impl Shared {
    pub(super) fn new() -> Result<Self, KernelError> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let wake = wake.map_err(|errno| KernelError::call("eventfd", "a capture", errno))?;
        Ok(Self { state: Mutex::default(), wake, ready: Notify::new(), lost: Notify::new() })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn command(&self, command: Command) {
        let mut state = self.state();
        // A socket that comes too late closes here.
        if state.closed {
            return;
        }
        match &command {
            Command::Add(port) => state.present.insert(port.name.clone()),
            Command::Remove(name) => state.present.remove(name),
        };
        state.commands.push(command);
        drop(state);
        self.wake();
    }

    pub(super) fn end(&self, end: End) {
        self.state().end.get_or_insert(end);
        self.wake();
    }

    pub(super) async fn next(&self) -> Option<Chunk> {
        loop {
            {
                let mut state = self.state();
                if let Some(bytes) = state.chunks.pop_front() {
                    let was_full = state.is_full();
                    state.queued -= bytes.len();
                    if was_full && !state.is_full() {
                        self.wake();
                    }
                    return Some(Chunk { bytes, frames: state.frames, drops: state.drops });
                }
                if state.closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    /// Hands over more of the file.
    pub(super) fn push(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let mut state = self.state();
        state.queued += bytes.len();
        match state.chunks.back_mut() {
            Some(last) if last.len() + bytes.len() <= CHUNK_BYTES => last.append(bytes),
            _ => state.chunks.push_back(std::mem::take(bytes)),
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Says that the thread is done with everything.
    pub(super) fn close(&self) {
        let mut state = self.state();
        // Should the thread have died, nobody waits for more.
        state.end.get_or_insert_with(|| End::Gone("the thread that captured died: this is a bug".to_owned()));
        state.closed = true;
        state.commands.clear();
        state.present.clear();
        if state.end == Some(End::HungUp) {
            state.chunks.clear();
        }
        drop(state);
        self.ready.notify_one();
        self.lost.notify_one();
    }

    /// The descriptor that is readable when there is something new for the thread.
    pub(super) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Waits for nothing more than what comes from now on.
    pub(super) fn awake(&self) {
        // Empty: nobody called.
        let _ = self.wake.read();
    }

    fn wake(&self) {
        // It fails where it was called 2^64 times.
        let _ = self.wake.write(1);
    }
}

impl State {
    /// Whether so much waits that the sockets are left to themselves.
    pub(super) fn is_full(&self) -> bool {
        self.queued >= QUEUE_BYTES
    }

    /// What was commanded since this was asked last.
    pub(super) fn commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }
}
