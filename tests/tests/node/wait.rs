//! `podwire wait`, as an init container runs it: in the pod's namespace, without any capability and without the agent.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use podwire_proto::v1::{Link, LinkMode, Topology};
use podwire_tests::{
    condition::eventually,
    elements::{lan, link, nic, nic_at, plug, topology},
    lab::{Lab, pod::Pod},
    netns,
};
use serde_json::Value;

use crate::{inputs::said, private};

/// The command in a pod, without capabilities.
fn wait(lab: &Lab, args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"]);
    command.arg(lab.binary("podwire")).arg("wait").args(args);
    command.env("PODWIRE_AGENT", "unix:///nowhere").stdin(Stdio::null());
    command
}

fn start(lab: &Lab, pod: &Pod, args: &[&str]) -> Child {
    let mut command = wait(lab, args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    netns::inside(pod.name(), move || Ok(command.spawn()?)).expect("setpriv (Debian's package util-linux)")
}

fn run(lab: &Lab, pod: &Pod, args: &[&str]) -> Output {
    start(lab, pod, args).wait_with_output().unwrap()
}

fn two_lans(interfaces: &[&str]) -> Topology {
    let attachments = interfaces.iter().map(|name| plug(&format!("a-{name}"), nic("a", name), "lan"));
    Topology { bridges: vec![lan("lan", "10.0.0.0/24")], attachments: attachments.collect(), ..topology("12") }
}

#[test]
fn it_waits_for_each_interface_and_says_for_which() {
    private(async |lab| {
        let pod = lab.pod("a");
        let agent = lab.agent().start().await;
        let mut child = start(lab, &pod, &["--for", "net1,net2", "--timeout", "60s"]);
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            said.read_line(&mut line).unwrap();
            line
        };
        assert_eq!(line(), "waiting: net1 is not there; net2 is not there\n");
        agent.apply(two_lans(&["net1"])).await.unwrap();
        // Between there may be lines of an interface that is half made.
        while line() != "waiting: net2 is not there\n" {}
        assert!(child.try_wait().unwrap().is_none(), "net2 is not there");
        agent.apply(two_lans(&["net1", "net2"])).await.unwrap();
        let status = eventually("it ends", async || child.try_wait().unwrap().ok_or("it runs")).await;
        assert!(status.success(), "{status}");
        let mut rest = String::new();
        said.read_to_string(&mut rest).unwrap();
        assert!(!rest.contains("error"), "{rest}");
    });
}

#[test]
fn what_is_there_is_not_waited_for() {
    private(async |lab| {
        let pod = lab.pod("a");
        let agent = lab.agent().start().await;
        agent.apply(two_lans(&["net1"])).await.unwrap();
        let output = run(lab, &pod, &["--for", "net1", "--timeout", "0s"]);
        assert!(output.status.success(), "{}", self::said(&output));
        assert_eq!(self::said(&output), "");
    });
}

#[test]
fn a_far_end_that_is_not_there_is_not_waited_for() {
    private(async |lab| {
        let pod = lab.pod("a");
        let agent = lab.agent().start().await;
        let wire = link("w1", nic_at("a", "net1", &["10.1.0.1/30"]), nic_at("b", "net1", &["10.1.0.2/30"]));
        agent.apply(Topology { links: vec![wire], ..topology("12") }).await.unwrap();
        let output = run(lab, &pod, &["--for", "net1", "--timeout", "10s", "--print", "-o", "json"]);
        assert!(output.status.success(), "{}", self::said(&output));
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&shown[0]["carrier"], &shown[0]["peer"]), (&false.into(), &"w1.b".into()), "{shown}");
    });
}

#[test]
fn at_the_time_out_it_says_what_is_missing_and_what_to_do() {
    private(async |lab| {
        let pod = lab.pod("a");
        // Somebody else's interface has the name.
        pod.ip("link add net1 type veth peer name far1");
        pod.ip("link set net1 up");
        let started = Instant::now();
        let output = run(lab, &pod, &["--for", "net1,net2", "--timeout", "300ms"]);
        assert!(started.elapsed() >= Duration::from_millis(300));
        assert_eq!(output.status.code(), Some(5), "{}", self::said(&output));
        let said = self::said(&output);
        for words in [
            "not within 300ms",
            "net1 is there, but podwire did not make it",
            "net2 is not there",
            "hint: ",
            "another name",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
    });
}

#[test]
fn an_interface_that_the_pod_set_down_is_waited_for() {
    private(async |lab| {
        let pod = lab.pod("a");
        let agent = lab.agent().start().await;
        agent.apply(two_lans(&["net1"])).await.unwrap();
        pod.ip("link set net1 down");
        let output = run(lab, &pod, &["--for", "net1", "--timeout", "100ms"]);
        assert_eq!(output.status.code(), Some(5));
        assert!(said(&output).contains("net1 is complete, but set down"), "{}", said(&output));
        let mut child = start(lab, &pod, &["--for", "net1"]);
        pod.ip("link set net1 up");
        let status = eventually("it ends", async || child.try_wait().unwrap().ok_or("it runs")).await;
        assert!(status.success(), "{status}");
    });
}

#[test]
fn interfaces_are_printed_in_order_with_what_they_belong_to() {
    private(async |lab| {
        let pod = lab.pod("a").with_eth0();
        lab.pod("b");
        let agent = lab.agent().start().await;
        let far = nic_at("b", "net1", &["10.1.0.2/30"]);
        let near = nic_at("a", "net2", &["10.1.0.1/30", "fd01::1/64"]);
        let wire = Link { mode: LinkMode::Direct.into(), ..link("w1", near, far) };
        let wanted = Topology { links: vec![wire], ..two_lans(&["net1"]) };
        agent.apply(wanted).await.unwrap();
        let output = run(lab, &pod, &["--print", "-o", "json"]);
        assert!(output.status.success(), "{}", self::said(&output));
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let shown = shown.as_array().unwrap();
        assert_eq!(shown.len(), 2, "eth0 and lo are not podwire's: {shown:?}");
        for (each, name, element) in [(&shown[0], "net1", "a-net1"), (&shown[1], "net2", "w1")] {
            let link = pod.link(name);
            assert_eq!((&each["name"], &each["mac"], &each["mtu"]), (&link["ifname"], &link["address"], &link["mtu"]));
            assert_eq!(each["index"], link["ifindex"]);
            assert_eq!((&each["topology"], &each["namespace"]), (&"12".into(), &"lessons".into()));
            assert_eq!((&each["element"], &each["carrier"]), (&element.into(), &true.into()));
            let addresses = each["addresses"].as_array().unwrap();
            for address in pod.addresses(name) {
                assert!(addresses.contains(&address.clone().into()), "{address}: {each}");
            }
        }
        assert_eq!((shown[0].get("peer"), shown[1].get("peer")), (None, Some(&"w1.b".into())));
        let table = run(lab, &pod, &["--print"]);
        let table = String::from_utf8(table.stdout).unwrap();
        assert!(table.contains("INTERFACE") && table.contains("lessons/12") && table.contains("w1.b"), "{table}");
    });
}

#[test]
fn something_has_to_be_asked_for() {
    private(async |lab| {
        let pod = lab.pod("a");
        for args in [&[][..], &["--timeout", "1s"], &["--for", ""], &["--for", "net1", "--timeout", "soon"]] {
            assert_eq!(run(lab, &pod, args).status.code(), Some(2), "{args:?}");
        }
        let output = run(lab, &pod, &["--print"]);
        assert_eq!((output.status.code(), output.stdout), (Some(0), b"none\n".to_vec()));
    });
}
