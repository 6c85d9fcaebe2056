//! The command as it is run, against an agent without a kernel.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "commands/agent.rs"]
mod agent;

use std::process::Output;

use agent::{Agent, podwire};

const TRIANGLE: [&str; 7] =
    ["apply", "--topology", "triangle", "-f", "busybox_networks.yaml", "-f", "busybox_pods.yaml"];

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Exit status, with what was said where it is another one.
fn status(output: &Output, expected: i32) {
    assert_eq!(output.status.code(), Some(expected), "{}{}", stdout(output), stderr(output));
}

#[test]
fn apply_shows_the_panel_and_show_shows_it_again() {
    let agent = Agent::start();
    let applied = agent.podwire(&TRIANGLE);
    status(&applied, 0);
    insta::assert_snapshot!(stdout(&applied), @r"
    topology default/triangle  READY  6 of 6 interfaces
    panel podwire.default.triangle  owned by apply

    WIRE              ADDRESSES      MAC                MTU   CARRIER  STATE
    bridge 31-bridge  10.10.31.0/24
    ├─ bb1/net1       10.10.31.2/24  02:5e:00:00:00:01  1500  up       READY
    └─ bb3/net2       10.10.31.7/24  02:5e:00:00:00:06  1500  up       READY
    bridge 12-bridge  10.10.12.0/24
    ├─ bb1/net2       10.10.31.3/24  02:5e:00:00:00:02  1500  up       READY
    └─ bb2/net1       10.10.31.4/24  02:5e:00:00:00:03  1500  up       READY
    bridge 23-bridge  10.10.23.0/24
    ├─ bb2/net2       10.10.31.5/24  02:5e:00:00:00:04  1500  up       READY
    └─ bb3/net1       10.10.31.6/24  02:5e:00:00:00:05  1500  up       READY
    ");
    assert_eq!(stderr(&applied), "");
    let shown = agent.podwire(&["show", "triangle"]);
    assert_eq!(stdout(&shown), stdout(&applied));
    assert!(stdout(&shown).lines().all(|line| line.chars().count() <= 80), "fits a terminal of 80 columns");
    assert_eq!(stdout(&agent.podwire(&["show"])), stdout(&applied));
}

#[test]
fn programs_get_documents_that_can_be_applied_again() {
    let agent = Agent::start();
    let json = agent.podwire(&[&TRIANGLE[..], &["-o", "json"]].concat());
    status(&json, 0);
    let document: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(document["attachments"][0]["interface"]["pod"], "bb1");
    assert_eq!(document["status"]["interfaces_ready"], 6);
    let directory = tempfile::tempdir().unwrap();
    for format in ["json", "yaml"] {
        let output = agent.podwire(&["show", "triangle", "-o", format]);
        let file = directory.path().join(format);
        std::fs::write(&file, &output.stdout).unwrap();
        status(&agent.podwire(&["apply", "-f", file.to_str().unwrap()]), 0);
    }
}

#[test]
fn what_goes_is_said_first_and_nobody_is_asked_without_a_terminal() {
    let agent = Agent::start();
    status(&agent.podwire(&TRIANGLE), 0);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("empty.yaml");
    std::fs::write(&file, "name: triangle\n").unwrap();
    let output = agent.podwire(&["apply", "-f", file.to_str().unwrap()]);
    status(&output, 0);
    let said = stderr(&output);
    assert!(said.starts_with("this removes from topology default/triangle:\n  attachment bb1-net1\n"), "{said}");
    let plan = agent.podwire(&["plan", "-f", file.to_str().unwrap()]);
    assert_eq!(stdout(&plan), "nothing to do\n");
}

#[test]
fn plan_lists_the_steps() {
    let agent = Agent::start();
    let output = agent.podwire(&[&["plan"], &TRIANGLE[1..]].concat());
    status(&output, 0);
    let text = stdout(&output);
    assert!(
        text.starts_with("ACTION  OBJECT\ncreate  attachment bb1-net1\n") && text.ends_with("\n6 steps\n"),
        "{text}"
    );
    assert_eq!(agent.kept.len(), 0);
}

#[test]
fn a_broken_manifest_sends_nothing() {
    let agent = Agent::start();
    let output =
        agent.podwire(&["apply", "--topology", "t", "-f", "busybox_networks.yaml", "busybox_pods.as-published.yaml"]);
    status(&output, 3);
    let said = stderr(&output);
    assert!(said.contains("--> busybox_pods.as-published.yaml:5:1\n") && said.contains("5 | name: bb1"), "{said}");
    assert!(said.contains("hint: the indentation is lost"), "{said}");
    assert_eq!((stdout(&output).as_str(), agent.kept.len()), ("", 0));
}

#[test]
fn skipped_routes_are_warned_of() {
    let agent = Agent::start();
    let output = agent.podwire(&["apply", "--topology", "thor", "-f", "macvlan_thor.yaml"]);
    status(&output, 0);
    assert_eq!(stderr(&output), "warning: thor/net1: route 0.0.0.0/0 is left out: the pod has its own\n");
}

#[test]
fn what_is_not_ready_says_why() {
    let agent = Agent::start();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("late.yaml");
    let text = "name: t\nbridges: [{name: lan1}]\nattachments: [{name: a, interface: {pod: late, name: net1}, bridge: lan1}]\n";
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let waited = agent.podwire(&["apply", "-f", file, "--wait", "--timeout", "2s"]);
    status(&waited, 5);
    assert!(stderr(&waited).contains("interface `late/net1` is PENDING: no pod `late`"), "{}", stderr(&waited));
    let shown = agent.podwire(&["show", "t"]);
    assert!(stdout(&shown).ends_with("not READY:\n  late/net1  PENDING: no pod `late`\n"), "{}", stdout(&shown));
    let doctor = agent.podwire(&["doctor"]);
    status(&doctor, 7);
    assert_eq!(stderr(&doctor), "found 1 needed capability missing, 1 topology not READY\n");
    let text = stdout(&doctor);
    for line in ["macvlan     missing  links  Operation not supported", "  late/net1  PENDING  no pod `late`"] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn tables_are_as_wide_as_columns_says_and_whole_without_it() {
    let agent = Agent::start();
    status(&agent.podwire(&TRIANGLE), 0);
    let widest = |text: &str| text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let whole = stdout(&agent.podwire(&["show"]));
    assert!(whole.contains("02:5e:00:00:00:01") && widest(&whole) > 60, "{whole}");
    for (command, columns) in [("show", 50), ("show", 80), ("doctor", 50), ("doctor", 80)] {
        let text = stdout(&agent.in_columns(columns, &[command]));
        // What the agent is asked at is said as it was given.
        let text: String = text.lines().filter(|line| !line.starts_with("the agent at")).collect::<Vec<_>>().join("\n");
        assert!(text.contains("bb1") || command == "doctor", "{text}");
        assert!(widest(&text) <= columns, "{columns}: {text}");
    }
}

#[test]
fn graph_draws_to_the_standard_output_or_to_a_file() {
    let agent = Agent::start();
    status(&agent.podwire(&TRIANGLE), 0);
    let drawn = agent.podwire(&["graph", "triangle"]);
    status(&drawn, 0);
    let text = stdout(&drawn);
    let picture = roxmltree::Document::parse(&text).unwrap();
    let said: Vec<_> = picture.descendants().filter_map(|node| node.text()).collect();
    for words in ["default/triangle", "bb1", "● net1", "10.10.31.2/24", "● READY, 6 of 6 interfaces"] {
        assert!(said.contains(&words), "{words}: {said:?}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("triangle.mmd");
    let path = file.to_str().unwrap();
    let written = agent.podwire(&["graph", "triangle", "--format", "mermaid", "-w", path]);
    status(&written, 0);
    assert_eq!(stdout(&written), "");
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("flowchart LR\n"));
    assert!(
        stdout(&agent.podwire(&["graph", "triangle", "--format", "dot"])).starts_with("graph \"default/triangle\" {\n")
    );
    status(&agent.podwire(&["graph", "nonexistent"]), 1);
    status(&agent.podwire(&["graph", "triangle", "-o", "json"]), 2);
    let nowhere = agent.podwire(&["graph", "triangle", "-w", "/nonexistent/picture.svg"]);
    status(&nowhere, 1);
    assert!(stderr(&nowhere).contains("cannot write `/nonexistent/picture.svg`: No such file"), "{}", stderr(&nowhere));
}

#[test]
fn delete_says_what_it_removed_and_an_absent_one_succeeds() {
    let agent = Agent::start();
    status(&agent.podwire(&TRIANGLE), 0);
    let output = agent.podwire(&["delete", "triangle"]);
    status(&output, 0);
    assert_eq!(stderr(&output), "topology default/triangle is removed with 6 interfaces\n");
    let output = agent.podwire(&["delete", "triangle"]);
    status(&output, 0);
    assert_eq!(stderr(&output), "the agent knows no topology default/triangle\n");
}

#[test]
fn watch_prints_one_line_for_each_event() {
    let agent = Agent::start();
    status(&agent.podwire(&TRIANGLE), 0);
    let output = agent.podwire(&["watch"]);
    assert!(stdout(&output).contains("is there  default/triangle  READY  6/6  (apply)"), "{}", stdout(&output));
    let json = agent.podwire(&["watch", "-o", "json"]);
    assert_eq!(stdout(&json).lines().count(), 1);
}

#[test]
fn colour_is_for_terminals_and_names_cannot_bring_their_own() {
    let agent = Agent::start();
    let plain = agent.podwire(&TRIANGLE);
    assert!(!stdout(&plain).contains('\u{1b}'));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("evil.yaml");
    std::fs::write(&file, "name: t\nbridges: [{name: \"\\e[31mred\"}]\n").unwrap();
    let shown = agent.podwire(&["apply", "-f", file.to_str().unwrap()]);
    assert!(stdout(&shown).contains("bridge \u{fffd}[31mred"), "{}", stdout(&shown));
}

#[test]
fn every_failure_has_its_exit_status() {
    let agent = Agent::start();
    status(&podwire("unix:///nonexistent/agent.sock", &["show"]), 4);
    status(&podwire("nonsense", &["show"]), 2);
    status(&agent.podwire(&["apply"]), 2);
    status(&agent.podwire(&["apply", "-f", "nonexistent.yaml"]), 3);
    status(&agent.podwire(&["show", "nonexistent"]), 1);
    status(&agent.podwire(&["get", "topologies", "nonexistent"]), 1);
    let help = agent.podwire(&["apply", "--help"]);
    assert!(stdout(&help).contains("Exit status:\n  0  done\n"), "{}", stdout(&help));
    status(&agent.podwire(&["completions", "bash"]), 0);
}
