//! The agent is away, or takes no announcements.

use std::{os::unix::net::UnixListener, time::Duration};

use nix::sys::signal::{Signal, kill};
use podwire_tests::lab::Lab;
use serde_json::{Value, json};

use crate::private;

use super::{Sandbox, call, config, pair, running};

/// Every command with both settings. The plugin gives the agent 600 ms, and a machine at rest needs little more: so the quickest
/// of all answers comes within a second, and the slowest one where the machine was busy long before a pod that waits for an
/// agent in vain (20 s).
fn asked(lab: &Lab, sandbox: &Sandbox) {
    let mut times = Vec::new();
    for (setting, codes) in [("open", [0, 0, 0]), ("closed", [11, 11, 50])] {
        let mut config = config("1.1.0");
        config["agentAway"] = setting.into();
        config["cni.dev/valid-attachments"] = json!([]);
        for (command, code) in ["ADD", "CHECK", "STATUS"].into_iter().zip(codes) {
            let answer = call(lab, command, Some(sandbox), &config);
            times.push(answer.took);
            if code == 0 {
                assert!(answer.notes.contains("the agent is away"), "{}", answer.notes);
                let expected = if command == "ADD" { config["prevResult"].clone() } else { Value::Null };
                assert_eq!(answer.ok(), expected, "{command}");
            } else {
                let (seen, why) = answer.error();
                assert_eq!(seen, code, "{command}: {why}");
                assert!(why.contains("agent.sock"), "{why}");
            }
        }
        for command in ["DEL", "GC"] {
            let answer = call(lab, command, Some(sandbox), &config);
            times.push(answer.took);
            answer.ok();
        }
    }
    times.sort_unstable();
    let (quickest, slowest) = (times[0], times[times.len() - 1]);
    assert!(quickest < Duration::from_secs(1) && slowest < Duration::from_secs(10), "{times:?}");
}

#[test]
fn without_an_agent_it_answers_within_a_second_as_configured() {
    private(async |lab| {
        let sandbox = Sandbox::new("1", "a", &lab.pod("sandbox-a"));
        // Never started.
        asked(lab, &sandbox);
        // Killed: the file of the socket is there.
        let mut agent = running(lab).await;
        agent.kill();
        asked(lab, &sandbox);
    });
}

#[test]
fn an_agent_that_hangs_is_away() {
    private(async |lab| {
        let sandbox = Sandbox::new("1", "a", &lab.pod("sandbox-a"));
        let agent = running(lab).await;
        kill(agent.pid(), Signal::SIGSTOP).unwrap();
        asked(lab, &sandbox);
        kill(agent.pid(), Signal::SIGCONT).unwrap();
        call(lab, "ADD", Some(&sandbox), &config("1.0.0")).ok();
    });
}

#[test]
fn what_is_no_agent_is_away() {
    private(async |lab| {
        let sandbox = Sandbox::new("1", "a", &lab.pod("sandbox-a"));
        std::fs::create_dir_all("/run/podwire").unwrap();
        // Its kernel accepts connections and nobody reads them.
        let _listener = UnixListener::bind("/run/podwire/agent.sock").unwrap();
        asked(lab, &sandbox);
    });
}

#[test]
fn an_agent_that_takes_no_changes_is_away() {
    private(async |lab| {
        let sandbox = Sandbox::new("1", "a", &lab.pod("sandbox-a"));
        let mut agent = running(lab).await;
        agent.apply(pair()).await.unwrap();
        call(lab, "ADD", Some(&sandbox), &config("1.0.0")).ok();
        agent.kill();
        std::fs::remove_dir_all(lab.directory().join("state")).unwrap();
        let _untouching = running(lab).await;
        asked(lab, &sandbox);
    });
}

#[test]
fn an_agent_that_finds_pods_in_another_way_says_so() {
    private(async |lab| {
        let sandbox = Sandbox::new("1", "a", &lab.pod("sandbox-a"));
        let _agent = lab.agent().start().await;
        let (code, why) = call(lab, "ADD", Some(&sandbox), &config("1.0.0")).error();
        assert_eq!(code, 100, "{why}");
        assert!(why.contains("--pods netns") && why.contains("takes no announcements"), "{why}");
        call(lab, "DEL", Some(&sandbox), &config("1.0.0")).ok();
        call(lab, "STATUS", None, &config("1.1.0")).ok();
    });
}
