//! The only room that touches the disk: intents, durable before they are acknowledged.

mod codec;
mod disk;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod memory;

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use serde::{Deserialize, Serialize};

use crate::domain::{
    announcement::Announcement,
    intent::{Generation, Intent},
    name::TopologyKey,
    observed::SandboxId,
};

pub use disk::{DiskStore, OpenError, StateFiles, set_aside, state_files};
pub use memory::MemoryStore;

/// What is stored under the key of a topology.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
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
        /// When it was deleted. Stored as seconds and nanoseconds since 1970; a time before that as 1970.
        #[serde(serialize_with = "codec::since_epoch")]
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
    /// There is no room.
    #[error(
        "cannot write {path}: the file system at {file_system} is full; what was stored before stands; free space there \
         and try again"
    )]
    Full {
        /// To which file.
        path: String,
        /// Where its file system is mounted.
        file_system: PathBuf,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// The file was sound when it was opened, and is not any more.
    #[error("{path} was damaged while the agent ran: {reason}; restart the agent, it will say what can be done")]
    Damaged {
        /// Which file.
        path: String,
        /// What was seen.
        reason: String,
    },
}

impl StoreError {
    /// Whether there is no room: it is taken once somebody makes some.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }
}

/// A record as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft(Vec<u8>);

/// Where intents are kept. Blocking.
pub trait Store: Send + Sync + 'static {
    /// Everything that is stored.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn load(&self) -> Result<Vec<(TopologyKey, Record)>, StoreError>;

    /// Makes of a record what is written of it. That of a large topology takes milliseconds, in which it waits for nobody: to be
    /// done while something else goes on.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn draft(&self, record: &Record) -> Result<Draft, StoreError>;

    /// Stores a record. When it returns, the record outlives a crash.
    ///
    /// # Errors
    ///
    /// It cannot be written: what was stored before stands.
    fn put_draft(&self, key: &TopologyKey, draft: Draft) -> Result<(), StoreError>;

    /// Both.
    ///
    /// # Errors
    ///
    /// As those.
    fn put(&self, key: &TopologyKey, record: &Record) -> Result<(), StoreError> {
        self.put_draft(key, self.draft(record)?)
    }

    /// Stores a record some time, before all that is stored after it. Whether it is on the disk nobody is told: for what only
    /// makes the next start easier.
    fn put_unwaited(&self, key: &TopologyKey, record: Record) {
        let _ = self.put(key, &record);
    }

    /// Forgets a record. An absent one is forgotten already.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn forget(&self, key: &TopologyKey) -> Result<(), StoreError>;

    /// Forgets a record some time, before all that is stored after it: as `put_unwaited`.
    fn forget_unwaited(&self, key: &TopologyKey) {
        let _ = self.forget(key);
    }

    /// The announced sandboxes that are stored.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    fn announcements(&self) -> Result<Vec<Announcement>, StoreError>;

    /// Stores an announced sandbox, in the place of one of the same id. When it returns, it outlives a crash.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    fn put_announcement(&self, announcement: &Announcement) -> Result<(), StoreError>;

    /// Forgets an announced sandbox some time: one whose namespace is gone is not taken for a pod's by the next run.
    fn forget_announcement(&self, sandbox: &SandboxId);
}
