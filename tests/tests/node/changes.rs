//! A second apply that differs from the first: what changes, and what keeps its identity.

use std::fs;

use podwire_proto::v1::{Bridge, Interface, Link, LinkMode, State, Topology};
use podwire_tests::{
    elements::{bridge, interfaces, ipam, lan, link, nic, nic_at, plug, route, state, topology},
    lab::{Lab, agent::refused},
    netns,
};
use tonic::Code;

use crate::private;

fn on_bridge(name: &str, interfaces: [Interface; 2]) -> Topology {
    let [a, b] = interfaces;
    Topology {
        bridges: vec![bridge(name)],
        attachments: vec![plug("pa", a, name), plug("pb", b, name)],
        ..topology("12")
    }
}

fn ends() -> [Interface; 2] {
    [nic_at("a", "net1", &["10.0.0.1/24"]), nic_at("b", "net1", &["10.0.0.2/24"])]
}

#[test]
fn an_interface_that_moves_to_another_wire_is_patched_and_not_made_new() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(on_bridge("one", ends())).await.unwrap();
        let indexes = || [&a, &b].map(|pod| pod.link("net1")["ifindex"].clone());
        let first = indexes();
        agent.apply(on_bridge("two", ends())).await.unwrap();
        assert_eq!(first, indexes(), "another bridge");
        a.ping(b.address("net1"));
        let [at_a, at_b] = ends();
        let wired = Topology { links: vec![link("w", at_a, at_b)], ..topology("12") };
        agent.apply(wired.clone()).await.unwrap();
        assert_eq!(first, indexes(), "a link instead of a bridge");
        a.ping(b.address("net1"));
        agent.apply(on_bridge("one", ends())).await.unwrap();
        assert_eq!(first, indexes(), "and back");
        b.ping(a.address("net1"));
    });
}

#[test]
fn addresses_routes_and_mtu_follow_and_nothing_else_does() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(on_bridge("lan", ends())).await.unwrap();
        let index = a.link("net1")["ifindex"].clone();
        a.ip("address add 172.16.0.1/24 dev net1");
        let mut later = on_bridge("lan", ends());
        later.bridges[0] = Bridge { mtu: 1400, ..bridge("lan") };
        let at_a = later.attachments[0].interface.as_mut().unwrap();
        at_a.addresses = vec!["10.0.0.7/24".into(), "fd00::7/64".into()];
        at_a.routes = vec![route("10.99.0.0/16", "10.0.0.2", 5)];
        agent.apply(later).await.unwrap();
        let addresses = a.addresses("net1");
        assert!(["10.0.0.7/24", "fd00::7/64"].iter().all(|wanted| addresses.iter().any(|each| each == wanted)));
        assert!(!addresses.contains(&"10.0.0.1/24".to_owned()), "{addresses:?}");
        assert_eq!((a.link("net1")["mtu"].as_u64(), &a.link("net1")["ifindex"]), (Some(1400), &index));
        assert!(a.routes("-4").iter().any(|each| each["dst"] == "10.99.0.0/16" && each["metric"] == 5));
        b.ping("10.0.0.7".parse().unwrap());
        agent.apply(on_bridge("lan", ends())).await.unwrap();
        assert!(!a.routes("-4").iter().any(|each| each["dst"] == "10.99.0.0/16"), "the route goes again");
        assert_eq!(a.link("net1")["mtu"], 1500);
        a.ping(b.address("net1"));
    });
}

async fn changes_mode(lab: &Lab, modes: [LinkMode; 2]) {
    let [a, b] = lab.pods(["a", "b"]);
    let agent = lab.agent().start().await;
    for mode in modes {
        let [at_a, at_b] = ends();
        let links = vec![Link { mode: mode.into(), ..link("w", at_a, at_b) }];
        let made = agent.apply(Topology { links, ..topology("12") }).await.unwrap();
        assert_eq!(state(&made), State::Ready, "{mode:?}");
        a.ping(b.address("net1"));
        let panels = lab.namespaces().into_iter().filter(|name| name.starts_with("podwire."));
        assert_eq!(
            panels.map(|name| lab.link_names(&name).len()).sum::<usize>(),
            if mode == LinkMode::Direct { 0 } else { 2 },
            "{mode:?}"
        );
    }
}

#[test]
fn a_stitched_link_can_become_direct() {
    private(async |lab| changes_mode(lab, [LinkMode::Stitched, LinkMode::Direct]).await);
}

#[test]
fn a_direct_link_can_become_stitched() {
    private(async |lab| changes_mode(lab, [LinkMode::Direct, LinkMode::Stitched]).await);
}

