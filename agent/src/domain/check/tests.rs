#![allow(clippy::unwrap_used)]

use std::time::Instant;

use proptest::prelude::*;

use super::{
    sample::{addressed, any_spec, bridge, interface, ipam, link, on_device, plugged, route, topology},
    *,
};
use crate::domain::{
    impairment::{Impairment, Netem, Rate},
    spec::{AttachmentSpec, InterfaceSpec, IpamSpec, LinkMode, LinkSpec, RouteSpec, SubnetSpec},
};

/// The fields and a part of each sentence, in their order, and nothing else.
#[track_caller]
fn refused(spec: &TopologySpec, expected: &[(&str, &str)]) {
    let found = check(spec);
    let fields: Vec<&str> = found.iter().map(|v| v.field.as_str()).collect();
    assert_eq!(fields, expected.iter().map(|(field, _)| *field).collect::<Vec<_>>(), "{found:#?}");
    for (violation, (_, part)) in found.iter().zip(expected) {
        assert!(violation.description.contains(part), "{part:?} is not in: {violation}");
    }
}

fn wires(links: Vec<LinkSpec>) -> TopologySpec {
    TopologySpec { links, ..topology() }
}

fn lan(attachments: Vec<AttachmentSpec>) -> TopologySpec {
    TopologySpec { bridges: vec![bridge("lan", None)], attachments, ..topology() }
}

fn lan_with(ipam: IpamSpec, attachments: Vec<AttachmentSpec>) -> TopologySpec {
    TopologySpec { bridges: vec![bridge("lan", Some(ipam))], ..lan(attachments) }
}

fn on_lan(name: &str, interface: InterfaceSpec) -> AttachmentSpec {
    plugged(name, "lan", interface)
}

fn mtu(bytes: u32, interface: InterfaceSpec) -> InterfaceSpec {
    InterfaceSpec { mtu: Some(bytes.try_into().unwrap()), ..interface }
}

fn routed(routes: Vec<RouteSpec>, interface: InterfaceSpec) -> InterfaceSpec {
    InterfaceSpec { routes, ..interface }
}

fn one_subnet(change: impl FnOnce(&mut SubnetSpec)) -> TopologySpec {
    let mut ipam = ipam(&["10.0.0.0/24"]);
    change(&mut ipam.subnets[0]);
    lan_with(ipam, Vec::new())
}

#[test]
fn a_lesson_as_it_should_be_has_no_violation() {
    let mut spec = lan_with(ipam(&["10.0.0.0/24", "fd00::/64"]), Vec::new());
    spec.bridges[0].ipam.as_mut().unwrap().routes = vec![route("0.0.0.0/0", ""), route("fd01::/64", "fe80::1")];
    spec.links = vec![link("w", interface("bb1", ""), interface("bb1", ""))];
    spec.links.push(link("v", mtu(9000, interface("bb1", "eth7")), interface("bb2", "eth7")));
    spec.attachments = vec![
        on_lan("p1", addressed("bb1", &["10.0.0.7/24", "10.0.0.8/24"])),
        on_lan("p2", mtu(1500, interface("bb2", ""))),
        on_device("m", addressed("bb3", &["10.0.0.7/24"]), None),
    ];
    refused(&spec, &[]);
    assert_eq!(limits(&spec), None);
}

#[test]
fn names_of_elements_are_unique_over_all_kinds() {
    let mut spec = lan(vec![on_lan("lan", interface("bb1", ""))]);
    spec.links =
        vec![link("w", interface("a", ""), interface("b", "")), link("w", interface("a", ""), interface("b", ""))];
    refused(&spec, &[("links[1].name", "`w` is the name of `links[0]`"), ("attachments[0].name", "`bridges[0]`")]);
}

#[test]
fn a_bridge_must_be_there() {
    let spec = lan(vec![plugged("p1", "x", addressed("bb1", &["10.0.0.1/24"]))]);
    refused(&spec, &[("attachments[0].bridge", "there is no bridge `x` in the request")]);
}

