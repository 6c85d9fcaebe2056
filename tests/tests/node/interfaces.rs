//! What an interface in a pod looks like.

use std::time::Duration;

use podwire_proto::v1::{Interface, Ipam, Link, State, Subnet};
use podwire_tests::{
    elements::{bridge, interfaces, ipam, lan, link, nic, nic_at, plug, route, state, states, topology},
    lab::agent::refused,
    verdict::reason,
};
use tonic::Code;

use crate::private;

#[test]
fn indexes_ascend_in_the_order_asked_for() {
    private(async |lab| {
        let [a, _] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![bridge("lan")];
        // Said in another order than they are to be made in; links and attachments mixed; natural order: 2 before 10.
        let ordered = |name: &str, order| Interface { order, ..nic("a", name) };
        wanted.links = vec![link("w", ordered("ge10", 1), nic("b", "x"))];
        wanted.attachments = vec![
            plug("p4", ordered("last", 2), "lan"),
            plug("p3", ordered("ge2", 1), "lan"),
            plug("p1", ordered("mgmt", 0), "lan"),
        ];
        agent.apply(wanted).await.unwrap();
        assert_eq!(a.interfaces(), ["mgmt", "ge2", "ge10", "last"]);
    });
}

#[test]
fn empty_names_become_the_lowest_free_and_a_repeat_keeps_them() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![bridge("lan")];
        wanted.attachments =
            ["p1", "p2", "p3"].map(|name| plug(name, nic("a", if name == "p2" { "net1" } else { "" }), "lan")).to_vec();
        let made = agent.apply(wanted.clone()).await.unwrap();
        let names: Vec<&str> = interfaces(&made).map(|each| each.name.as_str()).collect();
        assert_eq!(names, ["net2", "net1", "net3"]);
        assert_eq!(a.interfaces(), ["net1", "net2", "net3"]);
        wanted.attachments.remove(0);
        let made = agent.apply(wanted).await.unwrap();
        let names: Vec<&str> = interfaces(&made).map(|each| each.name.as_str()).collect();
        assert_eq!(names, ["net1", "net3"]);
    });
}

#[test]
fn macs_are_stable_and_locally_administered_and_differ() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.links = vec![link("w", nic("a", "net1"), nic("b", "net1"))];
        agent.apply(wanted.clone()).await.unwrap();
        let macs = || [&a, &b].map(|pod| pod.link("net1")["address"].as_str().unwrap().to_owned());
        let first = macs();
        assert_ne!(first[0], first[1]);
        for mac in &first {
            let octet = u8::from_str_radix(&mac[..2], 16).unwrap();
            assert_eq!(octet & 3, 2, "locally administered, unicast: {mac}");
        }
        agent.delete("12").await.unwrap();
        agent.apply(wanted).await.unwrap();
        assert_eq!(first, macs());
    });
}

#[test]
fn a_given_mac_is_the_one_of_the_interface() {
    private(async |lab| {
        let [a, _] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        let end = Interface { mac: "02:00:00:00:00:07".into(), ..nic("a", "net1") };
        wanted.links = vec![link("w", end, nic("b", "net1"))];
        agent.apply(wanted).await.unwrap();
        assert_eq!(a.link("net1")["address"], "02:00:00:00:00:07");
    });
}

#[test]
fn ipv6_addresses_are_usable_at_once() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        let subnets = ["10.0.0.0/24", "fd00:1::/64"].map(|cidr| Subnet { cidr: cidr.into(), ..Subnet::default() });
        let both = Some(Ipam { subnets: subnets.to_vec(), routes: vec![] });
        wanted.links = vec![Link { ipam: both, ..link("w", nic("a", "net1"), nic("b", "net1")) }];
        agent.apply(wanted).await.unwrap();
        for pod in [&a, &b] {
            let shown = lab.ip_json(&format!("-6 -n {} address show dev net1 scope global", pod.name()));
            assert!(!shown.to_string().contains("tentative"), "{shown}");
            assert_eq!(pod.addresses("net1").len(), 2, "{:?}", pod.addresses("net1"));
        }
        let there = b.addresses("net1").into_iter().find(|each| each.contains(':')).unwrap();
        a.ping(there.split_once('/').unwrap().0.parse().unwrap());
        a.ping(b.address("net1"));
    });
}

#[test]
fn routes_have_their_metric_and_their_next_hop() {
    private(async |lab| {
        let [a, _] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        let mut near = nic_at("a", "net1", &["10.1.0.1/24", "fd00:1::1/64"]);
        near.routes = vec![
            route("10.99.0.0/16", "10.1.0.2", 77),
            route("10.98.0.0/16", "", 0),
            route("fd99::/64", "fd00:1::2", 5),
        ];
        wanted.links = vec![link("w", near, nic_at("b", "net1", &["10.1.0.2/24"]))];
        agent.apply(wanted).await.unwrap();
        let four = a.routes("-4");
        let by = |dst: &str| four.iter().find(|each| each["dst"] == dst).unwrap_or_else(|| panic!("{dst}: {four:?}"));
        assert_eq!((&by("10.99.0.0/16")["gateway"], &by("10.99.0.0/16")["metric"]), (&"10.1.0.2".into(), &77.into()));
        assert_eq!(by("10.98.0.0/16")["dev"], "net1");
        assert!(by("10.98.0.0/16")["gateway"].is_null());
        let six = a.routes("-6");
        assert!(six.iter().any(|each| each["dst"] == "fd99::/64" && each["metric"] == 5), "{six:?}");
    });
}