#[test]
fn two_interfaces_can_swap_their_addresses() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(on_bridge("lan", ends())).await.unwrap();
        let swapped = [nic_at("a", "net1", &["10.0.0.2/24"]), nic_at("b", "net1", &["10.0.0.1/24"])];
        agent.apply(on_bridge("lan", swapped)).await.unwrap();
        assert_eq!(
            (a.addresses("net1"), b.addresses("net1")),
            (vec!["10.0.0.2/24".into()], vec!["10.0.0.1/24".into()])
        );
        a.ping(b.address("net1"));
    });
}

#[test]
fn a_change_that_is_refused_leaves_what_was_there() {
    private(async |lab| {
        let a = lab.pod("a").with_eth0();
        let b = lab.pod("b");
        let agent = lab.agent().start().await;
        agent.apply(on_bridge("lan", ends())).await.unwrap();
        let before = lab.snapshot();
        let mut bad = on_bridge("other", ends());
        bad.attachments.push(plug("bad", nic("a", "eth0"), "other"));
        bad.attachments.remove(1);
        assert_eq!(refused(agent.apply(bad)).await.code(), Code::FailedPrecondition);
        before.assert_same(&lab.snapshot());
        let now = agent.get("12").await.unwrap();
        assert_eq!((now.bridges[0].name.as_str(), state(&now)), ("lan", State::Ready), "the intent is the old one");
        a.ping(b.address("net1"));
    });
}

#[test]
fn what_the_kernel_refuses_is_undone_and_said_in_its_words() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        // A pod that has switched IPv6 off: the kernel refuses the address, with everything else in place already.
        let off = || Ok(fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?);
        netns::inside("b", off).unwrap();
        let mut bad = on_bridge("lan", ends());
        bad.attachments[1].interface.as_mut().unwrap().addresses.push("fd00::1/64".into());
        let status = refused(agent.apply(bad)).await;
        assert!(status.message().contains("b/net1"), "which: {status}");
        for place in ["a", "b", "the node"] {
            before.of(place).assert_same(&lab.snapshot().of(place));
        }
        assert_eq!(refused(agent.get("12")).await.code(), Code::NotFound);
        agent.apply(on_bridge("lan", ends())).await.expect("nothing is in its way");
    });
}

#[test]
fn chosen_names_leave_out_those_of_other_topologies() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        for (name, expected) in [("one", "net1"), ("two", "net2"), ("three", "net3")] {
            let bridges = vec![lan("lan", "10.0.0.0/24")];
            let wanted = Topology { bridges, attachments: vec![plug("p", nic("a", ""), "lan")], ..topology(name) };
            let made = agent.apply(wanted).await.unwrap();
            assert_eq!(interfaces(&made).next().unwrap().name, expected);
        }
        agent.delete("two").await.unwrap();
        assert_eq!(a.interfaces(), ["net1", "net3"]);
    });
}

#[test]
fn the_longest_names_work() {
    private(async |lab| {
        let long = "x".repeat(63);
        let pod = lab.pod(&"p".repeat(200));
        let agent = lab.agent().start().await;
        let wanted = Topology {
            namespace: "n".repeat(63),
            name: long.clone(),
            bridges: vec![lan(&long, "10.0.0.0/24")],
            attachments: vec![plug(&"y".repeat(63), nic(pod.name(), "fifteen-bytes-x"), &long)],
            ..Topology::default()
        };
        let made = agent.apply(wanted.clone()).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        assert_eq!(pod.interfaces(), ["fifteen-bytes-x"]);
        let before = lab.snapshot();
        agent.apply(wanted).await.unwrap();
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn elements_of_like_names_do_not_share_a_device() {
    private(async |lab| {
        let [a, _] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        // The same for as long as a kernel name may be; and names that could be joined in two ways.
        let names = ["segment-with-a-long-name-1", "segment-with-a-long-name-2", "w", "w-a"];
        let wanted = Topology {
            bridges: names.map(bridge).to_vec(),
            attachments: names.map(|name| plug(&format!("p-{name}"), nic("a", ""), name)).to_vec(),
            links: vec![Link { ipam: ipam("10.1.0.0/24"), ..link("w-b", nic("a", ""), nic("b", "")) }],
            ..topology("12")
        };
        let made = agent.apply(wanted).await.unwrap();
        assert_eq!((state(&made), a.interfaces().len()), (State::Ready, 5));
        assert_eq!(lab.link_names("podwire.lessons.12").len(), 4 + 4 + 2);
    });
}

#[test]
fn a_panel_is_no_pod() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(on_bridge("lan", ends())).await.unwrap();
        let before = lab.snapshot();
        let mut wanted = on_bridge("lan", [nic("podwire.lessons.12", "net1"), nic("a", "net2")]);
        wanted.name = "13".into();
        // Refused, or waiting for a pod that never comes: but never plugged.
        let _ = agent.apply(wanted).await;
        before.of("podwire.lessons.12").assert_same(&lab.snapshot().of("podwire.lessons.12"));
    });
}
