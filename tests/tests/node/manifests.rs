//! The other published manifests: macvlan, a lesson, and YAML that was published broken.

use std::net::{IpAddr, Ipv4Addr};

use podwire_tests::lab::Lab;

use crate::{
    inputs::{apply, input, said},
    private,
};

/// A device `eth0` of the node, as the manifest names it; its far end is a router that answers at 192.168.1.1.
fn uplink(lab: &Lab) {
    lab.ip("netns add router");
    lab.ip("link add eth0 type veth peer name eth0 netns router");
    lab.ip("link set eth0 up");
    lab.ip("-n router link set eth0 up");
    lab.ip("-n router address add 192.168.1.1/24 dev eth0");
}

#[test]
fn macvlan_gives_an_address_of_the_range_and_the_default_route_where_there_is_none() {
    private(async |lab| {
        uplink(lab);
        let thor = lab.pod("thor");
        let agent = lab.agent().arg("--node-device").arg("eth0").start().await;
        let output = apply(lab, &agent, "thor", &["macvlan_thor.yaml"]);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(thor.interfaces(), ["net1"]);
        let IpAddr::V4(address) = thor.address("net1") else { panic!("not IPv4") };
        let (first, last) = (Ipv4Addr::new(192, 168, 1, 200), Ipv4Addr::new(192, 168, 1, 216));
        assert!((first..=last).contains(&address), "{address}");
        assert_eq!(thor.link("net1")["linkinfo"]["info_kind"], "macvlan");
        assert_eq!(thor.link("net1")["linkinfo"]["info_data"]["mode"], "bridge");
        let routes = thor.routes("-4");
        let default = routes.iter().find(|route| route["dst"] == "default").expect("a default route");
        assert_eq!(default["gateway"], "192.168.1.1");
        assert_eq!(default["dev"], "net1");
        thor.ping("192.168.1.1".parse().unwrap());
    });
}

#[test]
fn macvlan_leaves_the_default_route_that_a_pod_has_and_says_so() {
    private(async |lab| {
        uplink(lab);
        let thor = lab.pod("thor").with_eth0();
        let agent = lab.agent().arg("--node-device").arg("eth0").start().await;
        let before = lab.snapshot();
        let output = apply(lab, &agent, "thor", &["macvlan_thor.yaml"]);
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("0.0.0.0/0") && said.contains("thor"), "a warning that names the route: {said}");
        let routes = thor.routes("-4");
        let defaults: Vec<_> = routes.iter().filter(|route| route["dst"] == "default").collect();
        assert_eq!(defaults.len(), 1, "{defaults:?}");
        assert_eq!(defaults[0]["dev"], "eth0");
        before.of("thor").assert_same(&lab.snapshot().of("thor").without("net1"));
        lab.podwire_ok(&["--agent", agent.address(), "delete", "thor", "--yes"]);
        before.of("thor").assert_same(&lab.snapshot().of("thor"));
    });
}

#[test]
fn a_device_of_the_node_that_is_not_shared_is_refused_and_nothing_changes() {
    private(async |lab| {
        uplink(lab);
        lab.pod("thor");
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let output = apply(lab, &agent, "thor", &["macvlan_thor.yaml"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("--node-device"), "says how to allow it: {}", said(&output));
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn a_lesson_gives_links_and_addresses_where_it_has_a_subnet() {
    private(async |lab| {
        let [_, vqfx2, vqfx3, _] = lab.pods(["vqfx1", "vqfx2", "vqfx3", "linux1"]);
        let agent = lab.agent().start().await;
        let output = apply(lab, &agent, "", &["lesson_three_devices.yaml"]);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(lab.panels(), ["podwire.default.three-devices"]);
        for (pod, count) in [("vqfx1", 3), ("vqfx2", 2), ("vqfx3", 2), ("linux1", 1)] {
            let expected: Vec<String> = (1..=count).map(|number| format!("net{number}")).collect();
            assert_eq!(lab.link_names(pod), expected, "{pod}");
        }
        let in_subnet = |pod: &podwire_tests::lab::pod::Pod| {
            let with = pod.interfaces().into_iter().filter(|name| !pod.addresses(name).is_empty());
            with.collect::<Vec<_>>()
        };
        let (from, to) = (in_subnet(&vqfx2), in_subnet(&vqfx3));
        assert_eq!((from.len(), to.len()), (1, 1), "one connection has a subnet");
        assert!(vqfx2.addresses(&from[0])[0].starts_with("10.31.0."), "{:?}", vqfx2.addresses(&from[0]));
        vqfx2.ping(vqfx3.address(&to[0]));
        vqfx3.ping(vqfx2.address(&from[0]));
    });
}

#[test]
fn a_lesson_reaches_its_neighbours_over_wires_without_addresses() {
    private(async |lab| {
        let [vqfx1, _, _, linux1] = lab.pods(["vqfx1", "vqfx2", "vqfx3", "linux1"]);
        let agent = lab.agent().start().await;
        assert!(apply(lab, &agent, "", &["lesson_three_devices.yaml"]).status.success());
        // The last connection of the lesson: the third interface of vqfx1, the only one of linux1.
        vqfx1.ip("address add 10.9.0.1/24 dev net3");
        linux1.ip("address add 10.9.0.2/24 dev net1");
        vqfx1.ping("10.9.0.2".parse().unwrap());
    });
}

#[test]
fn yaml_that_was_published_broken_is_shown_with_its_place_and_changes_nothing() {
    private(async |lab| {
        lab.pods(["bb1", "bb2", "bb3"]);
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let names = ["busybox_networks.yaml", "busybox_pods.as-published.yaml"];
        let output = apply(lab, &agent, "triangle", &names);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("busybox_pods.as-published.yaml:"), "the file: {said}");
        assert!(said.to_lowercase().contains("indent"), "a hint: {said}");
        // The first line that is at the wrong place, quoted, with its number and a column.
        assert!(said.contains("name: bb1"), "the line: {said}");
        assert!(said.contains("busybox_pods.as-published.yaml:5:1\n"), "line and column: {said}");
        before.assert_same(&lab.snapshot());
        let listed = lab.podwire_ok(&["--agent", agent.address(), "get", "topologies", "-o", "json"]);
        assert!(!listed.contains("triangle"), "{listed}");
    });
}

#[test]
fn plan_says_what_apply_would_do_and_touches_nothing() {
    private(async |lab| {
        lab.pods(["bb1", "bb2", "bb3"]);
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let (networks, pods) = (input("busybox_networks.yaml"), input("busybox_pods.yaml"));
        let args = ["--agent", agent.address(), "plan", "--topology", "triangle", "-f", &networks, "-f", &pods];
        let plan = lab.podwire_ok(&args);
        for word in ["create", "12-bridge", "bb1/net1", "bb3/net2"] {
            assert!(plan.contains(word), "{word}: {plan}");
        }
        before.assert_same(&lab.snapshot());
    });
}
