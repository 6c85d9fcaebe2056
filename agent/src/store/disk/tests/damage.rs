//! What is not a sound store is said to be none, and is left as it is.

use std::{
    os::unix::{fs::symlink, net::UnixListener},
    process::Command,
};

use redb::Database;

use super::*;

const PAGE: usize = 4096;

/// The files of one store: closed, and as a kill leaves it. With what is in both.
fn images() -> ([Vec<u8>; 2], Records) {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path()).unwrap();
    store.record_boot("5f7c9a3e-1111-2222-3333-444455556666").unwrap();
    for n in 0..12 {
        let key = key(&format!("t{n}"));
        store.put(&key, &live(&key, 1, n)).unwrap();
        match n % 4 {
            1 => store.put(&key, &deleted(2)).unwrap(),
            2 => store.forget(&key).unwrap(),
            _ => store.put(&key, &live(&key, 2, n + 1)).unwrap(),
        }
    }
    let records = loaded(&store);
    let killed = fs::read(store.path()).unwrap();
    drop(store);
    ([fs::read(dir.path().join(FILE)).unwrap(), killed], records)
}

/// Whether such a file is opened. If it is, everything is in it; if not, it stays as it is.
#[track_caller]
fn opens(dir: &Path, bytes: &[u8], records: &Records, what: &str) -> bool {
    fs::write(dir.join(FILE), bytes).unwrap();
    let opened = match store_in(dir) {
        Ok(store) => {
            assert!(loaded(&store) == *records, "{what}: opened, and something else is in it");
            assert_eq!(store.boot_id(), Some("5f7c9a3e-1111-2222-3333-444455556666"), "{what}");
            true
        }
        Err(OpenError::Unreadable { path, reason }) => {
            assert_eq!(path, dir.join(FILE));
            assert!(!reason.is_empty(), "{what}");
            assert!(fs::read(&path).unwrap() == bytes, "{what}: it was changed: {reason}");
            false
        }
        Err(other) => panic!("{what}: {other}"),
    };
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1, "{what}: {:?}", contents(dir).keys());
    assert_eq!(descriptors(dir), 0, "{what}");
    opened
}

/// The reason why a directory's store is not opened, after which everything is as it was.
#[track_caller]
fn refused(dir: &Path) -> String {
    let before = contents(dir);
    let error = store_in(dir).map(drop).unwrap_err();
    assert!(contents(dir) == before, "{error}");
    assert_eq!(descriptors(dir), 0);
    let text = error.to_string();
    assert!(text.contains("it was left as it is, see `podwire-agent recover`"), "{text}");
    match error {
        OpenError::Unreadable { path, reason } if path == dir.join(FILE) => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn whole_images_open() {
    let dir = tempfile::tempdir().unwrap();
    let (images, records) = images();
    assert!(images[0] != images[1]);
    assert_eq!(records.len(), 9);
    for bytes in images {
        assert!(opens(dir.path(), &bytes, &records, "as it was"));
    }
}

#[test]
fn a_truncated_file_is_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let (images, records) = images();
    for bytes in images {
        let header = (1..400).step_by(13).chain([9, 10, 63, 64, 192, 319, 320, 321]);
        let pages = (PAGE..bytes.len()).step_by(PAGE).take(64).flat_map(|at| [at - 1, at, at + 1]);
        let half = [bytes.len() / 2, bytes.len() - PAGE, bytes.len() - 1];
        for length in header.chain(pages).chain(half).filter(|length| *length < bytes.len()) {
            let what = format!("cut to {length} of {}", bytes.len());
            assert!(!opens(dir.path(), &bytes[..length], &records, &what), "{what}: it was opened");
        }
    }
}

#[test]
fn more_bytes_behind_the_end_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (images, records) = images();
    for bytes in images {
        for more in [1, PAGE, 3 * PAGE + 7] {
            opens(dir.path(), &[bytes.as_slice(), &vec![0xa5; more]].concat(), &records, &format!("{more} more"));
        }
    }
}

