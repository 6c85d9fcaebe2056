//! Where the runtime is, and how its sandboxes become known: a made-up one at each usual socket, and with events.

use std::time::{Duration, Instant};

use podwire_proto::{
    cri::ContainerEventType,
    v1::{ListPodsRequest, State, WatchTopologiesRequest},
};
use podwire_tests::{
    condition::{PATIENCE, eventually, holds},
    elements::state,
    lab::agent::refused,
    private::measured,
    verdict::reason,
};
use tonic::Code;

use crate::{
    agent,
    fake::{self, Fake},
    lan_of, private, until,
};

/// The agent is not told where the runtime is.
fn found_at(socket: &str) {
    private(async |lab| {
        let pod = lab.pod("cni-a");
        Fake::default().at(socket).ready("one", "a", "/run/netns/cni-a", 1);
        let agent = agent(lab).await;
        agent.apply(lan_of(&["a"])).await.unwrap();
        until(&agent, "12", State::Ready).await;
        assert_eq!(pod.interfaces(), ["net1"]);
        assert!(agent.log().contains(socket), "{}", agent.log());
    });
}

#[test]
fn a_containerd_of_k3s_or_rke2_is_found() {
    found_at("/run/k3s/containerd/containerd.sock");
}

#[test]
fn a_cri_o_is_found() {
    found_at("/run/crio/crio.sock");
}

#[test]
fn a_containerd_is_found() {
    found_at("/run/containerd/containerd.sock");
}

#[test]
fn the_runtime_of_kubernetes_comes_before_that_of_a_docker_on_the_same_node() {
    private(async |lab| {
        let [kubernetes, docker] = lab.pods(["cni-a", "docker-a"]);
        Fake::default().at("/run/containerd/containerd.sock").ready("theirs", "a", "/run/netns/docker-a", 1);
        Fake::default().at("/run/k3s/containerd/containerd.sock").ready("ours", "a", "/run/netns/cni-a", 1);
        let agent = agent(lab).await;
        agent.apply(lan_of(&["a"])).await.unwrap();
        until(&agent, "12", State::Ready).await;
        assert_eq!(kubernetes.interfaces(), ["net1"]);
        assert!(docker.interfaces().is_empty(), "{:?}", docker.interfaces());
    });
}

/// cri-dockerd answers a verbose status with no words at all, with or without a containerd beside it.
#[test]
fn cri_dockerd_is_found_and_its_pods_are_refused_with_the_way_out() {
    private(async |lab| {
        let runtime = Fake::default().at("/run/cri-dockerd.sock");
        Fake::default().at("/run/containerd/containerd.sock");
        runtime.add("one", "a", 0, 1, None);
        let agent = agent(lab).await;
        eventually("it is listed", async || {
            let pods = agent.node().list_pods(ListPodsRequest::default()).await.map_err(|status| status.to_string())?;
            let pods = pods.into_inner().pods;
            holds(pods.len() == 1 && pods[0].problem.contains("podwire-cni"), format!("{pods:?}"))
        })
        .await;
        let before = lab.snapshot();
        let status = refused(agent.apply(lan_of(&["a"]))).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "NO_NETNS_PATH"), "{status}");
        assert!(status.message().contains("the CNI plugin `podwire-cni`"), "{status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn events_tell_of_sandboxes_that_come_and_go_long_before_the_list_is_asked_for_again() {
    const ROUNDS: u32 = 4;
    private(async |lab| {
        // There already: so the kernel shows no sign of it, and without events the list is asked for every 5 s.
        lab.pod("cni-a");
        let runtime = Fake::with_events();
        let agent = lab.agent().with("--pods", "cri").with("--cri-socket", fake::SOCKET).start().await;
        agent.apply(lan_of(&["a"])).await.unwrap();
        // Asking would make it look.
        let all = WatchTopologiesRequest::default();
        let mut changes = agent.topologies().watch_topologies(all).await.unwrap().into_inner();
        let mut until = async |wanted: State| loop {
            let event = tokio::time::timeout(PATIENCE, changes.message()).await.expect("an event in time");
            if event.unwrap().unwrap().topology.is_some_and(|now| state(&now) == wanted) {
                break;
            }
        };
        until(State::Pending).await;
        let started = Instant::now();
        for round in 0..ROUNDS {
            let id = format!("sandbox{round}");
            runtime.ready(&id, "a", "/run/netns/cni-a", i64::from(round) + 1);
            runtime.tell(&id, ContainerEventType::ContainerStartedEvent).await;
            until(State::Ready).await;
            runtime.sandboxes().clear();
            runtime.tell(&id, ContainerEventType::ContainerDeletedEvent).await;
            until(State::Pending).await;
        }
        let took = started.elapsed();
        measured(&format!("made-up runtime with events: {} changes in {took:?}", 2 * ROUNDS));
        assert!(took < Duration::from_secs(25), "by the list alone it would be 40 s: {took:?}");
    });
}
