//! A stream of changes, and what of it was acknowledged.

use std::{collections::BTreeMap, future::Future};

use podwire_proto::v1::{ApplyTopologyRequest, DeleteTopologyRequest, Link, LinkMode, Topology};
use podwire_tests::{
    elements::{ipam, lan, link, nic, plug, topology},
    lab::{Lab, agent::Agent},
    random::Random,
};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use super::checker::Figures;

/// Pods of the node.
const PODS: [&str; 5] = ["p0", "p1", "p2", "p3", "p4"];

/// Topologies, each with a caller of its own.
const TOPOLOGIES: [&str; 4] = ["t0", "t1", "t2", "t3"];

/// What a caller asked for.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Apply(Box<Topology>),
    Delete(u64),
}

/// What a caller knows of its topology.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// What the last acknowledged Apply answered; `None`: a Delete was acknowledged last, or nothing yet.
    pub(super) acknowledged: Option<Topology>,
    /// The generation of the last call that was acknowledged.
    pub(super) generation: u64,
    /// A call without an answer: it was carried out or not.
    pub(super) flying: Option<(u64, Request)>,
    /// Generations ever used.
    used: u64,
}

pub(super) struct Load {
    pub(super) known: BTreeMap<&'static str, Known>,
    callers: Vec<JoinHandle<(&'static str, Known, u64)>>,
}

impl Load {
    pub(super) fn new(lab: &Lab) -> Self {
        lab.pods(PODS);
        Self { known: TOPOLOGIES.iter().map(|name| (*name, Known::default())).collect(), callers: Vec::new() }
    }

    /// Lets every caller make changes until `end`.
    pub(super) async fn run(&mut self, agent: &Agent, random: &mut Random, end: impl Future<Output = ()>) {
        for (name, known) in std::mem::take(&mut self.known) {
            self.callers.push(tokio::spawn(call(name, known, agent.topologies(), random.split())));
        }
        end.await;
    }

    /// Gathers what the callers know: the agent is dead.
    pub(super) async fn finish(&mut self, figures: &mut Figures) {
        for caller in std::mem::take(&mut self.callers) {
            let (name, known, acknowledged) = caller.await.unwrap();
            figures.acknowledged += acknowledged;
            figures.flying += u64::from(known.flying.is_some());
            self.known.insert(name, known);
        }
    }

    pub(super) async fn delete_all(&mut self, agent: &Agent) {
        for (name, known) in &mut self.known {
            known.used += 1;
            agent.topologies().delete_topology(delete(name, known.used)).await.unwrap();
            known.acknowledged = None;
        }
    }
}

/// A new sandbox of the same pod.
pub(super) fn restart_a_pod(lab: &Lab, random: &mut Random) {
    let pod = random.pick(&PODS);
    lab.ip(&format!("netns del {pod}"));
    lab.pod(pod);
}

pub(super) fn remove_pods(lab: &Lab) {
    for pod in PODS {
        lab.ip(&format!("netns del {pod}"));
    }
}

/// Makes changes, one after the other, until the agent is gone.
async fn call(
    name: &'static str,
    mut known: Known,
    mut client: podwire_proto::v1::topology_service_client::TopologyServiceClient<tonic::transport::Channel>,
    mut random: Random,
) -> (&'static str, Known, u64) {
    let mut acknowledged = 0;
    loop {
        known.used += 1;
        let generation = known.used;
        let request = if random.once_in(3) {
            Request::Delete(generation)
        } else {
            Request::Apply(Box::new(random_topology(name, generation, &mut random)))
        };
        known.flying = Some((generation, request.clone()));
        let answer: Result<Option<Topology>, Status> = match request {
            Request::Delete(generation) => client.delete_topology(delete(name, generation)).await.map(|_| None),
            Request::Apply(wanted) => {
                let request = ApplyTopologyRequest { topology: Some(*wanted), ..ApplyTopologyRequest::default() };
                client.apply_topology(request).await.map(|answer| answer.into_inner().topology)
            }
        };
        match answer {
            Ok(answer) => {
                acknowledged += 1;
                known.acknowledged = answer;
                known.generation = generation;
                known.flying = None;
            }
            // Nobody is there: it was carried out, or not.
            Err(status) if matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled) => break,
            // An agent that leaves in peace says so to the connection.
            Err(status) if status.code() == Code::Internal && status.message().contains("h2") => break,
            Err(status) => panic!("{name}: {status}"),
        }
    }
    (name, known, acknowledged)
}

fn delete(name: &str, generation: u64) -> DeleteTopologyRequest {
    DeleteTopologyRequest { namespace: "lessons".into(), name: name.into(), generation, ..Default::default() }
}

/// Links of both modes and a bridge whose subnet has just as many addresses as there are pods: one that leaks is missed.
fn random_topology(name: &str, generation: u64, random: &mut Random) -> Topology {
    let mut wanted = topology(name);
    wanted.generation = generation;
    let interface = |pod: &str, what: &str| nic(pod, &format!("{name}{what}"));
    for (at, pair) in PODS.windows(2).enumerate().filter(|(at, _)| at % 2 == 0) {
        if random.once_in(3) {
            continue;
        }
        let mode = if random.once_in(2) { LinkMode::Direct } else { LinkMode::Stitched };
        let what = format!("w{at}");
        let ends = (interface(pair[0], &what), interface(pair[1], &what));
        let mut wire = Link { ipam: ipam(&format!("10.1.{at}.0/29")), ..link(&what, ends.0, ends.1) };
        wire.mode = mode.into();
        wanted.links.push(wire);
    }
    if !random.once_in(3) {
        wanted.bridges.push(lan("lan", "10.0.0.0/29"));
        for pod in PODS {
            if !random.once_in(4) {
                wanted.attachments.push(plug(&format!("at-{pod}"), interface(pod, "lan"), "lan"));
            }
        }
    }
    wanted
}