#[test]
fn devices_and_direct_links_have_no_switches() {
    let device = on_device("m", interface("bb1", ""), None);
    let device = AttachmentSpec { hairpin: Some(false), isolated: Some(true), up: false, ..device };
    let direct = LinkSpec { mode: LinkMode::Direct, up: false, ..link("w", interface("a", ""), interface("b", "")) };
    let spec = TopologySpec { links: vec![direct], ..lan(vec![device]) };
    let expected = [
        ("attachments[0].hairpin", "`eth0`"),
        ("attachments[0].isolated", "`eth0`"),
        ("attachments[0].up", "detach it"),
        ("links[0].up", "LINK_MODE_STITCHED"),
    ];
    refused(&spec, &expected);
}

#[test]
fn what_has_nothing_in_between_is_not_impaired() {
    let slow = Impairment { netem: Some(Netem { delay: 1, ..Netem::default() }), rate: None };
    let device = AttachmentSpec { to_interface: slow, ..on_device("m", interface("bb1", ""), None) };
    let wire = link("w", interface("a", ""), interface("b", ""));
    let direct = LinkSpec { mode: LinkMode::Direct, b_to_a: slow, ..wire };
    let spec = TopologySpec { links: vec![direct], ..lan(vec![device]) };
    refused(&spec, &[("links[0].b_to_a", "LINK_MODE_STITCHED"), ("attachments[0].to_interface", "`eth0`")]);
}

#[test]
fn a_rate_passes_whole_frames_of_its_wire() {
    let of = |burst, queue| {
        let rate = Rate { bytes_per_second: 125_000, burst: Some(burst), queue: Some(queue) };
        Impairment { netem: None, rate: Some(rate) }
    };
    let wire = link("w", mtu(9000, interface("a", "")), interface("b", ""));
    let wire = LinkSpec { a_to_b: of(9018, 9017), b_to_a: of(9017, 9018), ..wire };
    let plug = AttachmentSpec { to_interface: of(1517, 1518), ..on_lan("p1", interface("bb1", "")) };
    let spec = TopologySpec { links: vec![wire], ..lan(vec![plug]) };
    let expected = [
        ("links[0].a_to_b.rate.queue_bytes", "one frame of 9018 bytes"),
        ("links[0].b_to_a.rate.burst_bytes", "`9017`"),
        ("attachments[0].to_interface.rate.burst_bytes", "at least 1518"),
    ];
    refused(&spec, &expected);
}

#[test]
fn an_interface_name_is_given_once_in_a_pod() {
    let spec = TopologySpec {
        links: vec![link("w", interface("bb1", "net1"), interface("bb2", "net1"))],
        ..lan(vec![on_lan("p1", interface("bb2", "net1"))])
    };
    refused(&spec, &[("attachments[0].interface.name", "`bb2` has an interface `net1` already, at `links[0].b`")]);
}

#[test]
fn a_link_to_itself_is_refused() {
    let spec = wires(vec![link("w", interface("bb1", "net1"), interface("bb1", "net1"))]);
    refused(&spec, &[("links[0].b.name", "a link to itself: both ends are `net1` of `bb1`")]);
}

#[test]
fn a_pod_has_one_uid() {
    let of = |uid: &str| InterfaceSpec { uid: Some(uid.parse().unwrap()), ..interface("bb1", "") };
    let plugs = vec![on_lan("p1", of("u1")), on_lan("p2", interface("bb1", "")), on_lan("p3", of("u2"))];
    refused(&lan(plugs), &[("attachments[2].interface.uid", "`u2` is not `u1`")]);
}

#[test]
fn a_mac_is_given_once_on_a_wire_and_once_in_a_pod() {
    let mac = Some("02:00:00:00:00:01".parse().unwrap());
    let with = |pod| InterfaceSpec { mac, ..interface(pod, "") };
    let mut spec = lan(vec![on_lan("p1", with("bb1")), on_lan("p2", with("bb2"))]);
    spec.links = vec![link("w", with("bb3"), with("bb4")), link("v", with("bb4"), with("bb3"))];
    let expected = [
        ("links[0].b.mac", "of `links[0].a` on the same wire"),
        ("links[1].b.mac", "of `links[1].a` on the same wire"),
        ("attachments[1].interface.mac", "of `attachments[0].interface` on the same wire"),
    ];
    refused(&spec, &expected);
    spec.links.clear();
    spec.bridges[0].mac = mac;
    spec.attachments =
        vec![on_lan("p1", with("bb1")), on_device("m", with("bb2"), None), on_device("n", with("bb2"), None)];
    let expected = [("attachments[0].interface.mac", "of `bridges[0]`"), ("attachments[2].interface.mac", "same wire")];
    refused(&spec, &expected);
    let spec = wires(vec![link("w", with("bb1"), interface("x", "")), link("v", with("bb1"), interface("y", ""))]);
    refused(&spec, &[("links[1].a.mac", "of `links[0].a` in the same pod `bb1`")]);
}

