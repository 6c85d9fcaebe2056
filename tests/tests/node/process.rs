//! The agent as a process: sockets, settings, signals.

use std::{
    fs,
    os::unix::fs::{FileTypeExt, PermissionsExt},
};

use podwire_proto::v1::{GetNodeRequest, State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{lan, nic, plug, state, topology},
    lab::agent::Agent,
};

use crate::private;

const PATH: &str = "/run/podwire/agent.sock";

async fn must_stop(mut agent: Agent, words: &[&str]) {
    let status = agent.ended().await;
    assert!(!status.success(), "it must not run: {status}");
    let log = agent.log();
    for word in words {
        assert!(log.contains(word), "`{word}` is not in: {log}");
    }
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn the_socket_belongs_to_its_owner_alone() {
    private(async |lab| {
        let _agent = lab.agent().start().await;
        let socket = fs::metadata(PATH).unwrap();
        assert!(socket.file_type().is_socket());
        assert_eq!(socket.permissions().mode() & 0o777, 0o600);
        let other = lab.agent().listen("unix:///run/else/where/agent.sock");
        let _other = other.with("--state-dir", "/run/else/state").with("--netns-dir", "/run/else/netns").start().await;
        assert_eq!(fs::metadata("/run/else/where/agent.sock").unwrap().permissions().mode() & 0o777, 0o600);
    });
}

#[test]
fn the_socket_of_a_killed_agent_is_taken_over() {
    private(async |lab| {
        let mut agent = lab.agent().start().await;
        agent.kill();
        assert!(fs::exists(PATH).unwrap(), "the file is left behind");
        let agent = lab.agent().start().await;
        agent.node().get_node(GetNodeRequest {}).await.unwrap();
        assert_eq!(fs::metadata(PATH).unwrap().permissions().mode() & 0o777, 0o600);
    });
}

#[test]
fn the_socket_of_a_live_agent_is_not_taken_over() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        must_stop(lab.agent().spawn(), &[PATH]).await;
        agent.node().get_node(GetNodeRequest {}).await.expect("the first one is not disturbed");
    });
}

#[test]
fn a_file_that_is_no_socket_is_not_removed() {
    private(async |lab| {
        fs::create_dir_all("/run/podwire").unwrap();
        fs::write(PATH, "precious").unwrap();
        must_stop(lab.agent().spawn(), &[PATH]).await;
        assert_eq!(fs::read_to_string(PATH).unwrap(), "precious");
    });
}

#[test]
fn plain_tcp_needs_the_flag_that_says_it_is_insecure() {
    private(async |lab| {
        let address = "tcp://127.0.0.1:7411";
        must_stop(lab.agent().listen(address).spawn(), &["listen", address, "--insecure-plaintext-tcp"]).await;
        let agent = lab.agent().listen(address).arg("--insecure-plaintext-tcp").start().await;
        agent.node().get_node(GetNodeRequest {}).await.unwrap();
    });
}

#[test]
fn it_listens_at_several_addresses() {
    private(async |lab| {
        let extra = "tcp://127.0.0.1:7411";
        let agent = lab.agent().arg("--listen").arg(extra).arg("--insecure-plaintext-tcp").start().await;
        agent.node().get_node(GetNodeRequest {}).await.unwrap();
        let shown = lab.podwire_ok(&["--agent", extra, "get", "node", "-o", "json"]);
        assert!(shown.contains("\"lab\""), "the node's name: {shown}");
    });
}

#[test]
fn a_bad_setting_stops_it_with_its_name_and_value() {
    private(async |lab| {
        must_stop(lab.agent().listen("http://nowhere").spawn(), &["--listen", "http://nowhere"]).await;
        must_stop(lab.agent().listen("unix://relative").spawn(), &["--listen", "unix://relative"]).await;
        for (flag, value) in [("--node-device", "br%d"), ("--node-device", "no/device"), ("--no-such-flag", "x")] {
            must_stop(lab.agent().arg(flag).arg(value).spawn(), &[flag]).await;
        }
        must_stop(lab.agent().with("--pods", "docker").spawn(), &["--pods", "docker"]).await;
        fs::write("/run/lab/plain", "").unwrap();
        for flag in ["--netns-dir", "--state-dir"] {
            must_stop(lab.agent().with(flag, "/run/lab/plain").spawn(), &[&flag[2..], "/run/lab/plain"]).await;
        }
        assert!(!fs::exists(PATH).unwrap(), "nobody listened");
    });
}

#[test]
fn threads_that_stand_ready_to_open_namespaces_stay_in_none() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let attachments = vec![plug("a", nic("a", "net1"), "lan"), plug("b", nic("b", "net1"), "lan")];
        let pair = Topology { bridges: vec![lan("lan", "10.0.0.0/24")], attachments, ..topology("12") };
        agent.apply(pair).await.unwrap();
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        let tasks = format!("/proc/{}/task", agent.pid());
        // A heal may be on its way.
        eventually("all are at home", async || {
            let tasks = fs::read_dir(&tasks).unwrap().map(|task| task.unwrap().path());
            let standing =
                tasks.filter(|task| fs::read(task.join("comm")).is_ok_and(|name| name == b"podwire-netns\n"));
            let places: Vec<_> = standing.filter_map(|task| fs::read_link(task.join("ns/net")).ok()).collect();
            holds(!places.is_empty() && places.iter().all(|place| *place == own), format!("{places:?}, home {own:?}"))
        })
        .await;
    });
}

