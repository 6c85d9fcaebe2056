//! Watching topologies.

use std::time::Duration;

use podwire_proto::v1::{State, Topology, TopologyEvent, WatchTopologiesRequest, WatchTopologiesResponse};
use podwire_tests::{
    condition::PATIENCE,
    elements::{bridge, lan, nic, nic_at, plug, state, topology},
    lab::agent::{Agent, refused},
    verdict::reason,
};
use tonic::{Code, Streaming};

use crate::private;

fn of_lessons(resume_token: &str) -> WatchTopologiesRequest {
    WatchTopologiesRequest { namespace: "lessons".into(), resume_token: resume_token.into(), ..Default::default() }
}

pub(crate) async fn watch(agent: &Agent, resume_token: &str) -> Streaming<WatchTopologiesResponse> {
    agent.topologies().watch_topologies(of_lessons(resume_token)).await.unwrap().into_inner()
}

async fn next(events: &mut Streaming<WatchTopologiesResponse>) -> WatchTopologiesResponse {
    let event = tokio::time::timeout(PATIENCE, events.message()).await.expect("an event in time");
    event.unwrap().expect("an event before the end")
}

/// Skips events until one is as wanted.
pub(crate) async fn until(
    events: &mut Streaming<WatchTopologiesResponse>,
    wanted: impl Fn(&WatchTopologiesResponse) -> bool,
) -> WatchTopologiesResponse {
    loop {
        let event = next(events).await;
        if wanted(&event) {
            return event;
        }
    }
}

fn name(event: &WatchTopologiesResponse) -> &str {
    event.topology.as_ref().map_or("", |topology| &topology.name)
}

#[test]
fn a_watch_begins_with_a_snapshot_and_goes_on_with_changes() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        agent.apply(topology("one")).await.unwrap();
        let mut events = watch(&agent, "").await;
        let first = next(&mut events).await;
        assert_eq!((first.event(), name(&first)), (TopologyEvent::Snapshot, "one"));
        let synced = next(&mut events).await;
        assert_eq!((synced.event(), synced.topology.is_none()), (TopologyEvent::Synced, true));

        let mut wanted = topology("two");
        wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
        wanted.attachments = vec![plug("p", nic("router7", "net1"), "lan")];
        agent.apply(wanted).await.unwrap();
        let made = until(&mut events, |event| name(event) == "two").await;
        assert_eq!(made.event(), TopologyEvent::Changed);
        assert!(!made.cause.is_empty() && made.time.is_some() && !made.resume_token.is_empty(), "{made:?}");

        lab.pod("router7");
        let ready = |event: &WatchTopologiesResponse| {
            event.topology.as_ref().is_some_and(|now| now.name == "two" && state(now) == State::Ready)
        };
        let plugged = until(&mut events, ready).await;
        assert!(plugged.cause.contains("router7"), "names the pod: {}", plugged.cause);

        agent.delete("two").await.unwrap();
        let gone = until(&mut events, |event| event.event() == TopologyEvent::Deleted).await;
        assert_eq!(name(&gone), "two");
    });
}

#[test]
fn a_watch_resumes_after_its_token_and_misses_nothing() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let mut events = watch(&agent, "").await;
        let synced = until(&mut events, |event| event.event() == TopologyEvent::Synced).await;
        drop(events);
        agent.apply(topology("one")).await.unwrap();
        agent.apply(topology("two")).await.unwrap();
        agent.delete("one").await.unwrap();
        let mut events = watch(&agent, &synced.resume_token).await;
        let first = next(&mut events).await;
        assert_eq!((first.event(), name(&first)), (TopologyEvent::Changed, "one"));
        until(&mut events, |event| name(event) == "two").await;
        until(&mut events, |event| (event.event(), name(event)) == (TopologyEvent::Deleted, "one")).await;
    });
}