#[test]
fn a_route_that_another_device_has_is_never_replaced() {
    private(async |lab| {
        let [a, _] = [lab.pod("a").with_eth0(), lab.pod("b")];
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let mut near = nic_at("a", "net1", &["10.1.0.1/24"]);
        near.routes = vec![route("0.0.0.0/0", "10.1.0.2", 0)];
        let mut wanted = topology("12");
        wanted.links = vec![link("w", near, nic("b", "net1"))];
        let status = refused(agent.apply(wanted.clone())).await;
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        assert_eq!(reason(&status), "FOREIGN_ROUTE", "{status}");
        assert!(status.message().contains("0.0.0.0/0"), "names it: {status}");
        before.assert_same(&lab.snapshot());
        wanted.links[0].a.as_mut().unwrap().routes[0].unless_present = true;
        let made = agent.apply(wanted).await.unwrap();
        let skipped = &interfaces(&made).next().unwrap().status.as_ref().unwrap().skipped_routes;
        assert_eq!(skipped.len(), 1, "{made:?}");
        assert_eq!(state(&made), State::Ready);
        assert_eq!(a.routes("-4").iter().filter(|each| each["dst"] == "default").count(), 1);
    });
}

#[test]
fn the_mtu_of_a_link_is_that_of_both_ends() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.links = vec![link("w", Interface { mtu: 1400, ..nic("a", "net1") }, nic("b", "net1"))];
        agent.apply(wanted).await.unwrap();
        assert_eq!((a.link("net1")["mtu"].as_u64(), b.link("net1")["mtu"].as_u64()), (Some(1400), Some(1400)));
    });
}

#[test]
fn ipam_keeps_to_its_range_and_leaves_out_what_is_excluded() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        let mut segment = lan("lan", "10.0.0.0/24");
        let subnet = &mut segment.ipam.as_mut().unwrap().subnets[0];
        subnet.ranges = vec![podwire_proto::v1::AddressRange { start: "10.0.0.10".into(), end: "10.0.0.12".into() }];
        subnet.exclude = vec!["10.0.0.10".into()];
        wanted.bridges = vec![segment];
        wanted.attachments =
            vec![plug("pa", nic("a", "net1"), "lan"), plug("pb", nic_at("b", "net1", &["10.0.0.200/24"]), "lan")];
        agent.apply(wanted).await.unwrap();
        assert_eq!(a.addresses("net1"), ["10.0.0.11/24"]);
        assert_eq!(b.addresses("net1"), ["10.0.0.200/24"], "a static one takes the place of that of its subnet");
    });
}

#[test]
fn an_address_stays_with_its_interface_when_others_come_and_go() {
    private(async |lab| {
        let [a, b, c] = lab.pods(["a", "b", "c"]);
        let agent = lab.agent().start().await;
        let with = |pods: &[&str]| {
            let mut wanted = topology("12");
            wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
            wanted.attachments = pods.iter().map(|pod| plug(pod, nic(pod, "net1"), "lan")).collect();
            wanted
        };
        agent.apply(with(&["a", "b"])).await.unwrap();
        let (index, address) = (b.link("net1")["ifindex"].clone(), b.addresses("net1"));
        agent.apply(with(&["c", "b"])).await.unwrap();
        assert!(a.interfaces().is_empty(), "what is not in it goes");
        assert_eq!((&b.link("net1")["ifindex"], &b.addresses("net1")), (&index, &address));
        c.ping(b.address("net1"));
    });
}

#[test]
fn the_answer_says_what_the_kernel_shows() {
    private(async |lab| {
        let [a, _] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.links = vec![Link { ipam: ipam("10.1.0.0/24"), ..link("w", nic("a", ""), nic("b", "")) }];
        let made = agent.apply_until_ready(wanted, Duration::from_secs(10)).await.unwrap();
        assert_eq!(states(&made), [("a/net1".into(), State::Ready), ("b/net1".into(), State::Ready)]);
        let first = interfaces(&made).next().unwrap();
        let status = first.status.as_ref().unwrap();
        let shown = a.link("net1");
        assert_eq!(shown["ifindex"], status.index);
        assert_eq!(shown["address"], first.mac.as_str());
        assert_eq!(a.addresses("net1"), status.addresses);
        assert_eq!(shown["mtu"], first.mtu);
        assert!(status.carrier);
        let of_topology = made.status.unwrap();
        assert_eq!(of_topology.panel, "podwire.lessons.12");
        assert_eq!((of_topology.interfaces, of_topology.interfaces_ready), (2, 2));
    });
}
