//! A container runtime that ends, comes back, or was never there.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use podwire_proto::v1::{ListPodsRequest, State};
use podwire_tests::{
    condition::{eventually, holds},
    containerd::Version,
    elements::{interfaces, state},
    lab::agent::refused,
};
use tonic::Code;

use crate::{agent, lan_of, private, until, with_containerd};

/// The wires of known pods live and can be changed while the runtime is away; afterwards all goes on.
fn restarted(version: Version, signal: Signal) {
    with_containerd(version, async |lab, containerd| {
        let agent = agent(lab).await;
        let ids = [containerd.pod("a").await, containerd.pod("b").await];
        agent.apply(lan_of(&["a", "b", "c"])).await.unwrap();
        let (a, b) = (containerd.netns(&ids[0]).await, containerd.netns(&ids[1]).await);
        let index = a.link("net1")["ifindex"].clone();
        containerd.kill(signal);
        eventually("the agent notices", async || {
            let status = agent.node().list_pods(ListPodsRequest::default()).await.err();
            holds(status.as_ref().is_some_and(|status| status.code() == Code::Unavailable), format!("{status:?}"))
        })
        .await;
        a.ping(b.address("net1"));
        let now = agent.get("12").await.unwrap();
        let ready = interfaces(&now).filter(|each| each.status.as_ref().is_some_and(|s| s.state() == State::Ready));
        assert_eq!(ready.count(), 2, "{now:?}");
        let mut other = lan_of(&["a", "b"]);
        other.name = "13".into();
        other.bridges[0].ipam = podwire_tests::elements::ipam("10.9.0.0/24");
        for attachment in &mut other.attachments {
            attachment.interface.as_mut().unwrap().name = "net2".into();
        }
        assert_eq!(state(&agent.apply(other).await.unwrap()), State::Ready, "known pods can be plugged");
        assert_eq!(agent.log().matches("pods stay as they were last seen").count(), 1, "{}", agent.log());

        containerd.again().await;
        let c = containerd.pod("c").await;
        until(&agent, "12", State::Ready).await;
        containerd.netns(&c).await.ping(a.address("net1"));
        assert_eq!(a.link("net1")["ifindex"], index, "the NIC was never made anew");
        containerd.remove(&ids[1]).await.unwrap();
        until(&agent, "12", State::Pending).await;
    });
}

#[test]
fn a_runtime_that_is_restarted_cuts_no_wires() {
    restarted(Version::System, Signal::SIGTERM);
}

#[test]
fn a_runtime_that_is_killed_cuts_no_wires() {
    restarted(Version::System, Signal::SIGKILL);
}

#[test]
fn a_runtime_with_events_that_is_killed_cuts_no_wires() {
    restarted(Version::Events, Signal::SIGKILL);
}

#[test]
fn a_pod_that_goes_while_the_runtime_is_away_is_gone() {
    with_containerd(Version::System, async |lab, containerd| {
        let agent = agent(lab).await;
        let ids = [containerd.pod("a").await, containerd.pod("b").await];
        agent.apply(lan_of(&["a", "b"])).await.unwrap();
        let b = containerd.netns(&ids[1]).await;
        containerd.kill(Signal::SIGKILL);
        // The kernel's own sign: nobody else says it.
        lab.ip(&format!("netns del {}", b.name()));
        until(&agent, "12", State::Pending).await;
        containerd.again().await;
    });
}

#[test]
fn the_agent_starts_before_the_runtime() {
    private(async |lab| {
        let agent = agent(lab).await;
        let started = Instant::now();
        let made = agent.apply(lan_of(&["a"])).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(10), "it waits for nothing: {:?}", started.elapsed());
        assert_eq!(state(&made), State::Pending);
        let reason = interfaces(&made).next().unwrap().status.clone().unwrap().reason;
        for word in ["lessons/a", "no container runtime", "/run/containerd/containerd.sock", "--cri-socket"] {
            assert!(reason.contains(word), "{word}: {reason}");
        }
        let status = refused(agent.node().list_pods(ListPodsRequest::default())).await;
        assert_eq!(status.code(), Code::Unavailable, "{status}");
    });
}

#[test]
fn pods_that_were_there_before_the_agent_saw_a_runtime_are_plugged_when_it_comes() {
    with_containerd(Version::System, async |lab, containerd| {
        containerd.pod("a").await;
        containerd.kill(Signal::SIGTERM);
        let agent = agent(lab).await;
        assert_eq!(state(&agent.apply(lan_of(&["a"])).await.unwrap()), State::Pending);
        containerd.again().await;
        until(&agent, "12", State::Ready).await;
    });
}
