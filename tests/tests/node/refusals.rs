//! Bad input: each has its status, all violations come at once, and the kernel is as it was before.

use podwire_proto::v1::{
    AddressRange, ApplyTopologyRequest, Attachment, Bridge, CreateBridgeRequest, Interface, Link, LinkMode, NodeDevice,
    Toggle, Topology, attachment::Target,
};
use podwire_tests::{
    elements::{bridge, ipam, lan, link, nic, nic_at, plug, route, topology},
    lab::{Lab, agent::refused},
    verdict::{assert_refused, fields},
};
use tonic::Code;

use crate::private;

/// A topology that is refused as invalid, with the fields that must be named.
async fn invalid(lab: &Lab, cases: Vec<(Topology, &[&str])>) {
    lab.pods(["a", "b"]);
    let agent = lab.agent().start().await;
    let before = lab.snapshot();
    for (wanted, fields) in cases {
        let status = refused(agent.apply(wanted)).await;
        assert_refused(&status, Code::InvalidArgument, fields);
    }
    before.assert_same(&lab.snapshot());
}

fn with_interface(interface: Interface) -> Topology {
    let bridges = vec![lan("lan", "10.0.0.0/24")];
    Topology { bridges, attachments: vec![plug("p", interface, "lan")], ..topology("12") }
}

fn with_addresses(addresses: &[&str]) -> Topology {
    with_interface(nic_at("a", "net1", addresses))
}

#[test]
fn names_that_the_kernel_would_bend_are_invalid() {
    private(async |lab| {
        let bent = ["br%d", "sixteen-bytes-xx", "a/b", "a:b", "a b", ".", "..", "lo", "all", "default", "ää\u{7f}"];
        let fields: &[&str] = &["attachments[0].interface.name"];
        invalid(lab, bent.map(|name| (with_interface(nic("a", name)), fields)).to_vec()).await;
    });
}

#[test]
fn a_name_of_fifteen_bytes_is_taken_as_it_is() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        // Bytes, not characters: 7 x 2 + 1.
        let names = ["fifteen-bytes-x", "äöüäöüä1", "-1", "2", "@#$"];
        for (number, name) in names.iter().enumerate() {
            let mut wanted = with_interface(nic("a", name));
            wanted.name = format!("t{number}");
            agent.apply(wanted).await.unwrap_or_else(|status| panic!("{name}: {status}"));
        }
        assert_eq!(a.interfaces().len(), names.len(), "{:?}", a.interfaces());
    });
}

#[test]
fn names_of_topologies_and_elements_are_labels() {
    private(async |lab| {
        let mut cases: Vec<(Topology, &[&str])> = Vec::new();
        for bad in ["Upper", "a/b", "..", "a_b", "-a", "br%d", "a.b"] {
            cases.push((Topology { name: bad.into(), ..topology("x") }, &["name"]));
            cases.push((Topology { namespace: bad.into(), ..topology("x") }, &["namespace"]));
            cases.push((Topology { bridges: vec![bridge(bad)], ..topology("x") }, &["bridges[0].name"]));
        }
        let long = "x".repeat(64);
        cases.push((Topology { name: long.clone(), ..topology("x") }, &["name"]));
        cases.push((Topology { bridges: vec![bridge(&long)], ..topology("x") }, &["bridges[0].name"]));
        cases.push((Topology { bridges: vec![bridge("")], ..topology("x") }, &["bridges[0].name"]));
        let twice = vec![bridge("lan"), bridge("lan")];
        cases.push((Topology { bridges: twice, ..topology("x") }, &["bridges[1].name"]));
        let mut shared = with_interface(nic("a", "net1"));
        shared.attachments[0].name = "lan".into();
        cases.push((shared, &["attachments[0].name"]));
        invalid(lab, cases).await;
    });
}

#[test]
fn addresses_outside_the_subnet_twice_or_the_gateways_are_invalid() {
    private(async |lab| {
        const FIRST: &[&str] = &["attachments[0].interface.addresses[0]"];
        let mut cases = vec![
            (with_addresses(&["10.0.1.7/24"]), FIRST),
            (with_addresses(&["10.0.0.1/24"]), FIRST),
            (with_addresses(&["10.0.0.0/24"]), FIRST),
            (with_addresses(&["10.0.0.255/24"]), FIRST),
            (with_addresses(&["10.0.0.7"]), FIRST),
            (with_addresses(&["10.0.0.256/24"]), FIRST),
            (with_addresses(&["fd00::1/64"]), FIRST),
            (with_addresses(&["10.0.0.7/24", "10.0.0.7/24"]), &["attachments[0].interface.addresses[1]"]),
        ];
        let mut twice = with_addresses(&["10.0.0.7/24"]);
        twice.attachments.push(plug("q", nic_at("b", "net1", &["10.0.0.7/24"]), "lan"));
        cases.push((twice, &["attachments[1].interface.addresses[0]"]));
        let mut excluded = with_addresses(&["10.0.0.7/24"]);
        excluded.bridges[0].ipam.as_mut().unwrap().subnets[0].exclude = vec!["10.0.0.0/29".into()];
        cases.push((excluded, FIRST));
        invalid(lab, cases).await;
    });
}

