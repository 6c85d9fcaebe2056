//! What many callers write at once.

use std::{sync::Mutex, thread};

use super::*;

#[test]
fn what_was_put_is_loaded_by_everybody_and_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path()).unwrap();
    let mut shall = Records::new();
    for n in 0..20 {
        let key = key(&format!("t{}", n % 7));
        if n % 5 == 4 {
            store.forget(&key).unwrap();
            shall.remove(&key);
        } else {
            let record = live(&key, n, 3);
            store.put(&key, &record).unwrap();
            shall.insert(key, record);
        }
        assert_eq!(loaded(&store), shall);
    }
    store.forget(&key("never-there")).unwrap();
    drop(store);
    assert_eq!(loaded(&store_in(dir.path()).unwrap()), shall);
}

#[test]
fn sixteen_callers_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path()).unwrap();
    thread::scope(|scope| {
        for caller in 0..16 {
            let store = &store;
            scope.spawn(move || {
                for n in 0..40 {
                    let key = key(&format!("c{caller}-{n}"));
                    store.put(&key, &deleted(n)).unwrap();
                    if n % 8 == 0 {
                        assert_eq!(loaded(store).get(&key), Some(&deleted(n)), "one's own is there at once");
                    }
                    if n % 4 == 3 {
                        store.forget(&key).unwrap();
                    }
                }
            });
        }
    });
    let shall: Records = (0..16)
        .flat_map(|caller| (0..40).filter(|n| n % 4 != 3).map(move |n| (key(&format!("c{caller}-{n}")), deleted(n))))
        .collect();
    assert_eq!(loaded(&store), shall);
    drop(store);
    assert_eq!(loaded(&store_in(dir.path()).unwrap()), shall);
}

/// Who comes after another one has returned wins, whatever shared a commit.
#[test]
fn of_one_key_stands_what_came_last() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path()).unwrap();
    let (turn, mine) = (Mutex::new(0), key("12"));
    thread::scope(|scope| {
        for caller in 0..8 {
            let (store, turn, mine) = (&store, &turn, &mine);
            scope.spawn(move || {
                for n in 0..30 {
                    // Others' keys fill the same commits.
                    store.put(&key(&format!("c{caller}")), &deleted(n)).unwrap();
                    let mut turn = turn.lock().unwrap();
                    *turn += 1;
                    if *turn % 3 == 0 {
                        store.forget(mine).unwrap();
                        assert_eq!(loaded(store).get(mine), None);
                    } else {
                        store.put(mine, &deleted(*turn)).unwrap();
                        assert_eq!(loaded(store).get(mine), Some(&deleted(*turn)));
                    }
                }
            });
        }
    });
    let turns = *turn.lock().unwrap();
    assert_eq!(turns, 240);
    drop(store);
    assert_eq!(loaded(&store_in(dir.path()).unwrap()).get(&mine), None, "240 is a multiple of 3");
}

/// Changes that one batch has are made in their order.
#[test]
fn order_holds_within_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    drop(store_in(dir.path()).unwrap());
    let path = dir.path().join(FILE);
    let (database, _) = file::open(&path, schema::UPGRADES).unwrap();
    let (requests, queue) = channel();
    let mut answers = Vec::new();
    for n in 0..600_u64 {
        let (reply, answer) = sync_channel(1);
        let value = (n % 3 != 2).then(|| codec::encode(&deleted(n)).unwrap());
        requests.send(Request::Write(Change { slot: Slot::topology(&key("12")), value }, reply)).unwrap();
        let (seen, load) = sync_channel(1);
        if n % 100 < 50 {
            requests.send(Request::Load(seen)).unwrap();
        }
        answers.push((answer, load));
    }
    drop(requests);
    // All of them wait when it begins, and it ends with the last one.
    Writer::new(path, database, Metrics::default()).run(&queue);
    for (n, (answer, load)) in (0..600).zip(answers) {
        answer.recv().unwrap().unwrap();
        if n % 100 < 50 {
            let shall = (n % 3 != 2).then(|| (key("12"), deleted(n)));
            assert_eq!(load.recv().unwrap().unwrap().records, Vec::from_iter(shall), "after {n}");
        }
    }
    assert!(loaded(&store_in(dir.path()).unwrap()).is_empty(), "599 forgets");
}

#[test]
fn a_record_of_a_thousand_interfaces_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = store_in(dir.path()).unwrap();
    let shall: Records = (0..4).map(|n| key(&format!("t{n}"))).map(|key| (key.clone(), live(&key, 1, 1000))).collect();
    thread::scope(|scope| {
        for (key, record) in &shall {
            let store = &store;
            scope.spawn(move || {
                store.put(key, &live(key, 1, 1)).unwrap();
                store.put(key, record).unwrap();
            });
        }
    });
    assert_eq!(loaded(&store), shall);
    drop(store);
    assert_eq!(loaded(&store_in(dir.path()).unwrap()), shall);
}
