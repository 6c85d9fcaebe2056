//! Pods that come, go, and come back; and named network namespaces as pods.

use std::time::Duration;

use podwire_proto::v1::{
    CreateNetnsRequest, DeleteNetnsRequest, Interface, ListNetnsRequest, ListPodsRequest, State, Topology,
};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{interfaces, lan, nic, nic_of_netns, plug, state, states, topology},
    lab::agent::{Agent, refused},
    verdict::assert_refused,
};
use tonic::Code;

use crate::private;

fn pair() -> Topology {
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        attachments: vec![plug("pa", nic("a", "net1"), "lan"), plug("pb", nic("b", "net1"), "lan")],
        ..topology("12")
    }
}

async fn all_ready(agent: &Agent) {
    eventually("all is READY", async || {
        let now = agent.get("12").await.map_err(|status| status.to_string())?;
        holds(state(&now) == State::Ready, format!("{:?}", states(&now)))
    })
    .await;
}

#[test]
fn a_pod_that_is_not_there_yet_is_pending_and_plugged_when_it_appears() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        let made = agent.apply(pair()).await.unwrap();
        assert_eq!(state(&made), State::Pending);
        assert_eq!(states(&made), [("a/net1".into(), State::Ready), ("b/net1".into(), State::Pending)]);
        let waiting = interfaces(&made).nth(1).unwrap().status.as_ref().unwrap();
        assert!(waiting.reason.contains('b'), "says what it waits for: {}", waiting.reason);
        let b = lab.pod("b");
        // Long before the sweep, which comes every 30 s.
        eventually("plugged soon", async || holds(b.interfaces() == ["net1"], "not there")).await;
        all_ready(&agent).await;
        a.ping(b.address("net1"));
    });
}

#[test]
fn until_ready_waits_for_a_pod_that_comes() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let waiting = agent.apply_until_ready(pair(), Duration::from_secs(20));
        let coming = async {
            eventually("the other one is plugged", async || holds(lab.link_names("a") == ["net1"], "not yet")).await;
            lab.pod("b");
        };
        let (made, ()) = tokio::join!(waiting, coming);
        assert_eq!(state(&made.unwrap()), State::Ready);
    });
}

#[test]
fn an_unknown_pod_with_until_ready_ends_at_the_deadline_with_a_reason_for_each_interface() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        // Half a second is left for the answer. One that comes later is not heard, and this side knows no reasons.
        let status = refused(agent.apply_until_ready(pair(), Duration::from_secs(5))).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        for word in ["pa", "pb", "/run/netns/a", "/run/netns/b"] {
            let details = format!("{status:?} {}", String::from_utf8_lossy(status.details()));
            assert!(details.contains(word), "a reason for each interface ({word}): {status:?}");
        }
        let now = agent.get("12").await.expect("the intent stays");
        assert_eq!(state(&now), State::Pending);
        lab.pods(["a", "b"]);
        all_ready(&agent).await;
    });
}

#[test]
fn a_pod_that_comes_back_gets_the_same_again() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(pair()).await.unwrap();
        let (mac, addresses) = (b.link("net1")["address"].clone(), b.addresses("net1"));
        lab.ip("netns del b");
        eventually("its interface is pending", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(state(&now) == State::Pending, format!("{:?}", states(&now)))
        })
        .await;
        let b = lab.pod("b");
        all_ready(&agent).await;
        assert_eq!((&b.link("net1")["address"], &b.addresses("net1")), (&mac, &addresses));
        a.ping(b.address("net1"));
    });
}

#[test]
fn an_interface_that_somebody_removed_is_made_again_by_the_next_apply() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(pair()).await.unwrap();
        let mac = b.link("net1")["address"].clone();
        b.ip("link del net1");
        let made = agent.apply(pair()).await.unwrap();
        assert_eq!((state(&made), b.interfaces()), (State::Ready, vec!["net1".to_owned()]));
        assert_eq!(b.link("net1")["address"], mac);
        a.ping(b.address("net1"));
    });
}

