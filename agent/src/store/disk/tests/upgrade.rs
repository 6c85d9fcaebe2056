//! Older and newer schemas.

use redb::ReadableTable;
use serde_json::{Value, json};

use super::*;
use crate::store::disk::schema::Upgrade;

/// What a made-up version 2 adds, and a made-up version 3 takes back: so that records are those of today.
const UP: &[Upgrade] = &[add, take_back];

#[allow(clippy::unnecessary_wraps, reason = "the signature of an upgrade")]
fn add(key: &str, mut record: Value) -> Result<Value, String> {
    record["deleted"]["from"] = json!(key);
    Ok(record)
}

fn take_back(key: &str, mut record: Value) -> Result<Value, String> {
    let deleted = record["deleted"].as_object_mut().ok_or("it is not deleted")?;
    if deleted.remove("from") != Some(json!(key)) {
        return Err("it has not been through version 2".to_owned());
    }
    let generation = deleted["generation"].as_u64().ok_or("no generation")?;
    deleted.insert("generation".to_owned(), json!(generation + 100));
    Ok(record)
}

fn refuses_one(key: &str, record: Value) -> Result<Value, String> {
    if key == "lessons/t7" { Err("it is too old".to_owned()) } else { add(key, record) }
}

fn panics_at_one(key: &str, record: Value) -> Result<Value, String> {
    assert!(key != "lessons/t7", "an upgrade with a defect");
    add(key, record)
}

/// A store of schema 1 with ten records.
fn version_1() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path()).unwrap();
    store.record_boot("a boot").unwrap();
    for n in 0..10 {
        store.put(&key(&format!("t{n}")), &deleted(n)).unwrap();
    }
    dir
}

fn schema(dir: &Path) -> (String, Vec<u64>) {
    use redb::ReadableDatabase;
    let table = |name| redb::TableDefinition::<&str, &[u8]>::new(name);
    let database = redb::Database::open(dir.join(FILE)).unwrap();
    let read = database.begin_read().unwrap();
    let meta = read.open_table(table("meta")).unwrap();
    let version = String::from_utf8(meta.get("schema").unwrap().unwrap().value().to_vec()).unwrap();
    let records = read.open_table(table("topologies")).unwrap();
    let generation = |bytes: &[u8]| {
        let record: Value = serde_json::from_slice(bytes).unwrap();
        record["deleted"]["generation"].as_u64().unwrap()
    };
    (version, records.iter().unwrap().map(|entry| generation(entry.unwrap().1.value())).collect())
}

fn open(dir: &Path, upgrades: &'static [Upgrade]) -> Result<Option<String>, OpenError> {
    file::open(&dir.join(FILE), upgrades).map(|(_, boot_id)| boot_id)
}

#[test]
fn an_older_store_is_upgraded_through_all_versions_once() {
    let dir = version_1();
    assert_eq!(schema(dir.path()), ("1".to_owned(), (0..10).collect()));
    for _ in 0..3 {
        assert_eq!(open(dir.path(), UP).unwrap().as_deref(), Some("a boot"));
        assert_eq!(schema(dir.path()), ("3".to_owned(), (100..110).collect()));
    }
}

#[test]
fn a_newer_store_is_unreadable_and_says_so() {
    let dir = version_1();
    open(dir.path(), UP).unwrap();
    let before = contents(dir.path());
    let error = store_in(dir.path()).unwrap_err().to_string();
    let reason = "it was made by a newer podwire-agent: its schema is 3, this one knows up to 1";
    assert!(error.contains(reason), "{error}");
    assert!(contents(dir.path()) == before);
}

#[test]
fn an_upgrade_that_fails_changes_nothing() {
    // To version 2 alone, records are none of today: then, too, nothing is written.
    const ALONE: &[Upgrade] = &[add];
    const REFUSES: &[Upgrade] = &[refuses_one, take_back];
    const PANICS: &[Upgrade] = &[panics_at_one, take_back];
    const FAILS_LATER: &[Upgrade] = &[|_, record| Ok(record), take_back];
    for (upgrades, said) in [
        (ALONE, "the record of topology lessons/t0: unknown field `from`"),
        (REFUSES, "the record of topology lessons/t7: it is too old"),
        (PANICS, "an upgrade with a defect"),
        (FAILS_LATER, "the record of topology lessons/t0: it has not been through version 2"),
    ] {
        let dir = version_1();
        let before = contents(dir.path());
        match open(dir.path(), upgrades) {
            Err(OpenError::Unreadable { reason, .. }) => assert!(reason.contains(said), "{reason}"),
            other => panic!("{said}: {other:?}"),
        }
        assert!(contents(dir.path()) == before, "{said}");
        assert_eq!(loaded(&store_in(dir.path()).unwrap()).len(), 10);
    }
}
