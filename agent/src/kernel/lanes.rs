//! How many changes of the kernel are under way at a time. RTNL is one lock for the node and is given in order: whoever else
//! wants it waits for all who came before.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// More make nothing faster, but for removals: each also waits, without RTNL, until nobody reads what it removed.
const LANES: usize = 8;

/// Lanes that are free.
#[derive(Debug)]
pub(super) struct Lanes {
    free: Mutex<usize>,
    freed: Condvar,
}

/// A lane that is taken, until it is dropped.
pub(super) struct Lane<'a>(&'a Lanes);

impl Default for Lanes {
    fn default() -> Self {
        Self { free: Mutex::new(LANES), freed: Condvar::new() }
    }
}

impl Lanes {
    /// Waits for a lane. Who has one must not wait for another.
    pub(super) fn enter(&self) -> Lane<'_> {
        let full = |free: &mut usize| *free == 0;
        let mut free = self.freed.wait_while(self.free(), full).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Lane(self)
    }

    fn free(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        *self.0.free() += 1;
        self.0.freed.notify_one();
    }
}