#[test]
fn named_namespaces_are_pods_of_every_namespace_and_have_no_uid() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(pair()).await.unwrap();
        let listed = agent.node().list_pods(ListPodsRequest::default()).await.unwrap().into_inner().pods;
        let names: Vec<&str> = listed.iter().map(|pod| pod.name.as_str()).collect();
        assert_eq!(names, ["a", "b"], "panels are no pods");
        assert!(listed.iter().all(|pod| pod.problem.is_empty() && !pod.sandbox_id.is_empty()), "{listed:?}");
        assert_eq!(listed[0].netns_path, "/run/netns/a");
        let before = lab.snapshot();
        let mut wanted = pair();
        wanted.name = "13".into();
        wanted.attachments[0].interface = Some(Interface { uid: "another".into(), ..nic("a", "net2") });
        let status = refused(agent.apply(wanted)).await;
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn the_netns_service_makes_lists_and_removes_only_its_own() {
    private(async |lab| {
        lab.pod("foreign");
        let agent = lab.agent().start().await;
        let create = |name: &str| CreateNetnsRequest { name: name.into() };
        let delete = |name: &str| DeleteNetnsRequest { name: name.into() };
        let made = agent.netns().create_netns(create("mine")).await.unwrap().into_inner().netns.unwrap();
        assert_eq!((made.name.as_str(), made.path.as_str(), made.owned), ("mine", "/run/netns/mine", true));
        agent.netns().create_netns(create("mine")).await.expect("its own succeeds");
        assert!(lab.links("mine")[0]["flags"].to_string().contains("UP"), "its loopback is up");
        assert_eq!(refused(agent.netns().create_netns(create("foreign"))).await.code(), Code::AlreadyExists);

        let listed = agent.netns().list_netns(ListNetnsRequest::default()).await.unwrap().into_inner().netns;
        let listed: Vec<(&str, bool)> = listed.iter().map(|each| (each.name.as_str(), each.owned)).collect();
        assert_eq!(listed, [("foreign", false), ("mine", true)]);

        let before = lab.snapshot();
        assert_eq!(refused(agent.netns().delete_netns(delete("foreign"))).await.code(), Code::FailedPrecondition);
        for name in ["", "..", "../mine", "a/b", "podwire.lessons.12", "Upper", &"x".repeat(64)] {
            assert_refused(&refused(agent.netns().create_netns(create(name))).await, Code::InvalidArgument, &["name"]);
        }
        before.assert_same(&lab.snapshot());

        agent.netns().delete_netns(delete("mine")).await.unwrap();
        agent.netns().delete_netns(delete("mine")).await.expect("an absent one succeeds");
        assert_eq!(lab.namespaces(), ["foreign"]);
    });
}

#[test]
fn interfaces_of_a_removed_namespace_become_pending() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        for name in ["a", "b"] {
            agent.netns().create_netns(CreateNetnsRequest { name: name.into() }).await.unwrap();
        }
        agent.apply(pair()).await.unwrap();
        agent.netns().delete_netns(DeleteNetnsRequest { name: "b".into() }).await.unwrap();
        eventually("b is pending", async || {
            let now = states(&agent.get("12").await.map_err(|status| status.to_string())?);
            let expected = [("a/net1".to_owned(), State::Ready), ("b/net1".to_owned(), State::Pending)];
            holds(now == expected, format!("{now:?}"))
        })
        .await;
    });
}

#[test]
fn a_network_namespace_that_is_no_pod_needs_permission() {
    private(async |lab| {
        let box_ = lab.pod("router");
        let mut wanted = topology("12");
        wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
        wanted.attachments = vec![plug("p", nic_of_netns("router", "net1"), "lan")];
        let mut agent = lab.agent().start().await;
        let before = lab.snapshot();
        let status = refused(agent.apply(wanted.clone())).await;
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        assert!(status.message().contains("--allow-netns"), "says how to allow it: {status}");
        before.assert_same(&lab.snapshot());
        agent.terminate().await;
        let agent = lab.agent().arg("--allow-netns").start().await;
        agent.apply(wanted).await.unwrap();
        assert_eq!(box_.interfaces(), ["net1"]);
    });
}