#[test]
fn both_ends_of_a_wire_have_one_mtu() {
    let spec = wires(vec![link("w", mtu(1400, interface("a", "")), mtu(9000, interface("b", "")))]);
    refused(&spec, &[("links[0].b.mtu", "`9000` differs from `1400`")]);
    let mut spec = lan(vec![on_lan("p1", mtu(9000, interface("a", "")))]);
    refused(&spec, &[("attachments[0].interface.mtu", "differs from `1500` of bridge `lan`: set the bridge's `mtu`")]);
    spec.bridges[0].mtu = Some(9000.try_into().unwrap());
    refused(&spec, &[]);
}

#[test]
fn ipv6_needs_its_smallest_mtu() {
    let six = |pod| addressed(pod, &["10.0.0.1/24", "fd00::1/64"]);
    refused(&wires(vec![link("w", mtu(1279, six("a")), interface("b", ""))]), &[("links[0].a.mtu", "1280")]);
    refused(&wires(vec![link("w", interface("a", ""), mtu(1280, six("b")))]), &[]);
    refused(&wires(vec![link("w", mtu(600, interface("a", "")), six("b"))]), &[("links[0].b.addresses[1]", "`600`")]);
    let mut spec =
        lan_with(ipam(&["fd00::/64"]), vec![on_lan("p1", interface("a", "")), on_lan("p2", interface("b", ""))]);
    spec.bridges[0].mtu = Some(600.try_into().unwrap());
    refused(&spec, &[("bridges[0].ipam.subnets[0].cidr", "`600`")]);
}

#[test]
fn subnets_are_there_and_apart() {
    refused(
        &lan_with(ipam(&[]), vec![on_lan("p", addressed("a", &["10.0.0.1/24"]))]),
        &[("bridges[0].ipam.subnets", "one")],
    );
    let spec = lan_with(ipam(&["10.0.0.0/8", "10.3.0.0/16", "fd00::/64", "10.4.0.0/16", "11.0.0.0/8"]), Vec::new());
    let expected = [
        ("bridges[0].ipam.subnets[1].cidr", "`10.3.0.0/16` overlaps with `10.0.0.0/8`"),
        ("bridges[0].ipam.subnets[3].cidr", "`10.4.0.0/16` overlaps with `10.0.0.0/8`"),
    ];
    refused(&spec, &expected);
}

#[test]
fn ranges_lie_in_their_subnet_in_order_and_apart() {
    let range = |start: &str, end: &str| (start.parse().unwrap(), end.parse().unwrap());
    let spec = one_subnet(|subnet| {
        subnet.ranges = vec![
            range("10.0.0.10", "10.0.0.20"),
            range("10.0.0.250", "10.0.1.2"),
            range("10.0.0.40", "10.0.0.30"),
            range("fd00::1", "fd00::2"),
            range("10.0.0.20", "10.0.0.29"),
            range("10.0.0.60", "10.0.0.60"),
        ];
    });
    let expected = [
        ("bridges[0].ipam.subnets[0].ranges[1]", "does not lie in `10.0.0.0/24`"),
        ("bridges[0].ipam.subnets[0].ranges[2]", "runs backwards"),
        ("bridges[0].ipam.subnets[0].ranges[3]", "does not lie in"),
        ("bridges[0].ipam.subnets[0].ranges[4]", "overlaps with `bridges[0].ipam.subnets[0].ranges[0]`"),
    ];
    refused(&spec, &expected);
}

