//! How much a namespace may have and ask for.

use std::time::{Duration, Instant};

use podwire_client::{CaptureRequest, Client, Error, WatchRequest};
use podwire_proto::v1::{Topology, node_service_client::NodeServiceClient};
use podwire_tests::{
    condition::PATIENCE,
    elements::{bridge, lease, link, nic, plug, topology},
};
use tokio::time::timeout;
use tonic::Code;
use tonic_types::StatusExt;

use super::{Door, rules, wire::channel};
use crate::private;

fn policy(quotas: &str) -> String {
    rules([("a.example", "*", "read, write, capture"), ("b.example", "*", "read, write")]) + "quotas:\n" + quotas
}

fn of(namespace: &str, name: &str) -> Topology {
    Topology { namespace: namespace.to_owned(), bridges: vec![bridge("lan")], ..topology(name) }
}

async fn refusal(client: &Client, wanted: Topology) -> Error {
    client.apply(wanted).await.expect_err("it is too much")
}

fn assert_quota(error: &Error, words: &str) {
    assert!(error.is_exhausted() && error.reason() == Some("QUOTA"), "{error}");
    assert!(error.message().contains(words), "{words}: {error}");
}

#[test]
fn a_namespace_has_no_more_than_its_quota_and_others_have_theirs() {
    private(async |lab| {
        let limits = "- {namespaces: ['*'], topologies: 2, interfaces: 4, bridges: 3}\n";
        let door = Door::open(lab, &policy(limits)).await;
        let client = door.client("a.example").await;
        client.apply(of("mine", "a")).await.unwrap();
        client.apply(of("mine", "b")).await.unwrap();
        assert_quota(&refusal(&client, of("mine", "c")).await, "3 topologies, 2 are the most");
        client.apply(of("yours", "c")).await.unwrap();
        let bridges = ["x", "y", "z"].map(bridge).to_vec();
        assert_quota(&refusal(&client, Topology { bridges, ..of("mine", "b") }).await, "4 bridges, 3 are the most");
        let plugs =
            |count: usize| (0..count).map(|i| plug(&format!("p{i}"), nic(&format!("pod{i}"), "net1"), "lan")).collect();
        client.apply(Topology { attachments: plugs(4), ..of("mine", "b") }).await.unwrap();
        assert_quota(&refusal(&client, Topology { attachments: plugs(5), ..of("mine", "b") }).await, "5 interfaces");
        let one_more = Topology { links: vec![link("w", nic("q", "net1"), nic("r", "net1"))], ..of("mine", "a") };
        assert_quota(&client.plan(one_more).await.unwrap_err(), "6 interfaces, 4 are the most");
        client.delete_topology("mine", "b").await.unwrap();
        client.apply(of("mine", "c")).await.unwrap();

        // A lower quota takes nothing away, and lets nothing more come.
        door.change_policy(&policy("- {namespaces: [mine], topologies: 1}\n")).await;
        client.apply(Topology { bridges: Vec::new(), ..of("mine", "a") }).await.unwrap();
        assert_quota(&refusal(&client, of("mine", "d")).await, "3 topologies, 1 are the most");
        door.agent.apply(of("mine", "by-root")).await.unwrap();
    });
}

#[test]
fn a_namespace_may_have_to_give_leases() {
    private(async |lab| {
        let limits = "- {namespaces: [mine], lease: {required: true, longest_seconds: 60}}\n";
        let door = Door::open(lab, &policy(limits)).await;
        let client = door.client("a.example").await;
        let error = refusal(&client, of("mine", "a")).await;
        assert!(error.is_precondition() && error.reason() == Some("LEASE_REQUIRED"), "{error}");
        let with = |seconds| Topology { lease: lease(Duration::from_secs(seconds)), ..of("mine", "a") };
        let error = refusal(&client, with(61)).await;
        assert!(error.is_precondition() && error.reason() == Some("LEASE_TOO_LONG"), "{error}");
        client.apply(with(60)).await.unwrap();
        client.apply(of("yours", "a")).await.unwrap();
    });
}

#[test]
fn captures_are_counted_while_they_last() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let door = Door::open(lab, &policy("- {namespaces: [lessons], captures: 1}\n")).await;
        let client = door.client("a.example").await;
        let wire = Topology { links: vec![link("w", nic("a", "net1"), nic("b", "net1"))], ..topology("12") };
        client.apply(wire).until_ready().await.unwrap();
        let request = || CaptureRequest::link("lessons", "12", "w");
        let mut first = client.capture(request()).await.unwrap();
        timeout(PATIENCE, first.next()).await.unwrap().unwrap().unwrap();
        assert_quota(&client.capture(request()).await.unwrap_err(), "1 captures at once");
        drop(first);
        podwire_tests::condition::eventually("the next one starts", async || client.capture(request()).await.map(drop))
            .await;
    });
}