#[test]
fn sigterm_lets_it_leave_and_the_wires_stay() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
        wanted.attachments = vec![plug("pa", nic("a", "net1"), "lan"), plug("pb", nic("b", "net1"), "lan")];
        agent.apply(wanted).await.unwrap();
        let before = lab.snapshot();
        let status = agent.terminate().await;
        assert!(status.success(), "{status}\n{}", agent.log());
        before.assert_same(&lab.snapshot());
        a.ping(b.address("net1"));
        assert!(!fs::exists(PATH).unwrap(), "it takes its socket along");
    });
}

#[test]
fn after_a_crash_the_same_apply_stands_again_and_delete_leaves_nothing() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        let empty = lab.snapshot();
        let mut wanted = topology("12");
        wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
        wanted.attachments = vec![plug("pa", nic("a", "net1"), "lan"), plug("pb", nic("b", "net1"), "lan")];
        agent.apply(wanted.clone()).await.unwrap();
        agent.kill();
        a.ping(b.address("net1"));
        let agent = lab.agent().start().await;
        let made = agent.apply(wanted).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        a.ping(b.address("net1"));
        agent.delete("12").await.unwrap();
        for pod in ["a", "b"] {
            empty.of(pod).assert_same(&lab.snapshot().of(pod));
        }
    });
}

#[test]
fn sigterm_after_a_delete_leaves_nothing_at_all() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        let before = lab.snapshot();
        let mut wanted = topology("12");
        wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
        wanted.attachments = vec![plug("pa", nic("a", "net1"), "lan"), plug("pb", nic("b", "net1"), "lan")];
        agent.apply(wanted).await.unwrap();
        agent.delete("12").await.unwrap();
        assert!(agent.terminate().await.success());
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn sigterm_lets_calls_that_are_under_way_finish() {
    private(async |lab| {
        lab.pod("a");
        let mut agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![lan("lan", "10.0.0.0/16")];
        wanted.attachments = (0..200).map(|n| plug(&format!("p{n}"), nic("a", ""), "lan")).collect();
        let channel = agent.topologies();
        let call = tokio::spawn(async move {
            let request = podwire_proto::v1::ApplyTopologyRequest {
                topology: Some(wanted),
                ..podwire_proto::v1::ApplyTopologyRequest::default()
            };
            let mut channel = channel;
            channel.apply_topology(request).await
        });
        eventually("the work has begun", async || holds(!lab.link_names("a").is_empty(), "not yet")).await;
        let status = agent.terminate().await;
        assert!(status.success(), "{status}");
        let made = call.await.unwrap().expect("finished").into_inner().topology.unwrap();
        assert_eq!(state(&made), State::Ready);
        assert_eq!(lab.link_names("a").len(), 200);
    });
}

#[test]
fn it_serves_both_versions_of_reflection() {
    use tonic_reflection::pb::{v1, v1alpha};

    private(async |lab| {
        let agent = lab.agent().start().await;
        let of_v1 = v1::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(v1::server_reflection_request::MessageRequest::ListServices(String::new())),
        };
        let of_v1alpha = v1alpha::ServerReflectionRequest {
            host: String::new(),
            message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(String::new())),
        };
        let mut new = v1::server_reflection_client::ServerReflectionClient::new(agent.channel());
        let mut old = v1alpha::server_reflection_client::ServerReflectionClient::new(agent.channel());
        let new = new.server_reflection_info(tokio_stream::once(of_v1)).await.unwrap().into_inner().message().await;
        let old =
            old.server_reflection_info(tokio_stream::once(of_v1alpha)).await.unwrap().into_inner().message().await;
        for answer in [format!("{new:?}"), format!("{old:?}")] {
            assert!(answer.contains("podwire.v1.TopologyService"), "{answer}");
        }
    });
}

#[test]
fn it_says_what_it_is_and_what_the_kernel_can_do() {
    private(async |lab| {
        let agent = lab.agent().arg("--node-device").arg("eth7").start().await;
        let node = agent.node().get_node(GetNodeRequest {}).await.unwrap().into_inner();
        assert_eq!(
            (node.node_name.as_str(), node.pods.as_str(), node.netns_dir.as_str()),
            ("lab", "netns", "/run/netns")
        );
        assert_eq!(node.node_devices, ["eth7"]);
        assert!(!node.version.is_empty());
        assert_eq!(node.kernel.trim(), fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim());
        for wanted in ["veth", "bridge", "macvlan", "mirred", "packet"] {
            let found = node.capabilities.iter().find(|each| each.name == wanted);
            let found = found.unwrap_or_else(|| panic!("{wanted}: {:?}", node.capabilities));
            assert!(found.available && found.reason.is_empty() && !found.used_for.is_empty(), "{found:?}");
        }
        let limits = node.limits.unwrap();
        assert_eq!(limits.attachments_per_bridge, 1023);
        assert!(limits.message_bytes > 0 && limits.topologies > 0 && limits.elements_per_topology > 0);
    });
}