#[test]
fn gateways_and_excludes_lie_in_their_subnet() {
    let gateways =
        [("10.0.1.1", "lie in"), ("fd00::1", "lie in"), ("10.0.0.0", "network"), ("10.0.0.255", "broadcast")];
    for (gateway, problem) in gateways {
        let spec = one_subnet(|subnet| subnet.gateway = Some(gateway.parse().unwrap()));
        refused(&spec, &[("bridges[0].ipam.subnets[0].gateway", problem)]);
    }
    let spec = one_subnet(|subnet| {
        subnet.exclude = ["10.0.0.7/32", "10.0.0.0/16", "fd00::/64"].map(|e| e.parse().unwrap()).to_vec();
    });
    let path = "bridges[0].ipam.subnets[0].exclude";
    refused(&spec, &[(&format!("{path}[1]"), "`10.0.0.0/16`"), (&format!("{path}[2]"), "`fd00::/64`")]);
}

#[test]
fn routes_of_an_ipam_have_a_next_hop() {
    let mut pool = ipam(&["10.0.0.0/24"]);
    pool.routes = vec![
        route("::/0", ""),
        route("10.1.0.0/16", "10.0.1.1"),
        route("10.2.0.0/16", "fd00::1"),
        route("10.3.0.0/16", "10.0.0.9"),
        route("10.3.0.0/16", ""),
    ];
    let expected = [
        ("bridges[0].ipam.routes[0]", "no IPv6 subnet"),
        ("bridges[0].ipam.routes[1].via", "`10.0.1.1` cannot be reached: it does not lie in `10.0.0.0/24`"),
        ("bridges[0].ipam.routes[2].via", "not of the family"),
        ("bridges[0].ipam.routes[4]", "`bridges[0].ipam.routes[3]` already"),
    ];
    refused(&lan_with(pool, Vec::new()), &expected);
    let mut pool = ipam(&["10.0.0.0/31"]);
    pool.routes = vec![route("0.0.0.0/0", "")];
    refused(&lan_with(pool, Vec::new()), &[("bridges[0].ipam.routes[0]", "too small")]);
}

#[test]
fn routes_of_an_interface_have_a_next_hop_that_it_reaches() {
    let spec = wires(vec![link(
        "w",
        routed(
            vec![route("10.1.0.0/16", "10.9.0.1"), route("10.2.0.0/16", "10.0.0.1")],
            addressed("a", &["10.0.0.1/24"]),
        ),
        routed(
            vec![route("10.9.0.0/24", ""), route("10.1.0.0/16", "10.9.0.1"), route("::/0", "fe80::1")],
            addressed("b", &["10.0.0.2/24"]),
        ),
    )]);
    let expected = [("links[0].a.routes[0].via", "does not lie in `10.0.0.0/24`"), ("links[0].a.routes[1].via", "own")];
    refused(&spec, &expected);
    let unknown = routed(vec![route("10.1.0.0/16", "10.9.0.1")], interface("a", ""));
    refused(&wires(vec![link("w", unknown, interface("b", ""))]), &[]);
}

#[test]
fn a_route_is_given_once_on_an_interface() {
    let routes =
        vec![route("::/0", "fe80::1"), RouteSpec { metric: 1024, ..route("::/0", "fe80::2") }, route("fd01::/64", "")];
    let spec = wires(vec![link("w", routed(routes, interface("a", "")), interface("b", ""))]);
    refused(&spec, &[("links[0].a.routes[1]", "`::/0` of metric 1024 is `links[0].a.routes[0]` already")]);
}

#[test]
fn a_route_leaves_a_pod_by_one_interface() {
    let default = || vec![route("0.0.0.0/0", "")];
    let mut spec = wires(vec![link("w", routed(default(), interface("a", "")), routed(default(), interface("a", "")))]);
    refused(&spec, &[("links[0].b.routes[0]", "by two interfaces, `links[0].a` and `links[0].b`")]);
    spec.links[0].b.routes[0].unless_present = true;
    refused(&spec, &[]);
    spec.links[0].b.routes[0] = RouteSpec { metric: 5, ..route("0.0.0.0/0", "") };
    refused(&spec, &[]);
    let mut pool = ipam(&["10.0.0.0/24"]);
    pool.routes = default();
    let mut spec = lan_with(pool, vec![on_lan("p1", interface("a", "")), on_lan("p2", interface("a", ""))]);
    refused(&spec, &[("attachments[1].interface", "by two interfaces")]);
    // The gateway itself does not get the route by it.
    spec.bridges[0].ipam.as_mut().unwrap().subnets[0].gateway = Some("10.0.0.1".parse().unwrap());
    spec.attachments[1].interface = addressed("a", &["10.0.0.1/24"]);
    refused(&spec, &[]);
}

