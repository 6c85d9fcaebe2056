//! The only room that touches the disk: intents, durable before they are acknowledged.

mod memory;

use std::{sync::Arc, time::SystemTime};

use crate::domain::{
    intent::{Generation, Intent},
    name::TopologyKey,
};

pub use memory::MemoryStore;

/// What is stored under the key of a topology.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// It shall be there.
    Live {
        /// What it shall be.
        intent: Arc<Intent>,
        /// What it was, while a change is under way: a crash in between leaves devices of both.
        former: Option<Arc<Intent>>,
    },
    /// It was deleted; its generation still fences.
    Deleted {
        /// The highest generation seen.
        generation: Generation,
        /// When it was deleted.
        at: SystemTime,
    },
}

/// The disk does not take or give intents.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system's words.
    #[error("{operation} {path}")]
    Io {
        /// What was done.
        operation: &'static str,
        /// To which file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Where intents are kept. Blocking.
pub trait Store: Send + Sync + 'static {
    /// Everything that is stored.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn load(&self) -> Result<Vec<(TopologyKey, Record)>, StoreError>;

    /// Stores a record. When it returns, the record outlives a crash.
    ///
    /// # Errors
    ///
    /// It cannot be written: what was stored before stands.
    fn put(&self, key: &TopologyKey, record: &Record) -> Result<(), StoreError>;

    /// Forgets a record. An absent one is forgotten already.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn forget(&self, key: &TopologyKey) -> Result<(), StoreError>;
}
