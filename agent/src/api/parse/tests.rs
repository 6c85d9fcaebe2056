use podwire_proto::v1::{self, interface::Owner};
use proptest::prelude::*;
use prost::Message;
use tonic::Request;

use super::*;
use crate::{domain::violation::Violation, panel::ChangeError};

fn interface(pod: &str) -> v1::Interface {
    v1::Interface { owner: Some(Owner::Pod(pod.to_owned())), ..v1::Interface::default() }
}

fn link(name: &str) -> v1::Link {
    v1::Link {
        name: name.to_owned(),
        a: Some(interface("bb1")),
        far_end: Some(v1::link::FarEnd::B(interface("bb2"))),
        ..v1::Link::default()
    }
}

fn attachment(name: &str) -> v1::Attachment {
    v1::Attachment {
        name: name.to_owned(),
        interface: Some(interface("bb1")),
        target: Some(v1::attachment::Target::Bridge("lan1".to_owned())),
        ..v1::Attachment::default()
    }
}

fn topology() -> v1::Topology {
    v1::Topology {
        name: "12".to_owned(),
        bridges: vec![v1::Bridge { name: "lan1".to_owned(), ..v1::Bridge::default() }],
        links: vec![link("ab")],
        attachments: vec![attachment("one")],
        ..v1::Topology::default()
    }
}

fn request(topology: v1::Topology) -> Request<v1::ApplyTopologyRequest> {
    Request::new(v1::ApplyTopologyRequest { topology: Some(topology), ..v1::ApplyTopologyRequest::default() })
}

fn violations<T>(result: Result<T, ChangeError>) -> Vec<Violation> {
    match result {
        Ok(_) => Vec::new(),
        Err(ChangeError::Invalid(violations)) => violations,
        Err(error) => panic!("{error}"),
    }
}

fn paths<T>(result: Result<T, ChangeError>) -> Vec<String> {
    violations(result).into_iter().map(|violation| violation.field).collect()
}

/// Paths of what is wrong with end `a` of a link.
fn of_interface(change: impl FnOnce(&mut v1::Interface)) -> Vec<String> {
    let mut topology = topology();
    change(topology.links[0].a.as_mut().unwrap());
    paths(apply(request(topology)))
}

#[test]
fn what_is_left_out_has_its_default() {
    let spec = apply(request(topology())).unwrap().spec;
    assert_eq!(spec.key.to_string(), "default/12");
    assert_eq!(spec.elements(), 3);
    assert!(spec.links[0].up && spec.attachments[0].up);
    assert_eq!(spec.lease, None);
}

#[test]
fn every_violation_is_reported_at_once_and_where_it_stands() {
    let mut topology = topology();
    topology.namespace = "Lessons".to_owned();
    topology.bridges[0].mtu = 67;
    topology.bridges[0].mac = "01:00:00:00:00:00".to_owned();
    topology.bridges[0].ipam = Some(v1::Ipam {
        subnets: vec![v1::Subnet {
            cidr: "10.0.0.1/24".to_owned(),
            ranges: vec![v1::AddressRange { start: "10.0.0.5".to_owned(), end: "x".to_owned() }],
            gateway: "10.0.0".to_owned(),
            exclude: vec!["10.0.0.9/30".to_owned()],
        }],
        routes: vec![v1::Route { destination: "::1/64".to_owned(), ..v1::Route::default() }],
    });
    topology.links.push(link("br%d"));
    topology.links[1].mode = 7;
    topology.links[1].up = -1;
    topology.links[1].far_end = None;
    let a = topology.links[1].a.as_mut().unwrap();
    a.owner = None;
    a.name = "sixteen-bytes-xy".to_owned();
    a.order = 65536;
    a.addresses = vec!["10.0.0.0/33".to_owned(), "10.0.0.1/24".to_owned(), "10.0.0.2".to_owned()];
    a.routes =
        vec![v1::Route { destination: "0.0.0.0/0".to_owned(), via: "fd00::1".to_owned(), ..v1::Route::default() }];
    topology.attachments[0].target = None;
    topology.attachments[0].hairpin = 3;
    topology.lease = Some(prost_types::Duration { seconds: -1, nanos: 0 });
    assert_eq!(
        paths(apply(request(topology))),
        [
            "namespace",
            "bridges[0].mtu",
            "bridges[0].mac",
            "bridges[0].ipam.subnets[0].cidr",
            "bridges[0].ipam.subnets[0].ranges[0].end",
            "bridges[0].ipam.subnets[0].gateway",
            "bridges[0].ipam.subnets[0].exclude[0]",
            "bridges[0].ipam.routes[0].destination",
            "links[1].name",
            "links[1].a.pod",
            "links[1].a.name",
            "links[1].a.order",
            "links[1].a.addresses[0]",
            "links[1].a.addresses[2]",
            "links[1].a.routes[0].via",
            "links[1].b",
            "links[1].mode",
            "links[1].up",
            "attachments[0].bridge",
            "attachments[0].hairpin",
            "lease",
        ]
    );
}