#[test]
fn garbage_anywhere_is_unreadable_or_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(1);
    let (images, records) = images();
    for bytes in images {
        // Where there is something, for most of the file is not used.
        let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        let (mut intact, mut unreadable) = (0, 0);
        for round in 0..150 {
            let mut damaged = bytes.clone();
            let at = if round % 4 == 0 { random.below(bytes.len()) } else { used[random.below(used.len())] };
            let length = [1, 1, 2, 16, 300, PAGE][random.below(6)].min(bytes.len() - at);
            for byte in &mut damaged[at..at + length] {
                *byte = u8::try_from(random.below(256)).unwrap();
            }
            let (flags, bit) = LAST_COMMIT;
            damaged[flags] = damaged[flags] & !bit | bytes[flags] & bit;
            let opened = opens(dir.path(), &damaged, &records, &format!("round {round}: {length} bytes at {at}"));
            *(if opened { &mut intact } else { &mut unreadable }) += 1;
        }
        eprintln!("{intact} intact, {unreadable} unreadable");
        assert!(intact > 10 && unreadable > 10, "{intact} intact, {unreadable} unreadable");
    }
}

/// The bit that says which of redb's two commits is the last one. After a kill, the other value is what a kill just
/// before the end of the last commit leaves: nobody can tell them apart.
const LAST_COMMIT: (usize, u8) = (9, 1);

#[test]
fn no_flipped_bit_of_the_header_brings_back_an_older_state() {
    let dir = tempfile::tempdir().unwrap();
    let (images, records) = images();
    for (image, bytes) in images.iter().enumerate() {
        // The flags, page and region sizes; the two commits in samples.
        let bytes_tried = (9..32).chain((64..320).step_by(17));
        let bits = bytes_tried.flat_map(|at| [0, 3, 7].map(|bit| (at, 1 << bit)));
        let flags = (1..=255).step_by(14).map(|flags| (LAST_COMMIT.0, flags));
        for (at, flipped) in bits.chain(flags) {
            if image == 1 && at == LAST_COMMIT.0 && flipped & LAST_COMMIT.1 != 0 {
                continue;
            }
            let mut damaged = bytes.clone();
            damaged[at] ^= flipped;
            opens(dir.path(), &damaged, &records, &format!("image {image}, bits {flipped:#x} of byte {at}"));
        }
    }
}

/// A disk that writes a page to the wrong place makes trees that have no end.
#[test]
fn a_page_in_the_place_of_another_is_unreadable_or_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let (images, records) = images();
    for (image, bytes) in images.iter().enumerate() {
        let used: Vec<usize> =
            (0..bytes.len() / PAGE).filter(|page| bytes[page * PAGE..][..PAGE].iter().any(|byte| *byte != 0)).collect();
        let mut random = Random::new(2);
        for _ in 0..100 {
            let (from, to) = (used[random.below(used.len())], used[random.below(used.len())]);
            let mut damaged = bytes.clone();
            damaged.copy_within(from * PAGE..(from + 1) * PAGE, to * PAGE);
            opens(dir.path(), &damaged, &records, &format!("image {image}: page {from} in the place of {to}"));
        }
    }
}

#[test]
fn other_files_are_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(3);
    let any: Vec<u8> = (0..100_000).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
    let zeroes = vec![0; 1 << 20];
    let magic = [b"redb\x1a\x0a\xa9\x0d\x0a".as_slice(), &any].concat();
    for bytes in [b"x".as_slice(), b"# a text\n", &any, &zeroes, &magic] {
        fs::write(dir.path().join(FILE), bytes).unwrap();
        refused(dir.path());
    }
    fs::write(dir.path().join(FILE), b"").unwrap();
    assert_eq!(refused(dir.path()), "it is empty");
}

