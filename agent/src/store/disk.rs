//! A store that outlives the agent: a redb file, written by one thread.

mod aside;
mod fault;
mod file;
mod home;
mod overlay;
mod schema;
mod writer;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel, sync_channel},
    thread::{Builder, JoinHandle},
};

use serde::Serialize;

use crate::{
    domain::{announcement::Announcement, name::TopologyKey, observed::SandboxId},
    metrics::Metrics,
};

use super::{Draft, Record, Store, StoreError, codec};
use fault::Fault;
use schema::{Contents, Slot};
use writer::{Change, Request, Writer};

pub use aside::{StateFiles, set_aside, state_files};

/// File of the store in the state directory.
const FILE: &str = "intents.redb";

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is something, and it is not a sound store. Not one byte of it was changed.
    #[error("the store {} cannot be read: {reason}; it was left as it is, see `podwire-agent recover`", path.display())]
    Unreadable {
        /// What was read.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process has it.
    #[error(
        "the store {} is in use by another process: stop the other podwire-agent, or give this one another --state-dir",
        path.display()
    )]
    InUse {
        /// Its path.
        path: PathBuf,
    },
    /// The system does not let the agent keep a store there.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

/// Intents on a disk. A write is on the disk when it returns; those that wait at the same time share one commit.
#[derive(Debug)]
pub struct DiskStore {
    path: PathBuf,
    boot_id: Option<String>,
    /// Dropped first: the writer then ends.
    requests: Option<Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// Locked as long as the store is open.
    _directory: File,
}

impl DiskStore {
    /// Opens the store in a directory that is there, and makes an empty one where there is none. All of an existing
    /// one is read and checked before anything is written to it.
    ///
    /// # Errors
    ///
    /// It is not sound, another process has it, or the system refuses.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        Self::open_measured(dir, &Metrics::default())
    }

    /// The same, and its commits count here.
    ///
    /// # Errors
    ///
    /// As `open`.
    pub fn open_measured(dir: &Path, metrics: &Metrics) -> Result<Self, OpenError> {
        let path = dir.join(FILE);
        let directory = home::lock(dir)?;
        home::prepare(dir, &path)?;
        let (database, boot_id) = file::open(&path, schema::UPGRADES)?;
        let (requests, queue) = channel();
        let writer = Writer::new(path.clone(), database, metrics.clone());
        let writer = Builder::new().name("store".to_owned()).spawn(move || writer.run(&queue));
        let writer =
            writer.map_err(|source| OpenError::Io { operation: "start a thread for", path: path.clone(), source })?;
        Ok(Self { path, boot_id, requests: Some(requests), writer: Some(writer), _directory: directory })
    }

    /// Whether no run of the agent has got so far as to record its boot in it: it was made just now, or by a run that
    /// was cut off at its start. That it is empty then says nothing about the node.
    pub fn is_new(&self) -> bool {
        self.boot_id.is_none()
    }

    /// The boot id that the last run recorded.
    pub fn boot_id(&self) -> Option<&str> {
        self.boot_id.as_deref()
    }

    /// Records the boot id of the present run, for the next one. From then on the store is not new.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn record_boot(&self, boot_id: &str) -> Result<(), StoreError> {
        self.change(Slot::BootId, Some(boot_id.as_bytes().to_vec()))
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn change(&self, slot: Slot, value: Option<Vec<u8>>) -> Result<(), StoreError> {
        let (reply, answer) = sync_channel(1);
        self.ask(Request::Write(Change { slot, value }, reply), &answer)
    }

    /// Empties a slot; nobody waits for it or is told.
    fn empty_unwaited(&self, slot: Slot) {
        let (reply, _) = sync_channel(1);
        if let Some(requests) = &self.requests {
            let _ = requests.send(Request::Write(Change { slot, value: None }, reply));
        }
    }

    fn contents(&self) -> Result<Contents, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.ask(Request::Load(reply), &answer)
    }

    fn encode(&self, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
        codec::encode(value).map_err(|error| Fault::Io(io::Error::other(error)).say(&self.path, "write"))
    }

    fn ask<T>(&self, request: Request, answer: &Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
        // The writer catches what panics in it, so it is there as long as this is.
        let gone = || Fault::Damage("its writer died".to_owned()).say(&self.path, "write");
        self.requests.as_ref().ok_or_else(gone)?.send(request).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl Store for DiskStore {
    fn load(&self) -> Result<Vec<(TopologyKey, Record)>, StoreError> {
        Ok(self.contents()?.records)
    }

    fn draft(&self, record: &Record) -> Result<Draft, StoreError> {
        self.encode(record).map(Draft)
    }

    fn put_draft(&self, key: &TopologyKey, draft: Draft) -> Result<(), StoreError> {
        self.change(Slot::topology(key), Some(draft.0))
    }

    fn put_unwaited(&self, key: &TopologyKey, record: Record) {
        if let Some(requests) = &self.requests {
            let _ = requests.send(Request::Later(Slot::topology(key), record));
        }
    }

    fn forget(&self, key: &TopologyKey) -> Result<(), StoreError> {
        self.change(Slot::topology(key), None)
    }

    fn forget_unwaited(&self, key: &TopologyKey) {
        self.empty_unwaited(Slot::topology(key));
    }

    fn announcements(&self) -> Result<Vec<Announcement>, StoreError> {
        Ok(self.contents()?.announcements)
    }

    fn put_announcement(&self, announcement: &Announcement) -> Result<(), StoreError> {
        self.change(Slot::announcement(&announcement.sandbox.sandbox_id), Some(self.encode(announcement)?))
    }

    fn forget_announcement(&self, sandbox: &SandboxId) {
        self.empty_unwaited(Slot::announcement(sandbox));
    }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // It catches its panics; and there is nobody to tell.
            let _ = writer.join();
        }
    }
}

#[cfg(test)]
mod tests;
