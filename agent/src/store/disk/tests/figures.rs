//! Figures, on the file systems of `PODWIRE_FIGURES` (directories, with `:` between them) or the temporary one.

use std::{ffi::OsString, thread, time::Instant};

use super::*;

#[test]
#[ignore = "measures: run it alone, with --release and --nocapture"]
fn figures() {
    let default = || OsString::from(env::temp_dir());
    for place in env::split_paths(&env::var_os("PODWIRE_FIGURES").unwrap_or_else(default)) {
        let dir = tempfile::tempdir_in(&place).unwrap();
        let store = store_in(dir.path()).unwrap();
        for n in 0..1000 {
            let key = key(&format!("t{n}"));
            store.put(&key, &live(&key, 1, 6)).unwrap();
        }
        eprintln!("{}:", place.display());
        for callers in [1, 16] {
            commits(&store, callers);
        }
        let size = fs::metadata(store.path()).unwrap().len();
        drop(store);
        let started = Instant::now();
        let store = store_in(dir.path()).unwrap();
        let opened = started.elapsed();
        let started = Instant::now();
        assert_eq!(store.load().unwrap().len(), 1000);
        eprintln!("  open {opened:.1?} and load {:.1?} of 1,000 topologies", started.elapsed());
        let killed = tempfile::tempdir_in(&place).unwrap();
        store.put(&key("t1"), &deleted(1)).unwrap();
        fs::copy(store.path(), killed.path().join(FILE)).unwrap();
        let started = Instant::now();
        drop(store_in(killed.path()).unwrap());
        eprintln!("  open after a kill {:.1?}; the file has {} KiB", started.elapsed(), size / 1024);
    }
}

/// Puts of so many callers, for two seconds.
fn commits(store: &DiskStore, callers: usize) {
    let started = Instant::now();
    let mut times: Vec<Duration> = thread::scope(|scope| {
        let puts = |caller: usize| {
            let mut times = Vec::new();
            while started.elapsed() < Duration::from_secs(2) {
                let key = key(&format!("t{}", (caller * 61 + times.len()) % 1000));
                let record = live(&key, 2, 6);
                let began = Instant::now();
                store.put(&key, &record).unwrap();
                times.push(began.elapsed());
            }
            times
        };
        let threads: Vec<_> = (0..callers).map(|caller| scope.spawn(move || puts(caller))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let rate = times.len() as u64 * 1000 / u64::try_from(started.elapsed().as_millis()).unwrap();
    times.sort();
    let (median, last) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    eprintln!("  {callers} callers: {rate} puts/s, median {median:.1?}, p99 {last:.1?}");
}
