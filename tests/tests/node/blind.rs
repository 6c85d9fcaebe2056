//! A topology that cannot be looked at: it says so to everybody, and keeps nobody from the others.

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use podwire_proto::v1::{
    ListTopologiesRequest, State, Topology, TopologyEvent, WatchTopologiesRequest, WatchTopologiesResponse,
};
use podwire_tests::{
    condition::{PATIENCE, eventually, holds},
    elements::{lan, nic, plug, state, states, topology},
    lab::agent::Agent,
};
use tonic::Streaming;

use crate::{
    private,
    watch::{until, watch},
};

const PANEL: &str = "/run/netns/podwire.lessons.12";

fn one(name: &str, pod: &str) -> Topology {
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        attachments: vec![plug("p", nic(pod, "net1"), "lan")],
        ..topology(name)
    }
}

/// Puts the node's own namespace over a panel: the agent refuses to look into that. Over it and not in its place, which would
/// be empty for a moment, in which the agent makes another panel there.
fn blind() {
    mount(Some("/proc/self/ns/net"), PANEL, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
}

fn cure() {
    umount2(PANEL, MntFlags::MNT_DETACH).unwrap();
}

async fn list(agent: &Agent) -> Vec<Topology> {
    let listed = agent.topologies().list_topologies(ListTopologiesRequest { namespace: "lessons".into() }).await;
    listed.expect("one of them does not keep the others from being listed").into_inner().topologies
}

async fn watch_one(agent: &Agent, name: &str) -> Streaming<WatchTopologiesResponse> {
    let request = WatchTopologiesRequest { namespace: "lessons".into(), name: name.into(), ..Default::default() };
    agent.topologies().watch_topologies(request).await.expect("a watch").into_inner()
}

fn reason(topology: &Topology) -> &str {
    topology.status.as_ref().map_or("", |status| &status.reason)
}

fn is_blind(topology: &Topology) {
    assert_eq!(state(topology), State::Degraded, "{topology:?}");
    assert!(reason(topology).contains("podwire.lessons.12"), "the error is the reason: {}", reason(topology));
}

#[test]
fn a_heal_that_fails_as_a_whole_is_told_and_keeps_no_other_topology_from_being_seen() {
    private(async |lab| {
        let [a, _b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one("12", "a")).await.unwrap();
        agent.apply(one("13", "b")).await.unwrap();
        let mut events = watch(&agent, "").await;
        until(&mut events, |event| event.event() == TopologyEvent::Synced).await;
        blind();
        // A change that is no work for it, but a reason to look.
        a.ip("address add 192.0.2.1/32 dev lo");
        let told = until(&mut events, |event| {
            let changed = event.topology.as_ref().filter(|_| event.event() == TopologyEvent::Changed);
            changed.is_some_and(|now| reason(now).contains("podwire.lessons.12"))
        });
        let told = tokio::time::timeout(PATIENCE, told).await.expect("watchers are told");
        is_blind(told.topology.as_ref().unwrap());
        assert!(!told.cause.is_empty());
        assert_eq!(states(told.topology.as_ref().unwrap()), [("a/net1".into(), State::Degraded)]);

        let listed = list(&agent).await;
        is_blind(&listed[0]);
        assert_eq!((listed[1].name.as_str(), state(&listed[1])), ("13", State::Ready));
        is_blind(&agent.get("12").await.expect("it is there, whatever became of it"));
        for (name, seen) in [("12", State::Degraded), ("13", State::Ready)] {
            let first = watch_one(&agent, name).await.message().await.unwrap().unwrap();
            let first = first.topology.expect("a snapshot");
            assert_eq!((first.name.as_str(), state(&first)), (name, seen));
        }

        cure();
        let healed = |event: &WatchTopologiesResponse| {
            event.topology.as_ref().is_some_and(|now| now.name == "12" && state(now) == State::Ready)
        };
        until(&mut events, healed).await;
        assert_eq!(reason(&agent.get("12").await.unwrap()), "");
    });
}

#[test]
fn a_topology_that_was_never_seen_is_failed_even_where_it_has_no_interface() {
    private(async |lab| {
        let mut agent = lab.agent().start().await;
        agent.apply(Topology { bridges: vec![lan("lan", "10.0.0.0/24")], ..topology("12") }).await.unwrap();
        agent.kill();
        blind();
        let agent = lab.agent().start().await;
        eventually("it is said", async || {
            let now = agent.get("12").await.expect("it is there");
            holds(state(&now) == State::Failed && reason(&now).contains("podwire.lessons.12"), format!("{now:?}"))
        })
        .await;
        let bridges = agent.get("12").await.unwrap().bridges;
        assert_eq!(bridges[0].status.as_ref().unwrap().state(), State::Failed, "its bridge is none either");
        cure();
        eventually("it is seen again", async || {
            let now = agent.get("12").await.expect("it is there");
            holds(state(&now) == State::Ready, format!("{now:?}"))
        })
        .await;
    });
}