#[test]
fn the_gateway_may_be_an_interface_where_it_is_written_down() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        let mut wanted = with_addresses(&["10.0.0.1/24"]);
        wanted.bridges[0].ipam.as_mut().unwrap().subnets[0].gateway = "10.0.0.1".into();
        agent.apply(wanted).await.unwrap();
        assert_eq!(a.addresses("net1"), ["10.0.0.1/24"]);
    });
}

#[test]
fn an_ipam_that_contradicts_itself_is_invalid() {
    private(async |lab| {
        let with = |change: &dyn Fn(&mut Topology)| {
            let mut wanted = with_interface(nic("a", "net1"));
            change(&mut wanted);
            wanted
        };
        let range = |start: &str, end: &str| AddressRange { start: start.into(), end: end.into() };
        macro_rules! of_subnet {
            ($field:ident = $value:expr) => {
                with(&|wanted| wanted.bridges[0].ipam.as_mut().unwrap().subnets[0].$field = $value)
            };
        }
        let cases: Vec<(Topology, &[&str])> = vec![
            (of_subnet!(cidr = "10.0.0.1/24".into()), &["bridges[0].ipam.subnets[0].cidr"]),
            (of_subnet!(cidr = "10.0.0.0/33".into()), &["bridges[0].ipam.subnets[0].cidr"]),
            (of_subnet!(cidr = String::new()), &["bridges[0].ipam.subnets[0].cidr"]),
            (of_subnet!(gateway = "10.0.1.1".into()), &["bridges[0].ipam.subnets[0].gateway"]),
            (of_subnet!(exclude = vec!["x".into()]), &["bridges[0].ipam.subnets[0].exclude[0]"]),
            (of_subnet!(ranges = vec![range("10.0.0.9", "10.0.0.5")]), &["bridges[0].ipam.subnets[0].ranges[0]"]),
            (of_subnet!(ranges = vec![range("10.0.9.1", "10.0.0.5")]), &["bridges[0].ipam.subnets[0].ranges[0]"]),
            (with(&|wanted| wanted.bridges[0].ipam.as_mut().unwrap().subnets.clear()), &["bridges[0].ipam.subnets"]),
            (
                with(&|wanted| {
                    let subnets = &mut wanted.bridges[0].ipam.as_mut().unwrap().subnets;
                    subnets.push(ipam("10.0.0.128/25").unwrap().subnets.remove(0));
                }),
                &["bridges[0].ipam.subnets[1].cidr"],
            ),
        ];
        invalid(lab, cases).await;
    });
}

