//! The policy without an agent, without TLS, and the settings around it.

use std::process::{Command, Output, Stdio};

use podwire_client::Client;
use podwire_tests::{elements::topology, lab::Lab};

use super::{Door, assert_denied, policy_file, rules, write};
use crate::{inputs::said, private};

fn check(lab: &Lab, args: &[&str]) -> Output {
    let mut command = Command::new(lab.binary("podwire-agent"));
    command.args(["policy", "check"]).args(args).stdin(Stdio::null());
    command.output().expect("run podwire-agent")
}

#[test]
fn a_policy_is_asked_without_an_agent() {
    private(async |lab| {
        let file = policy_file(lab);
        let path = file.display().to_string();
        write(&file, &rules([("spiffe://lab/ns/*/sa/s", "team-*", "read, write")]));
        for (id, verb, namespace, code) in [
            ("spiffe://lab/ns/a/sa/s", "write", "team-a", 0),
            ("spiffe://lab/ns/a/sa/s", "capture", "team-a", 1),
            ("spiffe://lab/ns/a/sa/s", "read", "lessons", 1),
            ("spiffe://lab/ns/a/sa/t", "read", "team-a", 1),
            ("spiffe://lab/ns/a/sa/s", "read", "*", 1),
            ("uid:0", "admin", "*", 0),
            ("spiffe://lab/ns/a/sa/s", "fly", "team-a", 2),
            ("spiffe:///x", "read", "team-a", 2),
        ] {
            let output = check(lab, &[&path, "--as", id, "--can", verb, namespace]);
            assert_eq!(output.status.code(), Some(code), "{id} {verb} {namespace}: {}", said(&output));
        }
        let output = check(lab, &[&path]);
        assert!(output.status.success() && said(&output).contains("1 rule"), "{}", said(&output));
        write(&file, "rules:\n- identities: [a]\n  namespace: [b]\n  verbs: [read]\n");
        let output = check(lab, &[&path]);
        let told = said(&output);
        assert_eq!(output.status.code(), Some(3), "{told}");
        for word in ["policy.yaml", "namespace", "3"] {
            assert!(told.contains(word), "{told}");
        }
        assert_eq!(check(lab, &["/no/such/file"]).status.code(), Some(3));
        let example = podwire_tests::manifest::folder().join("tls/policy.yaml").display().to_string();
        let id = "spiffe://cluster.local/ns/my-scheduler/sa/my-scheduler";
        let output = check(lab, &[&example, "--as", id, "--can", "write", "lessons-12"]);
        assert!(output.status.success(), "as its README says: {}", said(&output));
    });
}

#[test]
fn a_port_without_tls_is_open_unless_a_policy_says_otherwise() {
    private(async |lab| {
        let target = "tcp://127.0.0.1:7412";
        let open = || lab.agent().arg("--listen").arg(target).arg("--insecure-plaintext-tcp");
        let mut agent = open().start().await;
        Client::connect(target).await.unwrap().apply(topology("12")).await.unwrap();
        agent.terminate().await;
        write(&policy_file(lab), &rules([("anonymous", "lessons", "read")]));
        let agent = open().arg("--policy").arg(policy_file(lab).display().to_string()).start().await;
        let client = Client::connect(target).await.unwrap();
        assert_eq!(client.list_topologies(Some("lessons")).await.unwrap().len(), 1);
        assert_denied(&client.apply(topology("13")).await.unwrap_err(), "anonymous", "write", "lessons");
        agent.client().await.apply(topology("13")).await.unwrap();
    });
}

#[test]
fn the_command_speaks_tls_and_says_what_is_wrong() {
    private(async |lab| {
        let door = Door::open(lab, &rules([("me.example", "lessons", "read")])).await;
        let directory = lab.directory().join("me");
        let files = super::certificates::files(directory, &door.authority, &door.authority.issue(&["me.example"]));
        let at = |name: &str| files.path(name).display().to_string();
        let (cert, key, ca) = (at("tls.crt"), at("tls.key"), at("ca.crt"));
        let target = format!("tls://{}", super::ADDRESS);
        let with = ["--agent", &target, "--tls-cert", &cert, "--tls-key", &key, "--tls-ca", &ca];
        lab.podwire_ok(&[&with[..], &["get", "topologies"]].concat());
        let output = lab.podwire(&[&with[..], &["delete", "12", "-n", "lessons", "--yes"]].concat());
        assert_eq!(output.status.code(), Some(1));
        assert!(said(&output).contains("me.example may not `write` in namespace `lessons`"), "{}", said(&output));
        for (args, words) in [
            (vec!["--agent", &target], "--tls-cert"),
            (vec!["--agent", "tcp://127.0.0.1:7411"], "does it speak TLS there?"),
            ([&with[..], &["--tls-server-name", "agents.example"]].concat(), "is not trusted"),
        ] {
            let output = lab.podwire(&[&args[..], &["get", "topologies"]].concat());
            let told = said(&output);
            println!("{told}");
            assert!(told.contains(words) && !output.status.success(), "{args:?}: {told}");
        }
        // By the socket of the node no certificate is looked at.
        lab.podwire_ok(&["--tls-cert", "/no/such/file", "get", "topologies"]);
    });
}

#[test]
fn files_that_are_of_no_use_keep_the_agent_from_starting() {
    private(async |lab| {
        write(&policy_file(lab), "rules: [{identities: ['*'], namespaces: ['*'], verbs: [read]}]");
        let mut agent = lab.agent().arg("--policy").arg(policy_file(lab).display().to_string()).spawn();
        assert!(!agent.ended().await.success());
        assert!(agent.log().contains("--policy") && agent.log().contains("nobody's name"), "{}", agent.log());
        let none = "/no/such/file";
        let agent = lab.agent().arg("--listen").arg("tcp://127.0.0.1:7411").arg("--tls-cert").arg(none);
        let mut agent = agent.arg("--tls-key").arg(none).arg("--tls-client-ca").arg(none).spawn();
        assert!(!agent.ended().await.success());
        assert!(agent.log().contains("--tls-cert") && agent.log().contains(none), "{}", agent.log());
    });
}