#[test]
fn a_watch_of_one_topology_sees_no_other() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let request = WatchTopologiesRequest { name: "two".into(), ..of_lessons("") };
        let mut events = agent.topologies().watch_topologies(request).await.unwrap().into_inner();
        agent.apply(topology("one")).await.unwrap();
        agent.apply(topology("two")).await.unwrap();
        agent.delete("two").await.unwrap();
        let mut seen = Vec::new();
        loop {
            let event = next(&mut events).await;
            seen.push(name(&event).to_owned());
            if event.event() == TopologyEvent::Deleted {
                break;
            }
        }
        assert!(seen.iter().all(|name| name.is_empty() || name == "two"), "{seen:?}");
    });
}

#[test]
fn a_token_of_another_run_is_out_of_range_and_nonsense_is_invalid() {
    private(async |lab| {
        let mut agent = lab.agent().start().await;
        agent.apply(topology("one")).await.unwrap();
        let mut events = watch(&agent, "").await;
        let token = until(&mut events, |event| event.event() == TopologyEvent::Synced).await.resume_token;
        drop(events);
        agent.kill();
        let agent = lab.agent().start().await;
        for (token, code) in [(token.as_str(), Code::OutOfRange), ("nonsense", Code::InvalidArgument)] {
            let status = refused(async {
                // The refusal may come with the headers or as the end of the stream.
                let mut events = agent.topologies().watch_topologies(of_lessons(token)).await?.into_inner();
                events.message().await
            });
            assert_eq!(status.await.code(), code, "{token}");
        }
        let unnamed = WatchTopologiesRequest { name: "one".into(), ..Default::default() };
        let status = refused(async {
            let mut events = agent.topologies().watch_topologies(unnamed).await?.into_inner();
            events.message().await
        });
        assert_eq!(status.await.code(), Code::InvalidArgument);
    });
}

#[test]
fn a_watch_ends_when_the_agent_leaves() {
    private(async |lab| {
        let mut agent = lab.agent().start().await;
        let mut events = watch(&agent, "").await;
        until(&mut events, |event| event.event() == TopologyEvent::Synced).await;
        assert!(agent.terminate().await.success());
        let end = tokio::time::timeout(Duration::from_secs(5), events.message()).await.expect("it ends");
        assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    });
}

#[test]
fn a_watcher_that_reads_too_slowly_is_sent_away_and_resumes_without_a_loss() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let mut events = watch(&agent, "").await;
        until(&mut events, |event| event.event() == TopologyEvent::Synced).await;
        // Nobody reads: what fits into the buffers on the way is sent, the rest waits in the agent. No pod is there, so
        // that a change costs nothing but its event.
        let change = |generation: u64| Topology {
            generation,
            bridges: vec![bridge("lan")],
            attachments: (1..=60)
                .map(|n| {
                    let address = format!("10.0.{}.{n}/16", generation % 250);
                    plug(&format!("p{n}"), nic_at(&format!("absent-{n}"), "net1", &[&address]), "lan")
                })
                .collect(),
            ..topology("one")
        };
        let mut generations = Vec::new();
        let mut applied = 0;
        let mut apply = async |count: u64| {
            for _ in 0..count {
                applied += 1;
                agent.apply(change(applied)).await.unwrap();
            }
            applied
        };
        // More than are kept, so that what the buffers did not take is in the older half.
        apply(560).await;
        let mut token = String::new();
        let status = loop {
            match tokio::time::timeout(PATIENCE, events.message()).await.expect("an answer in time") {
                Ok(event) => {
                    let event = event.expect("an error before the end");
                    token.clone_from(&event.resume_token);
                    generations.extend(event.topology.map(|topology| topology.generation));
                    assert_ne!(generations.last(), Some(&560), "it was not sent away");
                }
                Err(status) => break status,
            }
        };
        assert_eq!((status.code(), reason(&status)), (Code::Aborted, "SLOW_WATCHER".to_owned()), "{status}");
        assert!(status.message().contains(&token), "names the token: {status}");
        let last = apply(1).await;
        let mut events = watch(&agent, &token).await;
        while generations.last() != Some(&last) {
            generations.extend(next(&mut events).await.topology.map(|topology| topology.generation));
        }
        assert_eq!(generations, (1..=last).collect::<Vec<_>>());
    });
}
