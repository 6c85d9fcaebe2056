//! Sandboxes that are announced, and what comes of it.

use podwire_proto::v1::{Interface, Link, LinkMode, Topology, UnplugSandboxRequest};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{lan, link, nic, nic_at, plug, topology},
};
use serde_json::json;
use tonic::Code;

use crate::private;

use super::{Sandbox, agent, call, config, names, pair, running};

#[test]
fn the_interfaces_are_there_when_add_returns() {
    private(async |lab| {
        let [a, b] = lab.pods(["sandbox-a", "sandbox-b"]);
        let agent = running(lab).await;
        agent.apply(pair()).await.unwrap();
        for (version, pod, id) in [("0.3.1", "x", "0"), ("0.4.0", "a", "1"), ("1.0.0", "b", "2"), ("1.1.0", "a", "3")] {
            let netns = if pod == "b" { &b } else { &a };
            let mut all = config(version);
            all["addresses"] = true.into();
            let answer = call(lab, "ADD", Some(&Sandbox::new(id, pod, netns)), &all);
            let result = answer.ok();
            assert_eq!(result["cniVersion"], version);
            let previous = &config(version)["prevResult"];
            assert_eq!(
                (&result["interfaces"][0], &result["ips"][0]),
                (&previous["interfaces"][0], &previous["ips"][0])
            );
            if pod == "x" {
                assert_eq!(result, *previous, "nobody asks for that pod");
                continue;
            }
            let shown = netns.link("net1");
            let mut interface =
                json!({"name": "net1", "mac": shown["address"], "sandbox": format!("/run/netns/{}", netns.name())});
            let mut ip = json!({"address": netns.addresses("net1")[0], "interface": 1});
            match version {
                "0.4.0" => ip["version"] = "4".into(),
                "1.1.0" => interface["mtu"] = 1500.into(),
                _ => {}
            }
            assert_eq!((&result["interfaces"][1], &result["ips"][1]), (&interface, &ip));
            assert_eq!((names(&result), result["ips"].as_array().unwrap().len()), (vec!["eth0", "net1"], 2));
        }
        a.ping(b.address("net1"));
        // Unless told, only the interfaces: others take all addresses of a result for those of eth0.
        let result = call(lab, "ADD", Some(&Sandbox::new("3", "a", &a)), &config("1.1.0")).ok();
        assert_eq!((names(&result), &result["ips"]), (vec!["eth0", "net1"], &config("1.1.0")["prevResult"]["ips"]));
    });
}

#[test]
fn an_older_sandbox_of_the_same_pod_takes_nothing_from_a_newer_one() {
    private(async |lab| {
        let [old, new, b] = lab.pods(["old", "new", "sandbox-b"]);
        let agent = running(lab).await;
        agent.apply(pair()).await.unwrap();
        let (first, second) = (Sandbox::new("old-1", "a", &old), Sandbox::new("new-1", "a", &new));
        call(lab, "ADD", Some(&Sandbox::new("b-1", "b", &b)), &config("1.0.0")).ok();
        call(lab, "ADD", Some(&first), &config("1.0.0")).ok();
        call(lab, "ADD", Some(&second), &config("1.0.0")).ok();
        assert_eq!(new.interfaces(), ["net1"]);
        for _ in 0..2 {
            call(lab, "DEL", Some(&first), &config("1.0.0")).ok();
        }
        b.ping(new.address("net1"));
        call(lab, "CHECK", Some(&second), &config("1.0.0")).ok();
        let (code, why) = call(lab, "CHECK", Some(&first), &config("1.0.0")).error();
        assert_eq!(code, 100, "{why}");
        assert!(why.contains("old-1 is not the current one") && why.contains("new-1"), "{why}");
        // Its namespace may be gone by then.
        let gone = Sandbox { netns: String::new(), ..second.clone() };
        for _ in 0..2 {
            call(lab, "DEL", Some(&gone), &config("1.0.0")).ok();
        }
        eventually("the interface waits for another sandbox", async || {
            let shown = agent.get("12").await.unwrap();
            let reason = shown.status.unwrap_or_default().reason;
            holds(reason.contains("announced"), reason)
        })
        .await;
        let (_, why) = call(lab, "CHECK", Some(&second), &config("1.0.0")).error();
        assert!(why.contains("new-1 is not the current one"), "{why}");
    });
}

#[test]
fn a_direct_link_is_plugged_with_its_second_pod() {
    private(async |lab| {
        let [a, b] = lab.pods(["sandbox-a", "sandbox-b"]);
        let agent = running(lab).await;
        let ends = (nic_at("a", "net1", &["10.1.0.1/30"]), nic_at("b", "net1", &["10.1.0.2/30"]));
        let wire = Link { mode: LinkMode::Direct.into(), ..link("w1", ends.0, ends.1) };
        agent.apply(Topology { links: vec![wire], ..topology("12") }).await.unwrap();
        let first = call(lab, "ADD", Some(&Sandbox::new("1", "a", &a)), &config("1.1.0"));
        assert!(first.notes.contains("net1 comes later") && first.notes.contains("DIRECT"), "{}", first.notes);
        assert_eq!(names(&first.ok()), ["eth0"]);
        let second = call(lab, "ADD", Some(&Sandbox::new("2", "b", &b)), &config("1.1.0")).ok();
        assert_eq!(names(&second), ["eth0", "net1"]);
        a.ping("10.1.0.2".parse().unwrap());
    });
}

