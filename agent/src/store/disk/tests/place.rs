//! The directory: who has it, what comes into it, and what is set aside.

use std::{
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::Stdio,
};

use super::*;

#[test]
fn a_store_is_made_once_for_its_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(dir.path()).unwrap();
    assert!(store.is_new() && store.boot_id().is_none() && loaded(&store).is_empty());
    assert_eq!(store.path(), dir.path().join("intents.redb"));
    assert_eq!(contents(dir.path()).keys().collect::<Vec<_>>(), ["intents.redb"]);
    assert_eq!(fs::metadata(store.path()).unwrap().permissions().mode() & 0o7777, 0o600);
    drop(store);
    let store = store_in(dir.path()).unwrap();
    assert!(store.is_new(), "no run has recorded its boot");
    store.record_boot("one").unwrap();
    store.record_boot("two").unwrap();
    drop(store);
    let store = store_in(dir.path()).unwrap();
    assert_eq!((store.is_new(), store.boot_id()), (false, Some("two")));
}

#[test]
fn what_a_run_left_that_was_cut_off_is_cleaned_up() {
    let dir = tempfile::tempdir().unwrap();
    for left in [b"".as_slice(), b"half a store"] {
        fs::write(dir.path().join("intents.redb.new"), left).unwrap();
        let store = store_in(dir.path()).unwrap();
        assert_eq!(contents(dir.path()).keys().collect::<Vec<_>>(), ["intents.redb"]);
        store.put(&key("12"), &deleted(1)).unwrap();
    }
    assert_eq!(loaded(&store_in(dir.path()).unwrap()).len(), 1, "what was there stayed");
}

#[test]
fn a_directory_that_is_not_there_or_refuses_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let gone = dir.path().join("gone");
    let error = DiskStore::open(&gone).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot open {}", gone.display()));
    fs::create_dir(dir.path().join("intents.redb.new")).unwrap();
    let error = DiskStore::open(dir.path()).unwrap_err();
    assert!(matches!(&error, OpenError::Io { operation: "remove", path, .. } if path.ends_with("intents.redb.new")));
    assert_eq!(state_files(&gone), StateFiles::default());
}

#[test]
fn a_store_has_one_user_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = DiskStore::open(dir.path()).unwrap();
    let in_use =
        |result: Result<(), OpenError>| matches!(result, Err(OpenError::InUse { path }) if path == store.path());
    assert!(in_use(DiskStore::open(dir.path()).map(drop)));
    assert!(in_use(set_aside(dir.path()).map(drop)));
    assert_eq!(contents(dir.path()).len(), 1);
    drop(store);
    drop(store_in(dir.path()).unwrap());
}

#[test]
fn nor_can_another_process_have_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = again("place::holds", dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("it is open")));
    let error = DiskStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(error.to_string().contains("in use by another process: stop the other podwire-agent"), "{error}");
    assert!(matches!(set_aside(dir.path()), Err(OpenError::InUse { .. })));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(loaded(&store_in(dir.path()).unwrap()).len(), 1);
}

#[test]
#[ignore = "run by `nor_can_another_process_have_it`"]
fn holds() {
    use std::io::{Read, Write};
    let Some(dir) = env::var_os(STORE) else { return };
    let store = DiskStore::open(Path::new(&dir)).unwrap();
    store.put(&key("12"), &deleted(1)).unwrap();
    writeln!(std::io::stdout(), "it is open").unwrap();
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn what_is_set_aside_is_named_and_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let error = set_aside(dir.path()).unwrap_err();
    assert!(matches!(error, OpenError::Io { operation: "set aside", .. }), "{error}");
    let mut moved = Vec::new();
    for n in 0..5 {
        fs::write(dir.path().join(FILE), format!("damaged {n}")).unwrap();
        assert_eq!(state_files(dir.path()).store, Some(dir.path().join(FILE)));
        moved.push(once_free(|| set_aside(dir.path())).unwrap());
    }
    fs::create_dir(dir.path().join(FILE)).unwrap();
    let directory = once_free(|| set_aside(dir.path())).unwrap();
    for (n, path) in moved.iter().enumerate() {
        assert_eq!(fs::read_to_string(path).unwrap(), format!("damaged {n}"));
        let name = path.file_name().unwrap().to_str().unwrap();
        let time = name.strip_prefix("intents.redb.unreadable-").unwrap();
        assert!(time.len() >= 16 && time.as_bytes()[8] == b'T' && time.as_bytes()[15] == b'Z', "{name}");
    }
    moved.push(directory);
    moved.sort();
    assert_eq!(state_files(dir.path()), StateFiles { store: None, aside: moved });
    assert!(store_in(dir.path()).unwrap().is_new());
}
