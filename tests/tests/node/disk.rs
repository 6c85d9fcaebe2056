//! A disk that is full: the change is refused, what was stored before stands, and it goes on when there is room.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use nix::mount::{MsFlags, mount};
use podwire_agent::{
    domain::{
        intent::{Generation, Intent, Ownership},
        name::TopologyKey,
        spec::{BridgeSpec, TopologySpec},
    },
    store::{DiskStore, Record, Store, StoreError},
};

use crate::private;

type Records = BTreeMap<TopologyKey, Record>;

const DIR: &str = "/run/lab/full";

fn key(n: usize) -> TopologyKey {
    TopologyKey { namespace: "lessons".parse().unwrap(), name: format!("t{n}").parse().unwrap() }
}

/// A topology of so many bridges, about 110 bytes each.
fn live(key: &TopologyKey, generation: u64, bridges: usize) -> Record {
    let bridge = |n: usize| BridgeSpec::named(format!("lan{n}").parse().unwrap());
    let bridges = (0..bridges).map(bridge).collect();
    let generation = Generation(generation);
    let intent = Intent {
        spec: TopologySpec { bridges, ..TopologySpec::empty(key.clone()) },
        ownership: Ownership::Apply,
        generation,
        applied_at: generation,
        applied: None,
        assigned: BTreeMap::new(),
    };
    Record::Live { intent: Arc::new(intent), former: None }
}

fn loaded(store: &DiskStore) -> Records {
    store.load().unwrap().into_iter().collect()
}

/// A file system of so many KiB.
fn small(kib: usize) -> PathBuf {
    let dir = PathBuf::from(DIR);
    fs::create_dir_all(&dir).unwrap();
    mount(Some("small"), &dir, Some("tmpfs"), MsFlags::empty(), Some(format!("size={kib}k").as_str())).unwrap();
    let state = dir.join("state");
    fs::create_dir(&state).unwrap();
    state
}

/// Takes all the room that is left, and gives it back when told.
fn fill(dir: &Path) -> PathBuf {
    let ballast = dir.join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while std::io::Write::write(&mut file, &[1; 4096]).is_ok() {}
    ballast
}

#[track_caller]
fn assert_full(result: Result<(), StoreError>) {
    match result {
        Err(StoreError::Full { path, file_system, source }) => {
            assert_eq!(file_system, Path::new(DIR));
            assert!(path.ends_with("intents.redb"), "{path}");
            assert_eq!(source.raw_os_error(), Some(nix::errno::Errno::ENOSPC as i32));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_full_disk_refuses_changes_and_keeps_what_was_stored() {
    private(async |_lab| {
        let state = small(4096);
        let mut store = DiskStore::open(&state).unwrap();
        store.record_boot("a boot").unwrap();
        let mut shall = Records::new();
        for n in 0..8 {
            store.put(&key(n), &live(&key(n), 1, 20)).unwrap();
            shall.insert(key(n), live(&key(n), 1, 20));
        }
        for round in 2..6_u64 {
            let ballast = fill(Path::new(DIR));
            // Until what the file has in reserve is used up.
            let mut refused = 0;
            for n in 0..400 {
                let (key, record) = (key(n % 8), live(&key(n % 8), round * 1000 + n as u64, 200 + n));
                match store.put(&key, &record) {
                    Ok(()) => drop(shall.insert(key, record)),
                    Err(error) => {
                        assert_full(Err(error));
                        refused += 1;
                    }
                }
                if refused == 5 {
                    break;
                }
            }
            assert_eq!(refused, 5, "the disk was full");
            assert!(loaded(&store) == shall, "round {round}: what was refused is not there, what was stored is");
            // A new run of the agent finds the same, full or not.
            drop(store);
            store = DiskStore::open(&state).unwrap();
            assert!(loaded(&store) == shall, "round {round}: after reopening");
            assert_eq!(store.boot_id(), Some("a boot"));
            assert_full(store.put(&key(99), &live(&key(99), 1, 4000)));
            assert!(loaded(&store) == shall, "round {round}: after reopening, refused again");
            fs::remove_file(ballast).unwrap();
            for n in 0..8 {
                let record = live(&key(n), round, 20);
                store.put(&key(n), &record).unwrap();
                shall.insert(key(n), record);
            }
            store.forget(&key(7)).unwrap();
            shall.remove(&key(7));
            assert!(loaded(&store) == shall, "round {round}: with room again");
        }
    });
}

#[test]
fn no_room_for_a_new_store_is_said_and_leaves_nothing() {
    private(async |_lab| {
        let state = small(64);
        let ballast = fill(Path::new(DIR));
        let error = DiskStore::open(&state).unwrap_err();
        assert!(error.to_string().contains("intents.redb.new"), "{error}");
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
        fs::remove_file(ballast).unwrap();
        let deleted = Record::Deleted { generation: Generation(1), at: SystemTime::UNIX_EPOCH };
        let larger = MsFlags::MS_REMOUNT;
        mount(Some("small"), DIR, Some("tmpfs"), larger, Some("size=4096k")).unwrap();
        let store = DiskStore::open(&state).unwrap();
        store.put(&key(1), &deleted).unwrap();
        assert_eq!(loaded(&store), Records::from([(key(1), deleted)]));
    });
}