#[test]
fn a_tenant_at_its_limit_is_told_when_to_come_back_and_slows_nobody() {
    private(async |lab| {
        let limits = "- {namespaces: [noisy], requests: {per_second: 5, burst: 5}}\n";
        let door = Door::open(lab, &policy(limits)).await;
        let (noisy, quiet) = (door.client("a.example").await, door.client("b.example").await);
        for client in [&noisy, &quiet] {
            client.get_node().await.unwrap();
        }
        let time = async |count: u32| {
            let started = Instant::now();
            for _ in 0..count {
                quiet.list_topologies(Some("quiet")).await.unwrap();
            }
            started.elapsed() / count
        };
        let alone = time(200).await;
        let stop = tokio::sync::Notify::new();
        let started = Instant::now();
        let flood = async {
            let (mut passed, mut sent) = (0_u32, 0_u32);
            let flood = async {
                loop {
                    let calls = [(); 8].map(|()| noisy.list_topologies(Some("noisy")));
                    for call in calls {
                        match call.await {
                            Ok(_) => passed += 1,
                            Err(error) => assert_quota(&error, "5 calls a second and 5 at once"),
                        }
                        sent += 1;
                    }
                }
            };
            tokio::select! {
                () = flood => {}
                () = stop.notified() => {}
            }
            (passed, sent, started.elapsed())
        };
        let beside = async {
            let beside = time(500).await;
            stop.notify_one();
            beside
        };
        let ((passed, sent, took), beside) = tokio::join!(flood, beside);
        println!("a call alone {alone:?}, beside {sent} calls of which {passed} passed in {took:?}: {beside:?}");
        assert!(f64::from(passed) <= 5.0 + took.as_secs_f64() * 5.0 + 1.0, "{passed} in {took:?}");
        assert!(sent > 2 * passed, "it was no flood");

        let pair = door.authority.issue(&["a.example"]);
        let mut raw = NodeServiceClient::new(channel(&door.authority, Some(&pair)));
        let pods = || podwire_proto::v1::ListPodsRequest { namespace: "noisy".to_owned() };
        let status = loop {
            if let Err(status) = raw.list_pods(pods()).await {
                break status;
            }
        };
        assert_eq!(status.code(), Code::ResourceExhausted);
        let details = status.get_error_details();
        let again = details.retry_info().and_then(|info| info.retry_delay).expect("when to come back");
        assert!(again > Duration::ZERO && again <= Duration::from_millis(200), "{again:?}");
        assert!(details.quota_failure().is_some());
        tokio::time::sleep(again).await;
        raw.list_pods(pods()).await.unwrap();
    });
}

#[test]
fn calls_that_name_no_namespace_are_counted_by_who_makes_them() {
    private(async |lab| {
        let limits = "callers:\n- {identities: ['*.example'], requests: {per_second: 1, burst: 6}}\n";
        let door = Door::open(lab, &(rules([("*.example", "*", "read, netns")]) + limits)).await;
        let (noisy, quiet) = (door.client("a.example").await, door.client("b.example").await);
        let started = Instant::now();
        let mut passed = 0_u32;
        let mut refusal = None;
        for round in 0..60 {
            let result = match round % 4 {
                0 => noisy.get_node().await.map(drop),
                1 => noisy.list_topologies(None).await.map(drop),
                2 => noisy.list_netns().await.map(drop),
                _ => noisy.watch(WatchRequest::all()).await.map(drop),
            };
            match result {
                Ok(()) => passed += 1,
                Err(error) => refusal = Some(error),
            }
        }
        let most = 6.0 + started.elapsed().as_secs_f64() + 1.0;
        assert!(passed >= 6 && f64::from(passed) <= most, "{passed} in {:?}", started.elapsed());
        let error = refusal.expect("60 calls are too many");
        assert_quota(&error, "the quota of a.example: 1 calls a second that name no namespace and 6 at once");
        // Those that name one have the quota of that one; others have their own; root has none.
        for _ in 0..20 {
            noisy.list_topologies(Some("mine")).await.unwrap();
            door.agent.client().await.get_node().await.unwrap();
        }
        quiet.get_node().await.unwrap();
    });
}
