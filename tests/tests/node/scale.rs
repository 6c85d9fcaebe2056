//! Figures of a node with many topologies of 6 interfaces each: memory, time of a start, size of the store.
//!
//! `PODWIRE_TOPOLOGIES` sets how many (default: 20, to see that it works; 1000 for figures, with
//! `PODWIRE_TEST_SECONDS=900` and the binaries of a release build).

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use podwire_proto::v1::{ApplyTopologyRequest, ListTopologiesRequest, State, Topology};
use podwire_tests::{
    condition::within,
    elements::{lan, link, nic, plug, state, topology},
    lab::{Lab, agent::Agent},
    netns,
};

use crate::private;

/// What `RssAnon` of the agent may be, KiB.
const MEMORY: u64 = 64 * 1024;

/// Calls at a time.
const CALLERS: usize = 8;

fn many() -> usize {
    env::var("PODWIRE_TOPOLOGIES").ok().and_then(|text| text.parse().ok()).unwrap_or(20)
}

/// The pods of a topology: 2 or 3.
fn pods(number: usize) -> Vec<String> {
    (0..2 + number % 2).map(|pod| format!("pod{number}-{pod}")).collect()
}

/// A link and a bridge of 4 ports.
fn lesson(number: usize) -> Topology {
    let pods = pods(number);
    let ports = (0..4).map(|port| {
        let pod = &pods[port % pods.len()];
        plug(&format!("p{port}"), nic(pod, ""), "lan")
    });
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        links: vec![link("w", nic(&pods[0], ""), nic(&pods[1], ""))],
        attachments: ports.collect(),
        ..topology(&format!("t{number}"))
    }
}

fn make_pods() {
    for pod in (0..many()).flat_map(pods) {
        netns::make(&pod).unwrap();
    }
}

/// A figure of /proc/PID/status, KiB.
fn memory(agent: &Agent, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
}

fn say_memory(agent: &Agent, when: &str) {
    let [anonymous, peak, threads] = ["RssAnon", "VmHWM", "Threads"].map(|what| memory(agent, what));
    eprintln!("  {when}: RssAnon {:.1} MiB, peak RSS {:.1} MiB, {threads} threads", mib(anonymous), mib(peak));
    assert!(anonymous < MEMORY, "{anonymous} KiB");
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

async fn all_ready(agent: &Agent) {
    within(Duration::from_secs(600), "all READY", async || {
        let request = ListTopologiesRequest::default();
        let mut service = agent.topologies().max_decoding_message_size(64 << 20);
        let all = service.list_topologies(request).await.map_err(|status| status.to_string())?.into_inner().topologies;
        let ready = all.iter().filter(|each| state(each) == State::Ready).count();
        if ready == many() { Ok(()) } else { Err(format!("{ready} of {}", many())) }
    })
    .await;
}

/// Starts an agent and measures until it serves and until all is READY.
async fn start(lab: &Lab, what: &str) -> Agent {
    let began = Instant::now();
    let agent = lab.agent().arg("--log-level").arg("warn").start().await;
    let serves = began.elapsed();
    all_ready(&agent).await;
    eprintln!("{what}: serves after {serves:.2?}, all READY after {:.2?}", began.elapsed());
    say_memory(&agent, "then");
    agent
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len() / 1024
}

#[test]
fn many_topologies_fit_into_little_memory() {
    private(async |lab| {
        let mut agent = lab.agent().arg("--log-level").arg("warn").start().await;
        make_pods();
        say_memory(&agent, "an empty agent");
        let began = Instant::now();
        let callers = (0..CALLERS).map(|caller| {
            let mut service = agent.topologies();
            tokio::spawn(async move {
                for number in (caller..many()).step_by(CALLERS) {
                    let topology = Some(lesson(number));
                    service.apply_topology(ApplyTopologyRequest { topology, ..Default::default() }).await.unwrap();
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.unwrap();
        }
        eprintln!("{} topologies made in {:.2?}", many(), began.elapsed());
        say_memory(&agent, "then");
        all_ready(&agent).await;
        say_memory(&agent, "listed");
        eprintln!("store: {} KiB", size(&lab.directory().join("state/intents.redb")));
        agent.kill();
        agent = start(lab, "restart with all wires there").await;
        agent.kill();
        let began = Instant::now();
        lab.reboot();
        make_pods();
        eprintln!("(rebooted in {:.2?}; the kernel still takes down what was)", began.elapsed());
        let agent = start(lab, "start after a reboot, all pods there").await;
        eprintln!("store: {} KiB", size(&lab.directory().join("state/intents.redb")));
        drop(agent);
    });
}
