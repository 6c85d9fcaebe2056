//! An agent that cannot hear the kernel: too much at once, or not at all. It says so, and looks at everything instead.

use std::{
    fmt::Write,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};
use podwire_proto::v1::Topology;
use podwire_tests::{
    condition::{eventually, holds},
    elements::{lan, link, nic, nic_at, plug, topology},
    lab::{Lab, agent::Agent, snapshot::Snapshot},
};

use crate::private;

/// Notifications that fit into no receive buffer: one takes more than a kilobyte of its 16 MiB (linux/netlink.h,
/// `NLMSG_GOODSIZE`; the kernel doubles what is asked for).
const STORM: usize = 40_000;

/// A topology in two pods.
fn lesson(name: &str, [one, other]: [&str; 2]) -> Topology {
    let ends = (nic_at(one, "net1", &["10.7.0.1/30"]), nic_at(other, "net1", &["10.7.0.2/30"]));
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        links: vec![link("w", ends.0, ends.1)],
        attachments: vec![plug("one", nic(one, "net2"), "lan"), plug("other", nic(other, "net2"), "lan")],
        ..topology(name)
    }
}

/// An agent with three topologies, one of which has a pod that makes noise.
async fn with_lessons(lab: &Lab) -> Agent {
    lab.pods(["a", "b", "c", "d", "noisy", "e"]);
    let agent = lab.agent().start().await;
    for (name, pods) in [("12", ["a", "b"]), ("13", ["c", "d"]), ("14", ["noisy", "e"])] {
        agent.apply(lesson(name, pods)).await.unwrap();
    }
    agent
}

/// Changes that concern nobody, but are told to everybody who listens.
fn storm(lab: &Lab, pod: &str) {
    // Of a device that is down nobody is told.
    lab.ip(&format!("-n {pod} link add noise up type bridge"));
    let mut lines = String::new();
    for number in 0..STORM {
        writeln!(lines, "link set noise alias {number}").unwrap();
    }
    let file = lab.directory().join("storm");
    fs::write(&file, lines).unwrap();
    lab.ip(&format!("-n {pod} -batch {}", file.display()));
    lab.ip(&format!("-n {pod} link del noise"));
}

/// Damage at each place that a topology has, none of which makes it look unfinished to the agent by itself.
fn damage(lab: &Lab) {
    lab.ip("-n a address del 10.7.0.1/30 dev net1");
    lab.ip("-n d link set net2 mtu 1300");
    lab.ip("-n podwire.lessons.13 link del c.net2");
}

/// Waits until the kernel is as it was, and says how long that took.
async fn comes_to(lab: &Lab, before: &Snapshot) -> Duration {
    let began = Instant::now();
    eventually("all is put right", async || {
        let now = lab.snapshot().without_indexes();
        holds(now == *before, before.difference(&now))
    })
    .await;
    began.elapsed()
}

async fn says(agent: &Agent, words: &str) {
    eventually(words, async || holds(agent.log().contains(words), agent.log())).await;
}

#[test]
fn what_happens_while_more_is_told_than_can_be_heard_is_put_right_too() {
    private(async |lab| {
        let agent = with_lessons(lab).await;
        let before = lab.snapshot().without_indexes();
        // It reads nothing, as on a node that is too busy to run it.
        kill(agent.pid(), Signal::SIGSTOP).unwrap();
        storm(lab, "noisy");
        // Nobody is told of this: the buffer is full.
        damage(lab);
        kill(agent.pid(), Signal::SIGCONT).unwrap();
        let took = comes_to(lab, &before).await;
        println!("put right {took:.2?} after the storm");
        says(&agent, "more changes than could be heard: looking at everything").await;
        // It hears again.
        damage(lab);
        comes_to(lab, &before).await;
    });
}

/// Lets the agent open so many files, or as many as it may at most.
fn limit(agent: &Agent, files: &str) {
    let status =
        Command::new("prlimit").args(["--pid", &agent.pid().to_string(), &format!("--nofile={files}:")]).status();
    assert!(status.expect("prlimit (Debian's package util-linux)").success());
}

#[test]
fn an_agent_that_cannot_listen_says_so_and_looks_at_everything_when_it_can_again() {
    private(async |lab| {
        let agent = with_lessons(lab).await;
        lab.ip("-n noisy link add noise up type bridge");
        let before = lab.snapshot().without_indexes();
        let limits = fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
        let files = line.split_whitespace().nth(3).unwrap();
        // A process that waits for more descriptors than it may have is refused (poll(2), EINVAL): for two of them.
        limit(&agent, "1");
        lab.ip("-n noisy link set noise mtu 1400");
        lab.ip("-n noisy link set noise mtu 1500");
        says(&agent, "changes by others cannot be heard").await;
        let log = agent.log();
        let line = log.lines().find(|line| line.contains("cannot be heard")).unwrap();
        assert!(line.contains("ERROR") && line.contains("Invalid argument"), "the kernel's words: {line}");
        damage(lab);
        limit(&agent, files);
        let took = comes_to(lab, &before).await;
        println!("put right {took:.2?} after it could listen again");
        // It hears again.
        damage(lab);
        comes_to(lab, &before).await;
    });
}
