//! One agent that lives long: whatever it is asked and whatever happens to its pods, what it holds does not grow.
//!
//! `PODWIRE_ROUNDS` sets how many rounds it lives through (default: 32, each of about 80 calls).

mod held;

use std::{collections::BTreeSet, env, fs, path::Path, time::Duration};

use podwire_client::CaptureRequest;
use podwire_proto::v1::{ApplyTopologyRequest, Link, LinkMode, State, Topology};
use podwire_tests::{
    condition::{eventually, holds, within},
    elements::{bridge, ipam, lan, link, nic, plug, state, topology},
    film::Film,
    lab::{
        Lab,
        agent::{Agent, refused},
        pod::Pod,
    },
    private::{self, User, measured},
};
use tonic::Code;

use self::held::Held;
use crate::watch::{until, watch};

const PODS: [&str; 3] = ["a", "b", "c"];

/// Changes of a round that touch no wire: with them the agent's ring of 1,024 events, which is memory that it may keep, is
/// full of what a round makes before the first half is over.
const QUIET_CHANGES: u64 = 64;

/// What `RssAnon` may grow by in the second half, KiB, however long that is: what an allocator does with the same load. It
/// came and went by 600 KiB once the ring was full. So 16 rounds find a leak of a kilobyte for each call, 1,000 one of 16
/// bytes.
const GROWTH: u64 = 1024;

/// How long it may take: half a minute by itself, several times that among others on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(400);

fn rounds() -> u64 {
    env::var("PODWIRE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(32)
}

/// Links of one mode, and a bridge with a pod or with all.
fn lesson(name: &str, mode: LinkMode, pods: &[&str]) -> Topology {
    let nic = |pod: &str, what: &str| nic(pod, &format!("{name}{what}"));
    let wire = link("w", nic("a", "w"), nic("b", "w"));
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        links: vec![Link { mode: mode.into(), ipam: ipam("10.1.0.0/29"), ..wire }],
        attachments: pods.iter().map(|pod| plug(&format!("p{pod}"), nic(pod, "l"), "lan")).collect(),
        ..topology(name)
    }
}

async fn ready(agent: &Agent, name: &str) {
    eventually("all is READY", async || {
        let now = agent.get(name).await.map_err(|status| status.to_string())?;
        holds(state(&now) == State::Ready, format!("{:?}", now.status))
    })
    .await;
}

/// A new sandbox of a pod. Its `eth0` has an end on the node, which lives as long as somebody holds the old namespace.
fn restart(lab: &Lab, pod: &str) {
    lab.ip(&format!("netns del {pod}"));
    lab.pod(pod).with_eth0();
}

/// Calls that the agent refuses, each at another place.
async fn refusals(agent: &Agent) -> u64 {
    let nonsense = Topology { bridges: vec![bridge("lan"), bridge("lan")], ..topology("one") };
    let taken = Topology { attachments: vec![plug("p", nic("a", "eth0"), "lan")], ..topology("three") };
    let taken = Topology { bridges: vec![bridge("lan")], ..taken };
    let of_others = Topology { attachments: vec![plug("p", nic("a", "onew"), "lan")], ..taken.clone() };
    let calls =
        [(nonsense, Code::InvalidArgument), (taken, Code::FailedPrecondition), (of_others, Code::FailedPrecondition)];
    let made = calls.len() as u64;
    for (wanted, code) in calls {
        let status = refused(agent.apply(wanted)).await;
        assert_eq!(status.code(), code, "{status}");
    }
    assert_eq!(refused(agent.get("absent")).await.code(), Code::NotFound);
    made + 1
}