#[test]
fn static_addresses_lie_in_the_subnets_and_are_fit() {
    let mut pool = ipam(&["10.0.0.0/24", "fd00::/64"]);
    pool.subnets[0].exclude = vec!["10.0.0.64/26".parse().unwrap()];
    let bad =
        ["10.0.1.1/24", "10.0.0.0/24", "10.0.0.255/24", "10.0.0.70/24", "10.0.0.1/24", "fd00::/64", "10.0.0.2/24"];
    let path = |i: usize| format!("attachments[0].interface.addresses[{i}]");
    let sentences =
        ["`10.0.0.0/24` or `fd00::/64`", "network", "broadcast", "`10.0.0.64/26`", "`gateway: 10.0.0.1`", "network"];
    let paths: Vec<String> = (0..6).map(path).collect();
    let expected: Vec<(&str, &str)> = paths.iter().map(String::as_str).zip(sentences).collect();
    let mut spec = lan_with(pool, vec![on_lan("p1", addressed("a", &bad))]);
    refused(&spec, &expected);
    spec.bridges[0].ipam.as_mut().unwrap().subnets[0].gateway = Some("10.0.0.1".parse().unwrap());
    spec.attachments[0].interface = addressed("a", &["10.0.0.1/24"]);
    refused(&spec, &[]);
}

#[test]
fn an_address_is_given_once_on_a_wire() {
    let one = |pod| addressed(pod, &["10.0.0.2/24"]);
    let mut spec = lan(vec![
        on_lan("p1", one("a")),
        on_lan("p2", one("b")),
        on_device("m", one("a"), None),
        on_device("n", one("b"), None),
    ]);
    spec.links = vec![link("w", one("c"), addressed("d", &["10.0.0.2/16"]))];
    let expected = [
        ("links[0].b.addresses[0]", "`10.0.0.2` is an address of `links[0].a`"),
        ("attachments[1].interface.addresses[0]", "of `attachments[0].interface` on the same wire"),
        ("attachments[3].interface.addresses[0]", "of `attachments[2].interface` on the same wire"),
    ];
    refused(&spec, &expected);
    let twice = addressed("a", &["10.0.0.2/24", "10.0.0.3/24", "10.0.0.2/16"]);
    refused(&lan(vec![on_lan("p1", twice)]), &[("attachments[0].interface.addresses[2]", "addresses[0]` already")]);
}

#[test]
fn limits_are_those_of_the_kernel_and_of_the_agent() {
    let plugs = |n: usize| (0..n).map(|i| on_lan(&format!("p{i}"), interface(&format!("bb{i}"), ""))).collect();
    assert_eq!(limits(&lan(plugs(1023))), None);
    assert_eq!(limits(&lan(plugs(1024))), Some(("attachments", "bridge lan".to_owned(), 1023)));
    let full =
        |n: usize| wires((0..n).map(|i| link(&format!("w{i}"), interface("a", ""), interface("b", ""))).collect());
    assert_eq!(limits(&full(4096)), None);
    assert_eq!(limits(&full(4097)), Some(("elements", "topology lessons/12".to_owned(), 4096)));
}

#[test]
fn the_largest_topology_is_checked_quickly() {
    let mut pool = ipam(&["10.0.0.0/8"]);
    pool.routes = (0..50).map(|i| route(&format!("11.{i}.0.0/16"), "")).collect();
    let same = |i: usize| on_lan(&format!("p{i}"), addressed(&format!("bb{}", i % 9), &["10.0.0.2/8"]));
    let spec = lan_with(pool, (0..MAX_ELEMENTS).map(same).collect());
    let begun = Instant::now();
    assert!(check(&spec).len() > MAX_ELEMENTS);
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

proptest! {
    #[test]
    fn any_spec_is_checked_and_each_violation_can_be_read(spec in any_spec()) {
        for violation in check(&spec) {
            prop_assert!(violation.field.contains('['), "{violation}");
            prop_assert!(violation.description.len() > 20, "{violation}");
        }
        prop_assert_eq!(limits(&spec), None);
    }
}
