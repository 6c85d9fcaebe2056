//! How long the generation of a deleted topology fences: a day, over restarts.

use std::time::{Duration, SystemTime};

use podwire_agent::{
    domain::{intent::Generation, name::TopologyKey},
    store::{DiskStore, Record, Store},
};
use podwire_tests::{
    condition::{eventually, holds, within},
    lab::{Lab, agent::refused},
    verdict::reason,
};
use tonic::Code;

use super::{delete, wanted};
use crate::private;

/// As `panel/ledger.rs` has it.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the tombstone of the test has yet when the agent starts: long enough for a call, on a machine under load too.
const LEFT: Duration = Duration::from_secs(6);

fn key() -> TopologyKey {
    TopologyKey { namespace: "lessons".parse().unwrap(), name: "12".parse().unwrap() }
}

fn store(lab: &Lab) -> DiskStore {
    DiskStore::open(&lab.directory().join("state")).unwrap()
}

/// Lets it be as if the topology had been deleted at another time: the agent must not run.
fn deleted_at(lab: &Lab, at: SystemTime) {
    let store = store(lab);
    let (_, record) = store.load().unwrap().into_iter().find(|(of, _)| *of == key()).expect("its tombstone");
    let Record::Deleted { generation, at: really } = record else { panic!("it was not deleted: {record:?}") };
    assert!(really.elapsed().is_ok_and(|age| age < DAY), "{really:?}");
    assert_eq!(generation, Generation(9));
    store.put(&key(), &Record::Deleted { generation, at }).unwrap();
}

fn is_stored(lab: &Lab) -> bool {
    store(lab).load().unwrap().iter().any(|(of, _)| *of == key())
}

#[test]
fn the_generation_of_a_deleted_topology_fences_for_a_day_and_then_no_more() {
    private(async |lab| {
        let mut agent = lab.agent().start().await;
        agent.apply(wanted(7, 1500)).await.unwrap();
        delete(&agent, 9, false).await.unwrap();
        for in_peace in [true, false] {
            if in_peace {
                agent.terminate().await;
            } else {
                agent.kill();
            }
            agent = lab.agent().start().await;
            assert_eq!(refused(agent.apply(wanted(8, 1500))).await.code(), Code::Aborted, "over a restart");
        }
        agent.kill();
        deleted_at(lab, SystemTime::now() - DAY + LEFT);
        agent = lab.agent().start().await;
        let status = refused(agent.apply(wanted(8, 1500))).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "FENCED"), "{status}");
        // It ends while the agent runs, whoever asks or does not.
        within(2 * LEFT + Duration::from_secs(10), "its day is over", async || {
            agent.apply(wanted(1, 1500)).await.map(drop).map_err(|status| {
                assert_eq!(status.code(), Code::Aborted, "{status}");
                status.to_string()
            })
        })
        .await;
        agent.kill();
        agent = lab.agent().start().await;
        assert_eq!(agent.get("12").await.unwrap().generation, 1, "what was made after it stays");
    });
}

#[test]
fn a_generation_whose_day_is_over_leaves_the_store_and_one_from_a_clock_that_was_ahead_does_not() {
    private(async |lab| {
        let mut agent = lab.agent().start().await;
        agent.apply(wanted(7, 1500)).await.unwrap();
        delete(&agent, 9, false).await.unwrap();
        agent.kill();
        // The clock was wrong then, or is now: it fences, for forgetting it would let an old scheduler in.
        deleted_at(lab, SystemTime::now() + 2 * DAY);
        agent = lab.agent().start().await;
        assert_eq!(refused(agent.apply(wanted(8, 1500))).await.code(), Code::Aborted);
        agent.kill();
        let store = store(lab);
        store.put(&key(), &Record::Deleted { generation: Generation(9), at: SystemTime::now() - DAY }).unwrap();
        drop(store);
        agent = lab.agent().start().await;
        // The sweep, every 30 s, takes it from the disk. Nobody else may open the store while the agent has it.
        let file = lab.directory().join("state/intents.redb");
        let written = || std::fs::metadata(&file).unwrap().modified().unwrap();
        let before = written();
        within(Duration::from_secs(60), "the store is written", async || holds(written() != before, "not yet")).await;
        eventually("it is forgotten", async || {
            agent.terminate().await;
            let stored = is_stored(lab);
            agent = lab.agent().start().await;
            holds(!stored, "it is stored")
        })
        .await;
        agent.apply(wanted(1, 1500)).await.unwrap();
    });
}