#[test]
fn an_interface_for_another_incarnation_is_no_reason_to_wait() {
    private(async |lab| {
        let pod = lab.pod("sandbox-a");
        let agent = running(lab).await;
        let interface = Interface { uid: "u-1".into(), ..nic("a", "net1") };
        let attachments = vec![plug("pa", interface, "lan")];
        let wanted = Topology { bridges: vec![lan("lan", "10.0.0.0/24")], attachments, ..topology("12") };
        agent.apply(wanted).await.unwrap();
        let sandbox = Sandbox::new("1", "a", &pod);
        for (sandbox, expected) in [
            (sandbox.clone(), vec!["eth0"]),
            (sandbox.clone().uid("u-2"), vec!["eth0"]),
            (sandbox.uid("u-1"), vec!["eth0", "net1"]),
        ] {
            assert_eq!(names(&call(lab, "ADD", Some(&sandbox), &config("1.0.0")).ok()), expected, "{}", sandbox.args);
        }
    });
}

#[test]
fn an_interface_that_cannot_be_plugged_fails_add_with_the_reason() {
    private(async |lab| {
        let pod = lab.pod("sandbox-a");
        pod.ip("link add net1 type veth peer name far1");
        let agent = running(lab).await;
        agent.apply(pair()).await.unwrap();
        let answer = call(lab, "ADD", Some(&Sandbox::new("1", "a", &pod)), &config("1.0.0"));
        assert!(answer.took.as_secs() < 5, "{:?}", answer.took);
        let (code, why) = answer.error();
        assert_eq!(code, 100, "{why}");
        assert!(why.contains("lessons/a") && why.contains("12/pa") && why.contains("net1"), "{why}");
        // The runtime takes the sandbox down and makes another one.
        call(lab, "DEL", Some(&Sandbox::new("1", "a", &pod)), &config("1.0.0")).ok();
        pod.ip("link del net1");
        call(lab, "ADD", Some(&Sandbox::new("2", "a", &pod)), &config("1.0.0")).ok();
    });
}

#[test]
fn what_is_no_pods_namespace_is_refused() {
    private(async |lab| {
        let pod = lab.pod("sandbox-a");
        let _agent = running(lab).await;
        let good = Sandbox::new("1", "a", &pod);
        std::fs::write("/run/plain", "").unwrap();
        for (sandbox, expected, words) in [
            (Sandbox { netns: "/proc/self/ns/net".into(), ..good.clone() }, 100, "node's own"),
            (Sandbox { netns: "/run/plain".into(), ..good.clone() }, 100, "not a network namespace"),
            (Sandbox { netns: "/run/nowhere".into(), ..good.clone() }, 100, "no network namespace"),
            (Sandbox { netns: "relative".into(), ..good.clone() }, 4, "sandbox.netns_path"),
            (Sandbox { netns: String::new(), ..good.clone() }, 4, "CNI_NETNS"),
            (Sandbox { id: "-x".into(), ..good.clone() }, 4, "sandbox.sandbox_id"),
            (Sandbox { args: "K8S_POD_NAMESPACE=Ä;K8S_POD_NAME=a".into(), ..good.clone() }, 4, "sandbox.namespace"),
        ] {
            let (code, why) = call(lab, "ADD", Some(&sandbox), &config("1.0.0")).error();
            assert_eq!(code, expected, "{why}");
            assert!(why.contains(words), "{words}: {why}");
        }
        let not_kubernetes = Sandbox { args: "IgnoreUnknown=1".into(), ..good };
        assert_eq!(call(lab, "ADD", Some(&not_kubernetes), &config("1.0.0")).ok(), config("1.0.0")["prevResult"]);
    });
}

#[test]
fn gc_takes_back_what_the_runtime_does_not_have() {
    private(async |lab| {
        let [a, b] = lab.pods(["sandbox-a", "sandbox-b"]);
        let agent = running(lab).await;
        agent.apply(pair()).await.unwrap();
        for (id, pod, netns) in [("1", "a", &a), ("2", "b", &b)] {
            call(lab, "ADD", Some(&Sandbox::new(id, pod, netns)), &config("1.1.0")).ok();
        }
        let mut gc = json!({"cniVersion": "1.1.0", "name": "cluster", "type": "podwire-cni"});
        gc["cni.dev/valid-attachments"] =
            json!([{"containerID": "2", "ifname": "eth0"}, {"containerID": "ä", "ifname": "x"}]);
        for round in 0..2 {
            let answer = call(lab, "GC", None, &gc);
            assert_eq!(answer.notes.contains("sandbox 1 is gone"), round == 0, "{}", answer.notes);
            assert_eq!(answer.ok(), serde_json::Value::Null);
        }
        let pods = lab.podwire_ok(&["get", "pods", "-o", "json"]);
        assert!(pods.contains("sandbox-b") && !pods.contains("sandbox-a"), "{pods}");
        call(lab, "CHECK", Some(&Sandbox::new("2", "b", &b)), &config("1.1.0")).ok();
    });
}

#[test]
fn sandboxes_are_announced_on_unix_sockets_only() {
    private(async |lab| {
        let remote = agent(lab).listen("tcp://127.0.0.1:7411").arg("--insecure-plaintext-tcp").start().await;
        let mut service = podwire_proto::v1::sandbox_service_client::SandboxServiceClient::new(remote.channel());
        let refused = service.unplug_sandbox(UnplugSandboxRequest { sandbox_id: "1".into() }).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unimplemented, "{refused}");
    });
}
