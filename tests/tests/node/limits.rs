//! Too much, too large, and callers that do not wait.

use std::fs;

use podwire_proto::v1::{ApplyTopologyRequest, State};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, lan, nic, plug, state, topology},
    lab::agent::refused,
};
use tonic::Code;

use crate::private;

#[test]
fn the_1024th_attachment_of_a_bridge_is_refused_before_anything_is_done() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let mut wanted = topology("12");
        wanted.bridges = vec![bridge("lan")];
        wanted.attachments =
            (0..1024).map(|n| plug(&format!("p{n}"), nic(&format!("pod{n}"), "net1"), "lan")).collect();
        let status = refused(agent.apply(wanted.clone())).await;
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(
            status.message().contains("lan") && status.message().contains("1023"),
            "says which and how many: {status}"
        );
        before.assert_same(&lab.snapshot());
        wanted.attachments.pop();
        let made = agent.apply(wanted).await.expect("1023 are not too many");
        assert_eq!(state(&made), State::Pending);
    });
}

#[test]
fn a_message_of_100_mb_is_refused_and_costs_no_memory() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let memory = || {
            let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap().trim();
            peak.trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
        };
        let peak = memory();
        let mut wanted = topology("12");
        wanted.bridges = vec![bridge(&"x".repeat(100_000_000))];
        let status = refused(agent.apply(wanted)).await;
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(memory() < peak + 30, "{peak} MB became {} MB", memory());
        before.assert_same(&lab.snapshot());
        agent.apply(topology("13")).await.expect("it goes on");
    });
}

#[test]
fn a_client_that_hangs_up_leaves_all_or_nothing() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![lan("lan", "10.0.0.0/16")];
        wanted.attachments = (0..200).map(|n| plug(&format!("p{n}"), nic("a", ""), "lan")).collect();
        let mut calls = agent.topologies();
        let call = tokio::spawn(async move {
            let request = ApplyTopologyRequest { topology: Some(wanted), ..ApplyTopologyRequest::default() };
            calls.apply_topology(request).await
        });
        eventually("the work has begun", async || holds(!a.interfaces().is_empty(), "not yet")).await;
        call.abort();
        let _ = call.await;
        eventually("it is finished all the same", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(state(&now) == State::Ready && a.interfaces().len() == 200, a.interfaces().len())
        })
        .await;
        agent.delete("12").await.unwrap();
        assert!(a.interfaces().is_empty());
    });
}

#[test]
fn many_topologies_are_applied_at_once() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let calls = (0..30).map(|n| {
            let mut wanted = topology(&format!("t{n}"));
            wanted.bridges = vec![lan("lan", &format!("10.0.{n}.0/24"))];
            wanted.attachments = ["a", "b"].map(|pod| plug(pod, nic(pod, &format!("net{n}")), "lan")).to_vec();
            let mut client = agent.topologies();
            tokio::spawn(async move {
                let request = ApplyTopologyRequest { topology: Some(wanted), ..ApplyTopologyRequest::default() };
                client.apply_topology(request).await.map(drop)
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap();
        }
        for n in [0, 13, 29] {
            a.ping(b.address(&format!("net{n}")));
        }
        assert_eq!(lab.panels().len(), 30);
    });
}