#[test]
fn a_description_has_the_value_and_the_way_out() {
    let mut topology = topology();
    topology.links[0].a.as_mut().unwrap().addresses = vec!["10.0.0.7".to_owned()];
    topology.bridges[0].ipam = Some(v1::Ipam {
        subnets: vec![v1::Subnet { cidr: "10.0.0.1/24".to_owned(), ..v1::Subnet::default() }],
        routes: Vec::new(),
    });
    let found = violations(apply(request(topology)));
    assert_eq!(found[0].description, "`10.0.0.1/24` has host bits: did you mean `10.0.0.0/24`?");
    assert_eq!(found[1].description, "`10.0.0.7` is not a CIDR: it has no prefix length: `10.0.0.7/24`, say");
}

#[test]
fn addresses_that_no_interface_can_have_are_refused() {
    for bad in [
        "",
        "x/24",
        "10.0.0.1/",
        "10.0.0.1/024",
        "10.0.0.1/+24",
        "10.0.0.1/255.255.255.0",
        "10.0.0.1/24/1",
        "0.0.0.0/8",
        "10.0.0.1/0",
        "127.0.0.1/8",
        "224.0.0.1/24",
        "255.255.255.255/32",
        "10.0.0.0/24",
        "10.0.0.255/24",
        "::/64",
        "::1/128",
        "ff02::1/64",
        "fd00::/64",
        "fd00::1/129",
        "fd00::1/0",
        "::ffff:10.0.0.1/120",
        "fe80::1%1/64",
    ] {
        let found = of_interface(|interface| interface.addresses = vec![bad.to_owned()]);
        assert_eq!(found, ["links[0].a.addresses[0]"], "{bad}");
    }
    for good in ["10.0.0.1/24", "10.0.0.0/31", "10.0.0.255/31", "10.0.0.0/32", "fd00::1/64", "fd00::/127", "fd00::/128"]
    {
        let found = of_interface(|interface| interface.addresses = vec![good.to_owned()]);
        assert_eq!(found, [""; 0], "{good}");
    }
}

#[test]
fn network_namespaces_are_names_or_processes_and_never_paths() {
    for bad in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/run/netns/a",
        "/proc/self/ns/net",
        "/proc/0/ns/net",
        "/proc/-1/ns/net",
        "/proc/1/ns/mnt",
        "/proc/4294967295/ns/net",
        "/proc//ns/net",
        "podwire.lessons.12",
        "podwire_retired.1",
        "a\nb",
    ] {
        let found = of_interface(|interface| interface.owner = Some(Owner::Netns(bad.to_owned())));
        assert_eq!(found, ["links[0].a.netns"], "{bad}");
    }
    for good in ["bb1", "cni-0f7c", "/proc/4711/ns/net"] {
        let found = of_interface(|interface| interface.owner = Some(Owner::Netns(good.to_owned())));
        assert_eq!(found, [""; 0], "{good}");
    }
}

#[test]
fn a_uid_belongs_to_a_pod() {
    let found = of_interface(|interface| {
        interface.owner = Some(Owner::Netns("a".to_owned()));
        interface.uid = "0-1".to_owned();
    });
    assert_eq!(found, ["links[0].a.uid"]);
}

