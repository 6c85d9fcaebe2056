//! What is in the file: its tables, and how an older one is brought up to date.

use std::collections::BTreeMap;

use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};
use serde_json::Value;

use crate::{
    domain::{announcement::Announcement, name::TopologyKey, observed::SandboxId},
    store::{Record, codec},
};

use super::{fault::Fault, writer::Change};

type Table = TableDefinition<'static, &'static str, &'static [u8]>;

/// `schema` and `boot_id`, both text.
const META: Table = TableDefinition::new("meta");

/// `namespace/name` of a topology, and its record.
const TOPOLOGIES: Table = TableDefinition::new("topologies");

/// Id of a sandbox that the CNI plugin announced, and what it said. A store without one has none.
const ANNOUNCEMENTS: Table = TableDefinition::new("announcements");

const SCHEMA: &str = "schema";
const BOOT_ID: &str = "boot_id";

/// Turns a record of one schema version, which is under `key`, into one of the next. `Err`: why it cannot.
pub(super) type Upgrade = fn(key: &str, record: Value) -> Result<Value, String>;

/// From version 1 to 2, from 2 to 3, … There is only version 1 so far.
pub(super) const UPGRADES: &[Upgrade] = &[];

/// The version to which so many upgrades lead.
fn version(upgrades: &[Upgrade]) -> usize {
    1 + upgrades.len()
}

/// A place for bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    /// The record of a topology.
    Topology(String),
    /// An announced sandbox, by its id.
    Announcement(String),
    /// The boot id of the last run.
    BootId,
}

impl Slot {
    pub(super) fn topology(key: &TopologyKey) -> Self {
        Self::Topology(key.to_string())
    }

    pub(super) fn announcement(sandbox: &SandboxId) -> Self {
        Self::Announcement(sandbox.to_string())
    }

    fn place(&self) -> (Table, &str) {
        match self {
            Self::Topology(key) => (TOPOLOGIES, key),
            Self::Announcement(id) => (ANNOUNCEMENTS, id),
            Self::BootId => (META, BOOT_ID),
        }
    }
}

/// Begins to write. A commit then is durable when it returns; and in two phases, so that redb never needs to take the
/// commit before the last one for the last one: what it cannot read is damage, not a commit that was cut off.
fn begin_write(database: &Database) -> Result<WriteTransaction, Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    Ok(transaction)
}

/// Writes the tables of an empty store.
pub(super) fn make(database: &Database) -> Result<(), Fault> {
    let transaction = begin_write(database)?;
    transaction.open_table(TOPOLOGIES)?;
    transaction.open_table(META)?.insert(SCHEMA, version(UPGRADES).to_string().as_bytes())?;
    Ok(transaction.commit()?)
}

/// Brings all records up to date, in one commit.
pub(super) fn upgrade(database: &Database, upgrades: &[Upgrade]) -> Result<(), Fault> {
    let found = schema_of(&database.begin_read()?)?;
    let known = version(upgrades);
    if found > known {
        return Err(Fault::Damage(format!(
            "it was made by a newer podwire-agent: its schema is {found}, this one knows up to {known}"
        )));
    }
    let Some(due) = upgrades.get(found - 1..).filter(|due| !due.is_empty()) else { return Ok(()) };
    let transaction = begin_write(database)?;
    {
        let mut table = transaction.open_table(TOPOLOGIES)?;
        let mut changed = Vec::new();
        for entry in table.iter()? {
            let (key, bytes) = entry?;
            let wrong = |reason: String| record_fault(key.value(), &reason);
            let mut record = serde_json::from_slice(bytes.value()).map_err(|error| wrong(error.to_string()))?;
            for upgrade in due {
                record = upgrade(key.value(), record).map_err(wrong)?;
            }
            changed.push((key.value().to_owned(), record.to_string()));
        }
        for (key, record) in changed {
            table.insert(key.as_str(), record.as_bytes())?;
        }
        transaction.open_table(META)?.insert(SCHEMA, known.to_string().as_bytes())?;
    }
    Ok(transaction.commit()?)
}

fn schema_of(transaction: &ReadTransaction) -> Result<usize, Fault> {
    let stranger = |what: &str| Fault::Damage(format!("it was not made by podwire-agent: {what}"));
    let meta = match transaction.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => return Err(stranger("it has no table `meta`")),
        other => other?,
    };
    if let Err(TableError::TableDoesNotExist(_)) = transaction.open_table(TOPOLOGIES) {
        return Err(stranger("it has no table `topologies`"));
    }
    let found = meta.get(SCHEMA)?.ok_or_else(|| stranger("it says no schema"))?;
    let text = String::from_utf8_lossy(found.value()).into_owned();
    text.parse().ok().filter(|version| *version > 0).ok_or_else(|| stranger(&format!("its schema is {text:?}")))
}

fn record_fault(key: &str, reason: &str) -> Fault {
    Fault::Damage(format!("the record of topology {key}: {reason}"))
}

/// The boot id of the last run that recorded one.
pub(super) fn boot_id(database: &Database) -> Result<Option<String>, Fault> {
    let meta = database.begin_read()?.open_table(META)?;
    let found = meta.get(BOOT_ID)?.map(|found| String::from_utf8(found.value().to_vec()));
    found.transpose().map_err(|_| Fault::Damage("the boot id in it is not text".to_owned()))
}

/// All that a store has.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) records: Vec<(TopologyKey, Record)>,
    pub(super) announcements: Vec<Announcement>,
}

/// Reads all of it.
pub(super) fn contents(database: &Database) -> Result<Contents, Fault> {
    let transaction = database.begin_read()?;
    let mut contents = Contents::default();
    for entry in transaction.open_table(TOPOLOGIES)?.iter()? {
        let (key, bytes) = entry?;
        let record = codec::decode(key.value(), bytes.value());
        contents.records.push(record.map_err(|reason| record_fault(key.value(), &reason))?);
    }
    let announcements = match transaction.open_table(ANNOUNCEMENTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(contents),
        other => other?,
    };
    for entry in announcements.iter()? {
        let (id, bytes) = entry?;
        let announcement = codec::decode_announcement(id.value(), bytes.value());
        let wrong = |reason| Fault::Damage(format!("the announcement of sandbox {}: {reason}", id.value()));
        contents.announcements.push(announcement.map_err(wrong)?);
    }
    Ok(contents)
}

/// What is in a slot.
pub(super) fn read(database: &Database, slot: &Slot) -> Result<Option<Vec<u8>>, Fault> {
    let (table, key) = slot.place();
    let table = match database.begin_read()?.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        other => other?,
    };
    Ok(table.get(key)?.map(|found| found.value().to_vec()))
}

/// What slots hold.
pub(super) type Slots = BTreeMap<Slot, Option<Vec<u8>>>;

/// Writes changes in order, in one commit. Before it is tried, `former` is told what the slots held.
pub(super) fn write(database: &Database, changes: &[Change], former: &mut Slots) -> Result<(), Fault> {
    let transaction = begin_write(database)?;
    let mut held = Slots::new();
    for Change { slot, value } in changes {
        let (table, key) = slot.place();
        let mut table = transaction.open_table(table)?;
        let before = match value {
            Some(bytes) => table.insert(key, bytes.as_slice())?,
            None => table.remove(key)?,
        };
        held.entry(slot.clone()).or_insert_with(|| before.map(|bytes| bytes.value().to_vec()));
    }
    *former = held;
    Ok(transaction.commit()?)
}
