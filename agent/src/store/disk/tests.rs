#![allow(clippy::unwrap_used, clippy::expect_used)]

mod announcements;
mod commit;
mod damage;
mod figures;
mod killed;
mod place;
mod upgrade;

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::Command,
    sync::Arc,
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

use super::*;
use crate::domain::{
    check::sample,
    intent::{Assigned, Generation, Intent, NicKey, Ownership, PodKey},
    mac::Mac,
    spec::TopologySpec,
};

type Records = BTreeMap<TopologyKey, Record>;

/// Set in a process that a test starts from its own executable: the directory of its store.
const STORE: &str = "PODWIRE_TEST_STORE";

fn key(name: &str) -> TopologyKey {
    TopologyKey { namespace: "lessons".parse().unwrap(), name: name.parse().unwrap() }
}

/// A topology with so many interfaces.
fn live(key: &TopologyKey, generation: u64, interfaces: usize) -> Record {
    let plug = |n| sample::plugged(&format!("plug{n}"), "lan", sample::interface(&format!("bb{n}"), ""));
    let spec = TopologySpec {
        bridges: vec![sample::bridge("lan", Some(sample::ipam(&["10.0.0.0/16"])))],
        attachments: (0..interfaces).map(plug).collect(),
        ..TopologySpec::empty(key.clone())
    };
    let chosen = |(n, (id, interface, _)): (usize, (_, &crate::domain::spec::InterfaceSpec, _))| {
        let nic = NicKey { pod: PodKey::new(interface.owner.to_string()), name: "net1".parse().unwrap() };
        let address = format!("10.0.{}.{}/16", n / 200 + 1, n % 200 + 1);
        (id, Assigned { nic, mac: Mac::derived(&[&n.to_string()]), addresses: vec![address.parse().unwrap()] })
    };
    let assigned = spec.interfaces().enumerate().map(chosen).collect();
    let generation = Generation(generation);
    let intent =
        Intent { spec, ownership: Ownership::Apply, generation, applied_at: generation, applied: None, assigned };
    Record::Live { intent: Arc::new(intent), former: None }
}

fn deleted(generation: u64) -> Record {
    Record::Deleted { generation: Generation(generation), at: UNIX_EPOCH + Duration::from_secs(generation) }
}

/// Opens a store.
fn store_in(dir: &Path) -> Result<DiskStore, OpenError> {
    once_free(|| DiskStore::open(dir))
}

/// Does what needs the lock of a directory. A process that another test starts shares one that was just given back, until
/// it execs.
fn once_free<T>(mut work: impl FnMut() -> Result<T, OpenError>) -> Result<T, OpenError> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        match work() {
            Err(OpenError::InUse { .. }) if Instant::now() < end => thread::yield_now(),
            done => return done,
        }
    }
}

fn loaded(store: &DiskStore) -> Records {
    store.load().unwrap().into_iter().collect()
}

/// What a directory holds: the bytes of plain files, for others what they are.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entry = |entry: fs::DirEntry| {
        let kind = entry.file_type().unwrap();
        let bytes = if kind.is_file() { fs::read(entry.path()).unwrap() } else { format!("{kind:?}").into_bytes() };
        (entry.file_name().into_string().unwrap(), bytes)
    };
    fs::read_dir(dir).unwrap().map(|found| entry(found.unwrap())).collect()
}

/// Descriptors of this process that lead into a directory.
fn descriptors(dir: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    links.filter(|target| target.starts_with(dir)).count()
}

/// This executable with one of its tests, which are ignored where they are not called in this way.
fn again(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    let name = format!("store::disk::tests::{test}");
    command.args([&name, "--exact", "--ignored", "--nocapture", "--test-threads=1"]).env(STORE, dir);
    command
}

/// Random numbers that a seed repeats: SplitMix64 of Steele, Lea and Flood, 2014.
struct Random(u64);

impl Random {
    /// From `PODWIRE_SEED`, or the seed that the test has by itself.
    fn new(seed: u64) -> Self {
        let seed = env::var("PODWIRE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        eprintln!("PODWIRE_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).unwrap()
    }
}
