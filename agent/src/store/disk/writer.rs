//! The thread that writes. All changes that wait when it looks go into one commit.

use std::{
    mem,
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender},
};

use redb::Database;

use crate::{
    metrics::Metrics,
    store::{Record, StoreError, codec},
};

use super::{
    OpenError,
    fault::{Fault, caught},
    file,
    schema::{self, Contents, Slot, Slots},
};

/// Most changes of one commit: so nobody waits for the work of more than a few hundred others.
const MOST: usize = 256;

/// Bytes for a slot. `None`: it shall be empty.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) slot: Slot,
    pub(super) value: Option<Vec<u8>>,
}

type Reply<T> = SyncSender<Result<T, StoreError>>;

/// What is asked of the thread.
#[derive(Debug)]
pub(super) enum Request {
    /// To make a change durable.
    Write(Change, Reply<()>),
    /// The same of a record, in its order; nobody waits for it or is told, not even for the bytes that it becomes.
    Later(Slot, Record),
    /// To read everything.
    Load(Reply<Contents>),
}

/// What the thread has.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    /// `None`: it failed, and is opened again before it is used.
    database: Option<Database>,
    /// What slots held before a commit of which nobody knows whether it is on the disk. Its callers were told that it is
    /// not, so this goes back before anything else is written.
    owed: Slots,
    metrics: Metrics,
}

impl Writer {
    pub(super) fn new(path: PathBuf, database: Database, metrics: Metrics) -> Self {
        Self { path, database: Some(database), owed: Slots::new(), metrics }
    }

    /// Works until nobody can ask any more, and closes the store.
    pub(super) fn run(mut self, queue: &Receiver<Request>) {
        while let Ok(first) = queue.recv() {
            let (mut changes, mut replies) = (Vec::new(), Vec::new());
            let mut next = Some(first);
            while let Some(request) = next {
                match request {
                    Request::Write(change, reply) => {
                        changes.push(change);
                        replies.push(reply);
                    }
                    Request::Later(slot, record) => {
                        changes.extend(codec::encode(&record).ok().map(|bytes| Change { slot, value: Some(bytes) }));
                    }
                    Request::Load(reply) => {
                        // It sees what was asked for before it.
                        self.commit(&mem::take(&mut changes), mem::take(&mut replies));
                        // Who hung up needs no answer: here and below.
                        let _ = reply.send(self.load());
                    }
                }
                next = if changes.len() < MOST { queue.try_recv().ok() } else { None };
            }
            self.commit(&changes, replies);
        }
        // The last chance to keep what callers were told. Without it the next open finds what the disk has.
        let _ = self.settle();
        self.close();
    }

    fn commit(&mut self, changes: &[Change], replies: Vec<Reply<()>>) {
        let metrics = self.metrics.clone();
        let mut write = || metrics.work.commit(changes.len(), || self.write(changes));
        let result = if changes.is_empty() { Ok(()) } else { write() };
        for reply in replies {
            let _ = reply.send(result.as_ref().copied().map_err(|fault| fault.say(&self.path, "write")));
        }
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), Fault> {
        self.settle()?;
        let mut former = Slots::new();
        let Err(failed) = self.with(|database| schema::write(database, changes, &mut former)) else { return Ok(()) };
        self.owed = former;
        // Whether it succeeds or not: the change was refused.
        let _ = self.settle();
        Err(failed)
    }

    /// Puts back what is owed, if the disk does not have it anyway.
    fn settle(&mut self) -> Result<(), Fault> {
        let mut differ = Vec::new();
        for (slot, value) in self.owed.clone() {
            if self.with(|database| schema::read(database, &slot))? != value {
                differ.push(Change { slot, value });
            }
        }
        if !differ.is_empty() {
            self.with(|database| schema::write(database, &differ, &mut Slots::new()))?;
        }
        self.owed.clear();
        Ok(())
    }

    fn load(&mut self) -> Result<Contents, StoreError> {
        let loaded = self.settle().and_then(|()| self.with(schema::contents));
        loaded.map_err(|fault| fault.say(&self.path, "read"))
    }

    /// Uses the database, which is opened if it is not open. After a fault redb refuses everything, so it is closed.
    fn with<T>(&mut self, work: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, Fault> {
        let database = match &self.database {
            Some(database) => database,
            None => self.database.insert(self.reopen()?),
        };
        let result = caught(|| work(database));
        if result.is_err() {
            self.close();
        }
        result
    }

    fn reopen(&self) -> Result<Database, Fault> {
        let opened = file::open(&self.path, schema::UPGRADES);
        opened.map(|(database, _)| database).map_err(|error| match error {
            OpenError::Unreadable { reason, .. } => Fault::Damage(reason),
            OpenError::InUse { .. } => Fault::InUse,
            OpenError::Io { source, .. } => Fault::Io(source),
        })
    }

    /// What goes wrong here was said before, or is found at the next open.
    fn close(&mut self) {
        let database = self.database.take();
        let _ = caught(|| {
            drop(database);
            Ok(())
        });
    }
}
