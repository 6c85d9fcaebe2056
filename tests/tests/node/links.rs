//! Wires between two interfaces.

use std::time::Duration;

use podwire_proto::v1::{CreateLinkRequest, DeleteLinkRequest, Link, LinkMode, State, Topology, link::FarEnd};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{cable, ipam, link, nic, nic_at, state, topology},
    lab::agent::refused,
    tap::{LACP, LLDP},
};
use tonic::Code;

use crate::{private, private_without_root};

const PATIENCE: Duration = Duration::from_secs(5);

fn wire() -> Link {
    Link { ipam: ipam("10.1.0.0/24"), ..link("w1", nic("a", "net1"), nic("b", "net1")) }
}

fn direct() -> Link {
    Link { mode: LinkMode::Direct.into(), ..wire() }
}

fn one(link: Link) -> Topology {
    Topology { links: vec![link], ..topology("12") }
}

#[test]
fn a_stitched_link_passes_what_a_bridge_would_eat() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let made = agent.apply(one(wire())).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        for group in [LACP, LLDP, [0x01, 0x80, 0xc2, 0, 0, 0], [0x01, 0x80, 0xc2, 0, 0, 1]] {
            let frame = at_a.send(group, b"\x88\x09podwire").unwrap();
            at_b.expect(&frame, PATIENCE).unwrap();
            let frame = at_b.send(group, b"\x88\x09ewirdop").unwrap();
            at_a.expect(&frame, PATIENCE).unwrap();
        }
    });
}

#[test]
fn a_stitched_link_passes_vlan_tags() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one(wire())).await.unwrap();
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        // A packet socket sees a frame without its outer tag, which the kernel keeps beside it. Had the wire lost a tag,
        // the inner one would be missing.
        let (outer, inner, rest) = (b"\x81\x00\x00\x2a", b"\x81\x00\x00\x07", b"\x08\x00tagged");
        let mac = at_b.mac();
        let sent = at_a.send(mac, &[&outer[..], inner, rest].concat()).unwrap();
        at_b.expect(&[&sent[..12], &sent[16..]].concat(), PATIENCE).unwrap();
    });
}

#[test]
fn a_link_pings_at_once_in_both_modes() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        for (name, wanted) in [("stitched", wire()), ("direct", direct())] {
            let [a, b] = lab.pods(["a", "b"]);
            let mut whole = topology(name);
            whole.links.push(wanted);
            agent.apply(whole).await.unwrap();
            a.ping(b.address("net1"));
            b.ping(a.address("net1"));
            agent.delete(name).await.unwrap();
            assert!(a.interfaces().is_empty() && b.interfaces().is_empty(), "gone when the reply comes");
            lab.ip("netns del a");
            lab.ip("netns del b");
        }
    });
}

#[test]
fn links_work_without_root() {
    private_without_root(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.links = vec![wire(), Link { name: "w2".into(), ..direct() }];
        wanted.links[1].ipam = ipam("10.2.0.0/24");
        wanted.links[1].a = Some(nic("a", "net2"));
        wanted.links[1].far_end = Some(FarEnd::B(nic("b", "net2")));
        agent.apply(wanted).await.unwrap();
        a.ping(b.address("net1"));
        a.ping(b.address("net2"));
        agent.delete("12").await.unwrap();
        assert!(a.interfaces().is_empty() && b.interfaces().is_empty());
    });
}

#[test]
fn a_direct_link_is_one_pair_with_nothing_in_between() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one(direct())).await.unwrap();
        assert_eq!(a.link("net1")["link_index"], b.link("net1")["ifindex"]);
        for panel in lab.panels() {
            assert!(lab.link_names(&panel).is_empty(), "no device in the panel");
        }
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        let frame = at_a.send(LACP, b"\x88\x09podwire").unwrap();
        at_b.expect(&frame, PATIENCE).unwrap();
    });
}

#[test]
fn a_direct_link_waits_for_both_pods() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let made = agent.apply(one(direct())).await.unwrap();
        assert_eq!(state(&made), State::Pending);
        assert!(lab.link_names("a").is_empty());
        lab.pod("b");
        eventually("the link is there", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(state(&now) == State::Ready, format!("{now:?}"))
        })
        .await;
        assert_eq!(lab.link_names("a"), ["net1"]);
    });
}

#[test]
fn a_pulled_cable_takes_carrier_from_both_ends_and_gives_it_back() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one(wire())).await.unwrap();
        let index = a.link("net1")["ifindex"].clone();
        for (up, expected) in [(false, "DOWN"), (true, "UP")] {
            let request = cable("w1", up);
            agent.links().update_link(request).await.unwrap();
            for pod in [&a, &b] {
                eventually("carrier follows the cable", async || {
                    let link = pod.link("net1");
                    holds(link["operstate"] == expected, link)
                })
                .await;
            }
        }
        assert_eq!(a.link("net1")["ifindex"], index, "the same interface");
        a.ping(b.address("net1"));
    });
}

#[test]
fn a_direct_link_has_no_cable_to_pull() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one(direct())).await.unwrap();
        let request = cable("w1", false);
        let status = refused(agent.links().update_link(request)).await;
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    });
}

#[test]
fn a_survivor_keeps_its_interface_while_its_neighbour_restarts() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one(wire())).await.unwrap();
        let (index, mac) = (a.link("net1")["ifindex"].clone(), b.link("net1")["address"].clone());
        lab.ip("netns del b");
        eventually("the survivor sees carrier loss", async || {
            let link = a.link("net1");
            holds(link["operstate"] == "DOWN", link)
        })
        .await;
        let b = lab.pod("b");
        eventually("the wire stands again", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(state(&now) == State::Ready && b.interfaces() == ["net1"], format!("{now:?}"))
        })
        .await;
        assert_eq!(a.link("net1")["ifindex"], index);
        assert_eq!(b.link("net1")["address"], mac);
        eventually("carrier is back", async || {
            let link = a.link("net1");
            holds(link["operstate"] == "UP", link)
        })
        .await;
        a.ping(b.address("net1"));
    });
}

#[test]
fn single_calls_make_and_remove_a_link() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let wanted = link("w1", nic_at("a", "", &["10.1.0.1/30"]), nic_at("b", "", &["10.1.0.2/30"]));
        let request = CreateLinkRequest { link: Some(wanted), until_ready: true, ..CreateLinkRequest::default() };
        let made = agent.links().create_link(request.clone()).await.unwrap().into_inner();
        assert_eq!(made.link.unwrap().a.unwrap().name, "net1", "chosen and returned");
        a.ping("10.1.0.2".parse().unwrap());
        agent.links().create_link(request).await.expect("repeats are free");
        assert_eq!(a.interfaces(), ["net1"]);
        let request = DeleteLinkRequest { name: "w1".into(), ..DeleteLinkRequest::default() };
        agent.links().delete_link(request.clone()).await.unwrap();
        assert!(a.interfaces().is_empty() && b.interfaces().is_empty(), "gone when the reply comes");
        agent.links().delete_link(request).await.expect("an absent one succeeds");
    });
}