#[test]
fn an_exhausted_range_is_refused_as_a_whole() {
    private(async |lab| {
        lab.pods(["a", "b", "c"]);
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let mut wanted = topology("12");
        wanted.bridges = vec![lan("lan", "10.0.0.0/29")];
        let subnet = &mut wanted.bridges[0].ipam.as_mut().unwrap().subnets[0];
        subnet.ranges = vec![AddressRange { start: "10.0.0.2".into(), end: "10.0.0.3".into() }];
        wanted.attachments = ["a", "b", "c"].map(|pod| plug(pod, nic(pod, "net1"), "lan")).to_vec();
        let status = refused(agent.apply(wanted)).await;
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("10.0.0.0/29"), "names it: {status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn wires_that_cannot_be_are_invalid() {
    private(async |lab| {
        let of_links = |links: Vec<Link>| Topology { links, ..topology("12") };
        let mut no_end = link("w", nic("a", "net1"), nic("b", "net1"));
        no_end.far_end = None;
        let cut = Link {
            mode: LinkMode::Direct.into(),
            up: Toggle::Off.into(),
            ..link("w", nic("a", "net1"), nic("b", "net1"))
        };
        let mut two_of_one_name = with_interface(nic("a", "net1"));
        two_of_one_name.attachments.push(plug("q", nic("a", "net1"), "lan"));
        let mut unknown_bridge = with_interface(nic("a", "net1"));
        unknown_bridge.attachments[0].target = Some(Target::Bridge("nowhere".into()));
        let mut of_another_mtu = with_interface(Interface { mtu: 9000, ..nic("a", "net1") });
        of_another_mtu.bridges[0].mtu = 1500;
        let mtus = link("w", Interface { mtu: 1500, ..nic("a", "net1") }, Interface { mtu: 9000, ..nic("b", "net1") });
        let cases: Vec<(Topology, &[&str])> = vec![
            (of_links(vec![link("w", nic("a", "net1"), nic("a", "net1"))]), &["links[0].b"]),
            (of_links(vec![no_end]), &["links[0].b"]),
            (of_links(vec![Link { a: None, ..link("w", nic("a", "x"), nic("b", "net1")) }]), &["links[0].a"]),
            (of_links(vec![mtus]), &["links[0].b.mtu"]),
            (of_links(vec![cut]), &["links[0].up"]),
            (two_of_one_name, &["attachments[1].interface.name"]),
            (unknown_bridge, &["attachments[0].bridge"]),
            (of_another_mtu, &["attachments[0].interface.mtu"]),
        ];
        invalid(lab, cases).await;
    });
}

#[test]
fn values_out_of_bounds_are_invalid() {
    private(async |lab| {
        let mut cases: Vec<(Topology, &[&str])> = Vec::new();
        for mtu in [1, 67, 65536] {
            cases.push((
                Topology { bridges: vec![Bridge { mtu, ..bridge("lan") }], ..topology("x") },
                &["bridges[0].mtu"],
            ));
        }
        for mac in ["nonsense", "01:00:5e:00:00:01", "00:00:00:00:00:00", "02:00:00:00:00", "ff:ff:ff:ff:ff:ff"] {
            let interface = Interface { mac: mac.into(), ..nic("a", "net1") };
            cases.push((with_interface(interface), &["attachments[0].interface.mac"]));
        }
        let order = Interface { order: 65536, ..nic("a", "net1") };
        cases.push((with_interface(order), &["attachments[0].interface.order"]));
        let mut bad = nic("a", "net1");
        bad.routes = vec![route("10.0.9.1/24", "10.0.0.2", 0), route("10.9.0.0/24", "fd00::1", 0), route("x", "", 0)];
        cases.push((
            with_interface(bad),
            &[
                "attachments[0].interface.routes[0].destination",
                "attachments[0].interface.routes[1].via",
                "attachments[0].interface.routes[2].destination",
            ],
        ));
        let nobody = Interface { owner: None, ..nic("a", "net1") };
        cases.push((with_interface(nobody), &["attachments[0].interface"]));
        cases.push((with_interface(nic("a/b", "net1")), &["attachments[0].interface.pod"]));
        let short = prost_types::Duration { seconds: 0, nanos: 1000 };
        cases.push((Topology { lease: Some(short), ..topology("x") }, &["lease"]));
        invalid(lab, cases).await;
    });
}

#[test]
fn unknown_values_of_choices_are_invalid() {
    private(async |lab| {
        let mode = Link { mode: 99, ..link("w", nic("a", "net1"), nic("b", "net1")) };
        let up = Link { up: 99, ..link("w", nic("a", "net1"), nic("b", "net1")) };
        let mut plugged = with_interface(nic("a", "net1"));
        plugged.attachments[0].hairpin = -1;
        plugged.attachments[0].isolated = 99;
        let device = NodeDevice { parent: "eth0".into(), mode: 99, ..NodeDevice::default() };
        let macvlan = Attachment { target: Some(Target::Device(device)), ..plug("p", nic("a", "net1"), "") };
        let cases: Vec<(Topology, &[&str])> = vec![
            (Topology { links: vec![mode], ..topology("x") }, &["links[0].mode"]),
            (Topology { links: vec![up], ..topology("x") }, &["links[0].up"]),
            (plugged, &["attachments[0].hairpin", "attachments[0].isolated"]),
            (Topology { attachments: vec![macvlan], ..topology("x") }, &["attachments[0].device.mode"]),
        ];
        invalid(lab, cases).await;
    });
}

#[test]
fn all_violations_come_at_once() {
    private(async |lab| {
        let mut wanted = with_interface(Interface { mac: "x".into(), mtu: 1, ..nic_at("a", "br%d", &["y"]) });
        wanted.bridges.push(Bridge { mtu: 1, ..bridge("Not-A-Name") });
        wanted.links.push(link("w", nic_at("a", "net9", &["10.9.0.1/33"]), nic("a", "net9")));
        invalid(
            lab,
            vec![(
                wanted,
                &[
                    "bridges[1].name",
                    "bridges[1].mtu",
                    "links[0].a.addresses[0]",
                    "attachments[0].interface.name",
                    "attachments[0].interface.mac",
                    "attachments[0].interface.mtu",
                    "attachments[0].interface.addresses[0]",
                ],
            )],
        )
        .await;
    });
}

#[test]
fn requests_without_their_subject_are_invalid() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let status = refused(agent.apply_request(ApplyTopologyRequest::default())).await;
        assert_refused(&status, Code::InvalidArgument, &["topology"]);
        let status = refused(agent.bridges().create_bridge(CreateBridgeRequest::default())).await;
        assert_refused(&status, Code::InvalidArgument, &["bridge"]);
        let bad = CreateBridgeRequest { bridge: Some(bridge("br%d")), ..CreateBridgeRequest::default() };
        let status = refused(agent.bridges().create_bridge(bad)).await;
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(fields(&status).iter().any(|field| field.ends_with("name")), "{:?}", fields(&status));
    });
}
