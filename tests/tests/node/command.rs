//! The command as a person and a script use it, and the examples that come with it.

use std::fs;

use podwire_tests::lab::agent::SOCKET;
use serde_json::Value;

use crate::{inputs::said, private};

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");

#[test]
fn every_example_can_be_applied() {
    private(async |lab| {
        lab.ip("link add eth0 type veth peer name far0");
        lab.ip("link set eth0 up");
        let pods = ["bb1", "bb2", "bb3", "thor", "vqfx1", "vqfx2", "vqfx3", "linux1", "router1", "router2", "host1"];
        lab.pods(pods);
        let _agent = lab.agent().arg("--node-device").arg("eth0").start().await;
        let example = |name: &str| format!("{EXAMPLES}/{name}");
        let (networks, busyboxes) = (example("busybox_networks.yaml"), example("busybox_pods.yaml"));
        let (macvlan, lesson, own) =
            (example("macvlan_thor.yaml"), example("lesson_three_devices.yaml"), example("topology.yaml"));
        for args in [
            vec!["-f", &networks, "-f", &busyboxes, "--topology", "triangle"],
            vec!["-f", &macvlan, "--topology", "thor"],
            vec!["-f", &lesson],
            vec!["-f", &own],
        ] {
            let apply = [&["apply", "--yes", "--until-ready"], &args[..]].concat();
            lab.podwire_ok(&apply);
        }
        let names = fs::read_dir(EXAMPLES).unwrap().count();
        assert_eq!(names, 7, "five manifests, all applied here, their README, and a pod");
    });
}

#[test]
fn the_example_of_a_pod_waits_for_what_the_example_of_a_topology_gives_it() {
    private(async |lab| {
        lab.pods(["router1", "router2", "host1"]);
        let _agent = lab.agent().start().await;
        lab.podwire_ok(&["apply", "--yes", "-f", &format!("{EXAMPLES}/topology.yaml")]);
        let pod = fs::read_to_string(format!("{EXAMPLES}/waiting_pod.yaml")).unwrap();
        let command =
            pod.lines().find_map(|line| line.trim().strip_prefix("command: ")).expect("a command, on one line");
        let words: Vec<String> = serde_json::from_str(command).expect("in JSON's form");
        let (program, args) = words.split_first().expect("words");
        assert_eq!(program, "podwire");
        let mut process = std::process::Command::new(lab.binary(program));
        process.args(args);
        let output = podwire_tests::netns::inside("host1", move || Ok(process.output()?)).unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(pod.contains("name: host1") && pod.contains("namespace: lessons"), "the pod of topology.yaml");
    });
}

#[test]
fn the_own_form_wires_routers_and_a_host_as_it_says() {
    private(async |lab| {
        let [router1, router2, host] = lab.pods(["router1", "router2", "host1"]);
        let _agent = lab.agent().start().await;
        lab.podwire_ok(&["apply", "--yes", "-f", &format!("{EXAMPLES}/topology.yaml")]);
        router1.ping("10.1.0.2".parse().unwrap());
        host.ping("10.0.0.1".parse().unwrap());
        host.ping(router2.address("net2"));
        assert!(router1.routes("-4").iter().any(|route| route["dst"] == "10.2.0.0/16" && route["metric"] == 100));
        assert!(host.routes("-4").iter().any(|route| route["dst"] == "default" && route["gateway"] == "10.0.0.1"));
    });
}

#[test]
fn what_get_writes_can_be_applied_again_and_changes_nothing() {
    private(async |lab| {
        lab.pods(["router1", "router2", "host1"]);
        let _agent = lab.agent().start().await;
        lab.podwire_ok(&["apply", "--yes", "-f", &format!("{EXAMPLES}/topology.yaml")]);
        let before = lab.snapshot();
        let written = lab.podwire_ok(&["get", "topologies", "first-look", "-n", "lessons", "-o", "json"]);
        let written: Value = serde_json::from_str(&written).expect("JSON");
        // One, or a list of one.
        let one = written.as_array().map_or(&written, |all| &all[0]);
        let one = one["topologies"].as_array().map_or(one, |all| &all[0]);
        let path = lab.directory().join("again.json");
        fs::write(&path, one.to_string()).unwrap();
        lab.podwire_ok(&["apply", "--yes", "-f", &path.display().to_string()]);
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn exit_codes_say_what_went_wrong() {
    private(async |lab| {
        let own = format!("{EXAMPLES}/topology.yaml");
        let code = |args: &[&str]| {
            let output = lab.podwire(args);
            (output.status.code(), said(&output))
        };
        let (unreachable, why) = code(&["get", "node"]);
        assert_eq!(unreachable, Some(4), "{why}");
        assert!(why.contains(SOCKET.trim_start_matches("unix://")), "names the address: {why}");
        let _agent = lab.agent().start().await;
        for (args, expected) in [
            (vec!["get", "node"], 0),
            (vec!["apply"], 2),
            (vec!["--agent", "http://x", "get", "node"], 2),
            (vec!["apply", "-f", "/nowhere.yaml"], 3),
            (vec!["apply", "-f", &own, "--yes", "--until-ready", "--timeout", "1s"], 5),
        ] {
            let (got, why) = code(&args);
            assert_eq!(got, Some(expected), "{args:?}: {why}");
        }
    });
}

#[test]
fn doctor_finds_nothing_on_a_healthy_node() {
    private(async |lab| {
        lab.pod("a");
        let _agent = lab.agent().start().await;
        let checked = lab.podwire_ok(&["doctor"]);
        assert!(!checked.is_empty());
    });
}

#[test]
fn netns_makes_lists_and_removes_pods() {
    private(async |lab| {
        lab.pod("foreign");
        let _agent = lab.agent().start().await;
        lab.podwire_ok(&["netns", "create", "one", "two"]);
        assert_eq!(lab.namespaces(), ["foreign", "one", "two"]);
        let listed = lab.podwire_ok(&["netns", "list"]);
        assert!(["foreign", "one", "two"].iter().all(|name| listed.contains(name)), "{listed}");
        let output = lab.podwire(&["netns", "delete", "foreign"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        lab.podwire_ok(&["netns", "delete", "one", "two"]);
        assert_eq!(lab.namespaces(), ["foreign"]);
    });
}
