//! Sandboxes that a real containerd makes, wired, killed and made anew.

use podwire_proto::v1::{ListPodsRequest, State};
use podwire_tests::{
    condition::{eventually, holds},
    containerd::{Sandbox, Version},
    elements::{link, nic, state, topology},
    lab::agent::refused,
};
use tonic::Code;

use crate::{agent, lan_of, until, with_containerd};

/// Three pods, a bridge between all and a link between two.
fn wired(version: Version) {
    with_containerd(version, async |lab, containerd| {
        let agent = agent(lab).await;
        let mut wanted = lan_of(&["a", "b", "c"]);
        wanted.links = vec![link("w", nic("a", "net2"), nic("c", "net2"))];
        let mut pods = Vec::new();
        for name in ["a", "b"] {
            pods.push(containerd.pod(name).await);
        }
        let made = agent.apply(wanted).await.unwrap();
        assert_eq!(state(&made), State::Pending, "one is not there yet");
        pods.push(containerd.pod("c").await);
        until(&agent, "12", State::Ready).await;
        let [a, b, c] = [&pods[0], &pods[1], &pods[2]].map(|id| containerd.netns(id));
        let (a, b, c) = (a.await, b.await, c.await);
        assert_eq!(a.interfaces(), ["eth0", "net1", "net2"]);
        a.ping(b.address("net1"));
        c.ping(a.address("net1"));

        let listed = agent.node().list_pods(ListPodsRequest::default()).await.unwrap().into_inner().pods;
        let names: Vec<_> = listed.iter().map(|pod| (pod.namespace.as_str(), pod.name.as_str())).collect();
        assert_eq!(names, [("lessons", "a"), ("lessons", "b"), ("lessons", "c")]);
        for (pod, id) in listed.iter().zip(&pods) {
            assert!(pod.sandbox_id.starts_with(id.as_str()) && pod.problem.is_empty(), "{pod:?}");
            assert!(pod.uid.starts_with("uid-of-") && pod.netns_path.contains("/netns/"), "{pod:?}");
        }
        let polled = agent.log().contains("no events of the container runtime: its list is polled");
        assert_eq!(polled, !containerd.has_events(), "{}", agent.log());
        agent.delete("12").await.unwrap();
        assert_eq!(a.interfaces(), ["eth0"]);
        eventually("the panel is taken down", async || holds(lab.panels().is_empty(), "not yet")).await;
    });
}

#[test]
fn pods_of_a_containerd_that_is_polled_are_wired() {
    wired(Version::System);
}

#[test]
fn pods_of_a_containerd_with_events_are_wired() {
    wired(Version::Events);
}

#[test]
fn pods_of_the_newest_containerd_are_wired() {
    wired(Version::Newest);
}

/// A pod that is killed and made anew ten times gets its wire back each time, and its peer keeps its own NIC.
fn ten_times(version: Version) {
    with_containerd(version, async |lab, containerd| {
        let agent = agent(lab).await;
        let stays = containerd.pod("a").await;
        let mut id = containerd.pod("b").await;
        let mut wanted = topology("12");
        let at = |pod: &str, address: &str| podwire_tests::elements::nic_at(pod, "net1", &[address]);
        wanted.links = vec![link("w", at("a", "10.1.0.1/24"), at("b", "10.1.0.2/24"))];
        agent.apply(wanted).await.unwrap();
        let a = containerd.netns(&stays).await;
        let mac = a.link("net1")["address"].clone();
        for attempt in 1..=10 {
            containerd.remove(&id).await.unwrap();
            until(&agent, "12", State::Pending).await;
            id = containerd.run(Sandbox::of("b").attempt(attempt)).await.unwrap();
            until(&agent, "12", State::Ready).await;
            let b = containerd.netns(&id).await;
            b.ping("10.1.0.1".parse().unwrap());
            a.ping("10.1.0.2".parse().unwrap());
        }
        assert_eq!(a.link("net1")["address"], mac);
    });
}

#[test]
fn a_pod_killed_ten_times_is_wired_ten_times_where_the_runtime_is_polled() {
    ten_times(Version::System);
}

#[test]
fn a_pod_killed_ten_times_is_wired_ten_times_where_the_runtime_has_events() {
    ten_times(Version::Events);
}

#[test]
fn a_stopped_sandbox_is_not_ready_and_its_pod_waits() {
    with_containerd(Version::System, async |lab, containerd| {
        let agent = agent(lab).await;
        let ids = [containerd.pod("a").await, containerd.pod("b").await];
        agent.apply(lan_of(&["a", "b"])).await.unwrap();
        containerd.stop(&ids[1]).await.unwrap();
        until(&agent, "12", State::Pending).await;
        let reason = |topology: &podwire_proto::v1::Topology| {
            let waiting = topology.attachments[1].interface.as_ref().and_then(|each| each.status.clone());
            waiting.map(|status| status.reason).unwrap_or_default()
        };
        eventually("the reason is that it is NOTREADY", async || {
            let said = reason(&agent.get("12").await.unwrap());
            holds(said.contains("NOTREADY") && said.contains(&ids[1]), said)
        })
        .await;
        let listed = agent.node().list_pods(ListPodsRequest::default()).await.unwrap().into_inner().pods;
        assert!(listed[1].problem.contains("NOTREADY") && listed[1].sandbox_id.is_empty(), "{:?}", listed[1]);
    });
}

#[test]
fn a_new_pod_of_the_same_name_is_another_where_the_uid_was_given() {
    with_containerd(Version::System, async |lab, containerd| {
        let agent = agent(lab).await;
        let a = containerd.run(Sandbox::of("a").uid("one")).await.unwrap();
        containerd.pod("b").await;
        let mut wanted = lan_of(&["a", "b"]);
        wanted.attachments[0].interface.as_mut().unwrap().uid = "one".into();
        agent.apply(wanted.clone()).await.unwrap();
        until(&agent, "12", State::Ready).await;
        containerd.remove(&a).await.unwrap();
        let a = containerd.run(Sandbox::of("a").uid("two")).await.unwrap();
        until(&agent, "12", State::Failed).await;
        assert_eq!(containerd.netns(&a).await.interfaces(), ["eth0"], "the new one is not plugged");
        let mut other = wanted.clone();
        other.name = "13".into();
        other.attachments[0].interface.as_mut().unwrap().name = "net2".into();
        other.attachments[1].interface.as_mut().unwrap().name = "net2".into();
        let status = refused(agent.apply(other)).await;
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        assert_eq!(podwire_tests::verdict::reason(&status), "UID_MISMATCH");
        assert!(status.message().contains("one") && status.message().contains("two"), "{status}");
        wanted.attachments[0].interface.as_mut().unwrap().uid = "two".into();
        agent.apply(wanted).await.unwrap();
        until(&agent, "12", State::Ready).await;
    });
}

#[test]
fn a_pod_of_another_namespace_is_not_found() {
    with_containerd(Version::System, async |lab, containerd| {
        let agent = agent(lab).await;
        let id = containerd.pod("a").await;
        let mut wanted = lan_of(&["a"]);
        wanted.namespace = "elsewhere".into();
        let made = agent.apply(wanted).await.unwrap();
        assert_eq!(state(&made), State::Pending);
        let reason = made.attachments[0].interface.as_ref().unwrap().status.as_ref().unwrap().reason.clone();
        assert!(reason.contains("elsewhere/a"), "{reason}");
        assert_eq!(containerd.netns(&id).await.interfaces(), ["eth0"]);
    });
}
