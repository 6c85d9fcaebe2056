//! Container runtimes that answer badly, or are none.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use podwire_proto::v1::{ListPodsRequest, State};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{interfaces, state},
    lab::{
        Lab,
        agent::{Agent, refused},
    },
    private::measured,
    verdict::reason,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};
use tonic::{Code, transport::Server};

use crate::{
    fake::{self, Fake},
    lan_of, private, until,
};

async fn agent(lab: &Lab) -> Agent {
    lab.agent().with("--pods", "cri").with("--cri-socket", fake::SOCKET).start().await
}

/// What the agent says of the pod `a` that it does not plug.
async fn why(agent: &Agent) -> String {
    let made = agent.apply(lan_of(&["a"])).await.unwrap();
    assert_eq!(state(&made), State::Pending, "{made:?}");
    let interface = interfaces(&made).next().unwrap().clone();
    interface.status.unwrap().reason
}

#[test]
fn a_runtime_that_does_not_tell_the_path_is_answered_with_the_way_out() {
    private(async |lab| {
        let fake = Fake::serve();
        let agent = agent(lab).await;
        let network = |network: &str| format!(r#"{{"runtimeSpec":{{"linux":{{"namespaces":[{network}]}}}}}}"#);
        for (number, info) in [
            None,
            Some("garbage {".to_owned()),
            Some("{}".to_owned()),
            Some(network(r#"{"type":"network"}"#)),
            Some(network(r#"{"type":"network","path":"relative/path"}"#)),
            Some("[".repeat(200_000)),
        ]
        .into_iter()
        .enumerate()
        {
            fake.sandboxes().clear();
            fake.add(&format!("sandbox{number}"), "a", 0, 1, info);
            let before = lab.snapshot();
            let status = refused(agent.apply(lan_of(&["a"]))).await;
            assert_eq!(
                (status.code(), reason(&status).as_str()),
                (Code::FailedPrecondition, "NO_NETNS_PATH"),
                "{status}"
            );
            assert!(status.message().contains("podwire-cni") && status.message().contains("lessons/a"), "{status}");
            before.assert_same(&lab.snapshot());
        }
    });
}

#[test]
fn the_nodes_own_namespace_is_refused_whatever_the_runtime_calls_it() {
    private(async |lab| {
        let fake = Fake::serve();
        let agent = agent(lab).await;
        let before = lab.snapshot();
        fake.ready("own", "a", "/proc/1/ns/net", 1);
        let status = refused(agent.apply(lan_of(&["a"]))).await;
        assert_eq!(reason(&status), "HOST_NETWORK", "{status}");
        fake.sandboxes().clear();
        std::fs::write("/run/plain", "").unwrap();
        fake.ready("plain", "a", "/run/plain", 1);
        let status = refused(agent.apply(lan_of(&["a"]))).await;
        assert_eq!(reason(&status), "NOT_A_NETNS", "{status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn only_the_newest_ready_sandbox_of_a_pod_is_plugged() {
    private(async |lab| {
        let [old, new, dead] = lab.pods(["old", "new", "dead"]);
        let fake = Fake::serve();
        fake.add("dead", "a", 1, 9, Some(fake::info("/run/netns/dead")));
        let agent = agent(lab).await;
        let reason = why(&agent).await;
        assert!(reason.contains("NOTREADY") && reason.contains("dead"), "{reason}");
        fake.ready("new", "a", "/run/netns/new", 5);
        fake.ready("old", "a", "/run/netns/old", 4);
        agent.apply(lan_of(&["a"])).await.unwrap();
        until(&agent, "12", State::Ready).await;
        let nothing: [&str; 0] = [];
        assert_eq!(new.interfaces(), ["net1"]);
        assert_eq!((old.interfaces(), dead.interfaces()), (nothing.map(str::to_owned).to_vec(), vec![]));
    });
}

#[test]
fn events_that_end_are_made_up_for_by_the_kernels_signs_and_the_list() {
    private(async |lab| {
        let fake = Fake::serve();
        let agent = agent(lab).await;
        why(&agent).await;
        // As a runtime does: the namespace first, the sandbox a moment later.
        let started = Instant::now();
        let pod = lab.pod("cni-a");
        fake.ready("one", "a", "/run/netns/cni-a", 1);
        eventually("it is plugged", async || holds(pod.interfaces() == ["net1"], "not yet")).await;
        measured(&format!("made-up runtime without events: plugged {:?} after its namespace came", started.elapsed()));
        lab.ip("netns del cni-a");
        until(&agent, "12", State::Pending).await;
        assert_eq!(agent.log().matches("no events of the container runtime").count(), 1, "said once");
        let streams = fake.asked().2;
        assert!(streams < 50, "with a back-off: {streams}");
    });
}

#[test]
fn five_thousand_sandboxes_are_one_list_and_one_status_each() {
    private(async |lab| {
        let pod = lab.pod("cni-a");
        let fake = Fake::serve();
        for number in 0..5000 {
            fake.ready(&format!("s{number}"), &format!("pod{number}"), &format!("/run/netns/none{number}"), 1);
        }
        fake.ready("one", "a", "/run/netns/cni-a", 1);
        // Not the kubelet's, and absurd.
        fake.add("strange", "../../etc", 0, 1, None);
        fake.add("", "b", 0, 1, None);
        let started = Instant::now();
        let agent = agent(lab).await;
        agent.apply(lan_of(&["a"])).await.unwrap();
        until(&agent, "12", State::Ready).await;
        measured(&format!("5,000 sandboxes: READY {:?} after the agent's start", started.elapsed()));
        assert_eq!(pod.interfaces(), ["net1"]);
        // READY before the others were asked for.
        eventually("one status each", async || holds(fake.asked().1 == 5001, fake.asked().1)).await;
        let (before, started) = (fake.asked(), Instant::now());
        let listed = agent.node().list_pods(ListPodsRequest::default()).await.unwrap().into_inner().pods;
        measured(&format!("5,000 sandboxes: ListPods takes {:?}", started.elapsed()));
        assert_eq!(listed.len(), 5001);
        let after = fake.asked();
        // Its own, the sweeps', and that of the look which five thousand news end in: each is one list of all.
        assert!(after.0 - before.0 < 10, "no list for each pod: {before:?} {after:?}");
        assert_eq!(after.1, before.1, "no status is asked for again");
        assert!(agent.log().contains("sandboxes without the labels of a pod are skipped"), "{}", agent.log());
    });
}

#[test]
fn a_socket_that_is_not_a_runtime_is_said_to_be_none_once_and_is_looked_at_again() {
    private(async |lab| {
        let listener = UnixListener::bind(fake::SOCKET).unwrap();
        let garbage = async |mut stream: UnixStream| {
            let _ = stream.write_all(b"220 mail.example ESMTP\r\n").await;
            // Closed at once, it would be a connection that was closed, now and then.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        };
        let answering = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                garbage(stream).await;
            }
        });
        let agent = agent(lab).await;
        eventually("it says so", async || {
            let said = why(&agent).await;
            holds(said.contains(fake::SOCKET) && !said.contains("has not asked"), said)
        })
        .await;
        answering.abort();
        let _ = answering.await;

        // gRPC, and not CRI.
        std::fs::remove_file(fake::SOCKET).unwrap();
        let (_, health) = tonic_health::server::health_reporter();
        let listener = tokio_stream::wrappers::UnixListenerStream::new(UnixListener::bind(fake::SOCKET).unwrap());
        let other = tokio::spawn(Server::builder().add_service(health).serve_with_incoming(listener));
        eventually("it says so", async || {
            let said = why(&agent).await;
            holds(said.contains("not a container runtime that speaks CRI v1") && said.contains("Unimplemented"), said)
        })
        .await;
        other.abort();
        let _ = other.await;
        std::fs::remove_file(fake::SOCKET).unwrap();

        // It comes to its senses.
        let pod = lab.pod("cni-a");
        Fake::serve().ready("one", "a", "/run/netns/cni-a", 1);
        until(&agent, "12", State::Ready).await;
        assert_eq!(pod.interfaces(), ["net1"]);
        let log = agent.log();
        // Whoever waits for it in vain repeats the reason. Garbage is an error of HTTP/2 or the end of the connection, by
        // what hyper sees first.
        let said = log.lines().filter(|line| line.contains("cri::follow") && line.contains("speaks CRI v1"));
        let said: Vec<&str> = said.filter_map(|line| line.split_once("reason=").map(|(_, reason)| reason)).collect();
        assert!(said.windows(2).all(|two| two[0] != two[1]), "said once for each answer: {log}");
        assert!(said.iter().collect::<BTreeSet<_>>().len() <= 3, "three answers at the most: {log}");
    });
}

#[test]
fn a_socket_that_never_answers_holds_nobody_up() {
    private(async |lab| {
        let listener = UnixListener::bind(fake::SOCKET).unwrap();
        let agent = agent(lab).await;
        let started = Instant::now();
        let said = why(&agent).await;
        // A look for pods waits 2 s; the call has 20.
        assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
        assert!(said.contains("lessons/a"), "{said}");
        eventually("it says so", async || {
            let said = why(&agent).await;
            holds(said.contains("does not answer"), said)
        })
        .await;
        drop(listener);
    });
}