#[test]
fn what_is_not_a_plain_file_is_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    drop(store_in(elsewhere.path()).unwrap());
    let path = dir.path().join(FILE);
    fs::create_dir(&path).unwrap();
    assert_eq!(refused(dir.path()), "it is a directory, not a plain file");
    fs::remove_dir(&path).unwrap();
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(refused(dir.path()), "it is a FIFO, not a plain file");
    fs::remove_file(&path).unwrap();
    let socket = UnixListener::bind(&path).unwrap();
    assert_eq!(refused(dir.path()), "it is a socket, not a plain file");
    drop(socket);
    fs::remove_file(&path).unwrap();
    for target in [elsewhere.path().join(FILE), elsewhere.path().join("gone"), path.clone()] {
        symlink(&target, &path).unwrap();
        let before = contents(elsewhere.path());
        assert_eq!(refused(dir.path()), "it is a symbolic link, not a plain file");
        assert!(contents(elsewhere.path()) == before, "nor what it names");
        fs::remove_file(&path).unwrap();
    }
}

/// Writes into a table of the store behind its back.
pub(super) fn insert(dir: &Path, table: &'static str, key: &str, value: &[u8]) {
    let database = Database::open(dir.join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = redb::TableDefinition::<&str, &[u8]>::new(table);
    transaction.open_table(table).unwrap().insert(key, value).unwrap();
    transaction.commit().unwrap();
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    for (key, value, reason) in [
        ("lessons/12", b"{".as_slice(), "the record of topology lessons/12: EOF while parsing"),
        ("lessons/12", b"\xff\xfe", "the record of topology lessons/12: expected value"),
        ("lessons/12", br#"{"deleted":{"generation":1}}"#, "the record of topology lessons/12: missing field `at`"),
        ("lessons", b"{}", "the record of topology lessons: its key is not `namespace/name`"),
        ("lessons/A", b"{}", "the record of topology lessons/A: its name `A`: character 'A' at byte 0"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let store = store_in(dir.path()).unwrap();
        store.put(&super::key("sound"), &deleted(1)).unwrap();
        drop(store);
        insert(dir.path(), "topologies", key, value);
        let found = refused(dir.path());
        assert!(found.starts_with(reason), "{found}");
    }
}

#[test]
fn a_database_of_somebody_else_is_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    drop(Database::create(dir.path().join(FILE)).unwrap());
    assert_eq!(refused(dir.path()), "it was not made by podwire-agent: it has no table `meta`");
    insert(dir.path(), "meta", "schema", b"1");
    assert_eq!(refused(dir.path()), "it was not made by podwire-agent: it has no table `topologies`");
    let database = Database::open(dir.path().join(FILE)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u64, u64>::new("topologies")).unwrap();
    transaction.commit().unwrap();
    drop(database);
    assert!(refused(dir.path()).contains("topologies"));
}

#[test]
fn a_schema_that_is_no_number_is_unreadable() {
    for schema in [b"0".as_slice(), b"-1", b"one", b"", b"\xff", b"99999999999999999999999"] {
        let dir = tempfile::tempdir().unwrap();
        drop(store_in(dir.path()).unwrap());
        insert(dir.path(), "meta", "schema", schema);
        let reason = refused(dir.path());
        assert!(reason.starts_with("it was not made by podwire-agent: its schema is \""), "{reason}");
    }
    let dir = tempfile::tempdir().unwrap();
    drop(store_in(dir.path()).unwrap());
    insert(dir.path(), "meta", "boot_id", b"\xff");
    assert_eq!(refused(dir.path()), "the boot id in it is not text");
}

#[test]
fn nothing_leaks_into_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let output = again("damage::opened_many_times", dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "run by `nothing_leaks_into_the_process`"]
fn opened_many_times() {
    let Some(dir) = env::var_os(STORE) else { return };
    let dir = Path::new(&dir);
    let (images, records) = images();
    let count = || ["fd", "task"].map(|what| fs::read_dir(format!("/proc/self/{what}")).unwrap().count());
    let before = count();
    for round in 0..100 {
        let mut bytes = images[round % 2].clone();
        let at = round * 97 % bytes.len();
        bytes[at] ^= 0x55;
        opens(dir, &bytes, &records, &format!("{at}"));
    }
    assert_eq!(count(), before, "descriptors and threads");
}