#[test]
fn leases_are_bounded() {
    for (seconds, nanos, good) in [
        (0, 0, false),
        (0, 999_999_999, false),
        (1, 0, true),
        (1, -1, false),
        (1, 1_000_000_000, false),
        (i64::MIN, 0, false),
        (i64::MAX, 0, false),
        (86_400, 0, true),
    ] {
        let lease = Some(prost_types::Duration { seconds, nanos });
        let found = paths(apply(request(v1::Topology { lease, ..topology() })));
        assert_eq!(found.is_empty(), good, "{seconds} {nanos}");
    }
}

#[test]
fn what_is_too_much_is_refused_without_looking_at_it() {
    let found = of_interface(|interface| interface.addresses = vec!["10.0.0.1/24".to_owned(); 65]);
    assert_eq!(found, ["links[0].a.addresses"]);
    let route = v1::Route { destination: "0.0.0.0/0".to_owned(), ..v1::Route::default() };
    assert_eq!(of_interface(|interface| interface.routes = vec![route; 257]), ["links[0].a.routes"]);
    let many = v1::Topology { links: vec![v1::Link::default(); 100_000], ..topology() };
    assert!(matches!(apply(request(many)), Err(ChangeError::Limit { limit: 4096, .. })));
    let topologies = vec![v1::renew_leases_request::Item::default(); 10_001];
    assert_eq!(paths(renew(v1::RenewLeasesRequest { topologies })), ["topologies"]);
    let found = paths(apply(request(v1::Topology { links: vec![v1::Link::default(); 4000], ..topology() })));
    assert_eq!(found.len(), 1001);
}

#[test]
fn elements_that_are_sound_are_judged_beside_those_that_are_not() {
    let mut stray = attachment("stray");
    stray.target = Some(v1::attachment::Target::Bridge("nowhere".to_owned()));
    let topology = v1::Topology { links: vec![link("-")], attachments: vec![stray], ..topology() };
    assert_eq!(paths(apply(request(topology))), ["links[0].name", "attachments[0].bridge"]);
}

#[test]
fn single_calls_name_the_fields_of_their_own_request() {
    let bad = v1::CreateLinkRequest {
        namespace: "A".to_owned(),
        topology: "B".to_owned(),
        link: Some(v1::Link { name: "C".to_owned(), ..link("") }),
        ..v1::CreateLinkRequest::default()
    };
    assert_eq!(paths(create_link(Request::new(bad))), ["namespace", "topology", "link.name"]);
    assert_eq!(paths(create_bridge(v1::CreateBridgeRequest::default())), ["bridge"]);
    assert_eq!(paths(get_link(&v1::GetLinkRequest::default())), ["name"]);
    let watch_by_name = v1::WatchTopologiesRequest { name: "12".to_owned(), ..v1::WatchTopologiesRequest::default() };
    assert_eq!(paths(watch(&watch_by_name)), ["name"]);
    assert_eq!(paths(apply(Request::new(v1::ApplyTopologyRequest::default()))), ["topology"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = v1::ApplyTopologyRequest::decode(bytes.as_slice()) {
            let _ = apply(Request::new(message));
        }
        // Random bytes seldom get far: as the topology inside the message they do more often.
        if let Ok(message) = v1::Topology::decode(bytes.as_slice()) {
            let _ = apply(request(message));
        }
        if let Ok(message) = v1::Interface::decode(bytes.as_slice()) {
            let _ = of_interface(|interface| *interface = message);
        }
    }

    #[test]
    fn arbitrary_texts_never_panic(text in any::<String>(), number in any::<i32>()) {
        let _ = of_interface(|interface| {
            interface.name.clone_from(&text);
            interface.mac.clone_from(&text);
            interface.addresses = vec![text.clone(), format!("{text}/{number}")];
            interface.routes = vec![v1::Route { destination: text.clone(), via: text.clone(), ..v1::Route::default() }];
            interface.owner = Some(Owner::Netns(text.clone()));
        });
    }
}
