//! Panels that are begun before it is decided that they are made: while the agent looks at the pods of a new topology. Not while
//! it opens them: threads that enter namespaces would be put behind the one that makes one, which the kernel does not interrupt.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{KernelError, Netns, netns::NetnsBegun, site::silence_new};

type Silenced = Result<(), KernelError>;

/// A change that most likely makes a panel, for as long as it lasts.
#[derive(Debug)]
pub struct PanelAhead {
    _expected: Arc<()>,
}

/// Namespaces without a name, silent by themselves. One that was not needed is there for the next change.
#[derive(Debug, Default)]
pub(super) struct BegunPanels {
    /// Each change that expects one holds it once more.
    expected: Arc<()>,
    begun: Mutex<VecDeque<NetnsBegun<Silenced>>>,
}

impl BegunPanels {
    /// Expects a change to make one.
    pub(super) fn expect(&self) -> PanelAhead {
        PanelAhead { _expected: Arc::clone(&self.expected) }
    }

    /// Begins one on another thread, if more changes expect one than there are.
    pub(super) fn begin(&self) {
        let mut begun = self.begun();
        if begun.len() < Arc::strong_count(&self.expected) - 1 {
            // Who needs it makes one, or hears why there is none.
            begun.extend(Netns::begin(silence_new));
        }
    }

    /// One that was begun, or one that is made now.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub(super) fn take(&self) -> Result<Netns, KernelError> {
        let begun = self.begun().pop_front();
        // What kept one from being made then may be over.
        if let Some(Ok((netns, Ok(())))) = begun.map(NetnsBegun::end) {
            return Ok(netns);
        }
        let (netns, silenced) = Netns::begin(silence_new)?.end()?;
        silenced.map(|()| netns)
    }

    /// Ends those that wait: nobody makes a panel any more.
    pub(super) fn give_up(&self) {
        mem::take(&mut *self.begun());
    }

    fn begun(&self) -> MutexGuard<'_, VecDeque<NetnsBegun<Silenced>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
