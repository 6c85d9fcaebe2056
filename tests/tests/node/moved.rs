//! Interfaces that move from one topology to another, with a crash in between: what a topology once was proves nothing
//! about what another one has by now.

use std::{path::PathBuf, sync::Arc};

use podwire_agent::{
    domain::{intent::Intent, name::TopologyKey},
    store::{DiskStore, Record, Store},
};
use podwire_proto::v1::{Interface, Link, LinkMode, State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{link, nic_at, state, topology},
    lab::{Lab, agent::Agent, pod::Pod},
};

use crate::private;

fn key(name: &str) -> TopologyKey {
    TopologyKey { namespace: "lessons".parse().unwrap(), name: name.parse().unwrap() }
}

/// The link that moves: same pods, names and MACs in whatever topology it is.
fn wire(mode: LinkMode) -> Link {
    let end = |pod: &str, address: &str, mac: &str| Interface { mac: mac.into(), ..nic_at(pod, "net1", &[address]) };
    let ends = (end("a", "10.7.0.1/30", "02:00:00:00:07:01"), end("b", "10.7.0.2/30", "02:00:00:00:07:02"));
    Link { mode: mode.into(), ..link("w", ends.0, ends.1) }
}

fn other() -> Link {
    link("other", nic_at("a", "net2", &["10.8.0.1/30"]), nic_at("b", "net2", &["10.8.0.2/30"]))
}

fn stored(lab: &Lab) -> DiskStore {
    let directory: PathBuf = lab.directory().join("state");
    DiskStore::open(&directory).unwrap()
}

/// The intent of a topology and what it was, as they are stored.
fn record(lab: &Lab, name: &str) -> (Arc<Intent>, Option<Arc<Intent>>) {
    let record = stored(lab).load().unwrap().into_iter().find(|(of, _)| *of == key(name)).unwrap().1;
    match record {
        Record::Live { intent, former } => (intent, former),
        Record::Deleted { .. } => panic!("{name} was deleted"),
    }
}

async fn ready(agent: &Agent, name: &str) {
    eventually("READY", async || {
        let now = agent.get(name).await.map_err(|status| status.to_string())?;
        holds(state(&now) == State::Ready, format!("{name}: {:?}", now.status))
    })
    .await;
}

/// Moves the link from one topology to the other, and leaves in the store what a crash leaves at the worst moment: that
/// the first one had it until now.
fn moved(mode: LinkMode, from: &str, to: &str) {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        agent.apply(Topology { links: vec![wire(mode), other()], ..topology(from) }).await.unwrap();
        agent.kill();
        let (was, _) = record(lab, from);
        agent = lab.agent().start().await;
        agent.apply(Topology { links: vec![other()], ..topology(from) }).await.unwrap();
        agent.apply(Topology { links: vec![wire(mode)], ..topology(to) }).await.unwrap();
        let before = lab.snapshot();
        let indexes = || [&a, &b].map(|pod: &Pod| pod.link("net1")["ifindex"].clone());
        let index = indexes();
        for in_peace in [false, true, false] {
            if in_peace {
                agent.terminate().await;
            } else {
                agent.kill();
            }
            let (intent, _) = record(lab, from);
            stored(lab).put(&key(from), &Record::Live { intent, former: Some(Arc::clone(&was)) }).unwrap();
            agent = lab.agent().start().await;
            ready(&agent, from).await;
            ready(&agent, to).await;
            let log = agent.log();
            assert_eq!(indexes(), index, "its NICs were never made anew\n{log}");
            a.ping(b.address("net1"));
            before.assert_same(&lab.snapshot());
            assert!(!log.contains("put right"), "nothing was damaged by the start: {log}");
        }
        agent.terminate().await;
        let (_, former) = record(lab, from);
        assert_eq!(former, None, "what it was is forgotten");
    });
}

#[test]
fn a_stitched_link_that_moved_to_a_later_topology_stays_where_it_is() {
    moved(LinkMode::Stitched, "one", "two");
}

#[test]
fn a_stitched_link_that_moved_to_an_earlier_topology_stays_where_it_is() {
    moved(LinkMode::Stitched, "two", "one");
}

#[test]
fn a_direct_link_that_moved_to_a_later_topology_stays_where_it_is() {
    moved(LinkMode::Direct, "one", "two");
}

#[test]
fn a_direct_link_that_moved_to_an_earlier_topology_stays_where_it_is() {
    moved(LinkMode::Direct, "two", "one");
}