/// What a node goes through in a while. Leaves nothing that was asked for. Returns the calls.
async fn round(lab: &Lab, agent: &Agent, number: u64) -> u64 {
    let (one, other) = if number.is_multiple_of(2) {
        (LinkMode::Stitched, LinkMode::Direct)
    } else {
        (LinkMode::Direct, LinkMode::Stitched)
    };
    let mut events = watch(agent, "").await;
    agent.apply(lesson("one", one, &PODS)).await.unwrap();
    agent.apply(lesson("two", other, &["c"])).await.unwrap();
    let mut film = Film::start(agent, CaptureRequest::link("lessons", "one", "w")).await.unwrap();
    let ends = Film::start(agent, CaptureRequest::interface("lessons", "c", "twol")).await.unwrap();
    let calls = refusals(agent).await;
    if number.is_multiple_of(4) {
        agent.client().await.verify_link("lessons", "one", "w").await.unwrap();
    }
    film.glance().await;
    // A caller that hangs up, and a capture that ends with what it captures.
    drop(film);
    agent.apply(lesson("one", other, &["b", "c"])).await.unwrap();
    let pod = PODS[usize::try_from(number % 3).unwrap()];
    restart(lab, pod);
    ready(agent, "one").await;
    lab.ip(&format!("-n {} link del onew", if number.is_multiple_of(2) { "a" } else { "b" }));
    lab.ip("-n podwire.lessons.two link add stranger type bridge");
    ready(agent, "one").await;
    ready(agent, "two").await;
    let mut cut = watch(agent, "").await;
    until(&mut cut, |event| event.topology.is_none()).await;
    drop(cut);
    let mut service = agent.topologies();
    for change in 0..QUIET_CHANGES {
        let absent = format!("absent{change}");
        let quiet = Topology { attachments: vec![plug("p", nic(&absent, "net1"), "lan")], ..topology("quiet") };
        let topology = Some(Topology { bridges: vec![bridge("lan")], ..quiet });
        service.apply_topology(ApplyTopologyRequest { topology, ..Default::default() }).await.unwrap();
    }
    for name in ["one", "two", "quiet"] {
        agent.delete(name).await.unwrap();
    }
    ends.until_end().await;
    until(&mut events, |event| event.topology.as_ref().is_some_and(|gone| gone.name == "quiet")).await;
    calls + QUIET_CHANGES + 15
}

/// Every file below /run but for what this test keeps there itself.
fn files(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            continue;
        }
        found.insert(path.display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files(&path, found);
        }
    }
}

/// Waits until nothing is there but what was there before the first round, and the agent rests.
async fn rests(lab: &Lab, agent: &Agent, before: &Node, fresh: &Held) -> Held {
    eventually("the node is as it was", async || {
        let now = Node::of(lab);
        holds(now == *before, format!("{now:?} and not {before:?}"))
    })
    .await;
    // Threads for blocking work end when they had none for 10 s, and every 30 s there is some.
    within(Duration::from_secs(60), "the agent holds what a fresh one held", async || {
        let now = Held::by(agent);
        holds(now.is_at_most(fresh), format!("{now} and not {fresh}"))
    })
    .await;
    Held::by(agent)
}

/// What there is on the node besides the pods' own devices.
#[derive(Debug, PartialEq)]
struct Node {
    namespaces: Vec<String>,
    /// The ends of the pods' `eth0` among them: one that stays is a dead pod whose namespace somebody holds.
    devices: Vec<String>,
    in_pods: Vec<String>,
    files: BTreeSet<String>,
}

impl Node {
    fn of(lab: &Lab) -> Self {
        let mut found = BTreeSet::new();
        files(Path::new("/run"), &mut found);
        Self {
            namespaces: lab.namespaces(),
            devices: node_devices(lab),
            in_pods: PODS.iter().flat_map(|pod| lab.link_names(pod)).collect(),
            files: found,
        }
    }
}

/// What is in the node's own namespace, without the numbers in the names.
fn node_devices(lab: &Lab) -> Vec<String> {
    let mut names = lab.link_names("");
    for name in &mut names {
        name.truncate(name.trim_end_matches(|letter: char| letter.is_ascii_digit()).len());
    }
    names.sort();
    names
}

#[test]
fn an_agent_that_lives_long_holds_no_more_than_a_young_one() {
    private::run_within(PATIENCE, env!("CARGO_BIN_EXE_private"), User::Caller, async |lab| {
        let _pods = lab.pods(PODS).map(Pod::with_eth0);
        // One heap for all threads: else how much is held depends on which of them was busy when.
        let agent = lab.agent().arg("--log-level").arg("warn").env("MALLOC_ARENA_MAX", "1").start().await;
        let node = Node::of(lab);
        let fresh = Held::by(&agent).at_rest();
        let (half, mut calls) = (rounds() / 2, 0);
        for number in 0..half {
            calls += round(lab, &agent, number).await;
            println!("{number}: {}", Held::by(&agent).figures());
        }
        let young = rests(lab, &agent, &node, &fresh).await;
        for number in half..rounds() {
            calls += round(lab, &agent, number).await;
            println!("{number}: {}", Held::by(&agent).figures());
        }
        let old = rests(lab, &agent, &node, &fresh).await;
        let rounds = rounds();
        measured(&format!(
            "{rounds} rounds, {calls} calls: fresh {}; after {half} rounds {}; at the end {}",
            fresh.figures(),
            young.figures(),
            old.figures()
        ));
        println!("{fresh}\n{young}\n{old}");
        assert!(old.memory <= young.memory + GROWTH, "memory leaks: {young}, then {old}");
    });
}
