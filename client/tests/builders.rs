//! Builders give the messages of the contract.

use std::time::Duration;

use podwire_client::{
    Attachment, Bridge, Device, Impairment, Interface, Ipam, Link, Route, Subnet, Topology, interfaces,
    v1::{self, attachment::Target, interface::Owner, link::FarEnd},
};

#[test]
fn a_lesson_is_the_message_that_its_lines_say() {
    let lesson: v1::Topology = Topology::new("lessons", "12")
        .bridge(Bridge::new("lan1").subnet("10.0.0.0/24"))
        .attach(Attachment::new("bb1-lan1").pod("bb1").interface("net1").bridge("lan1"))
        .link(Link::new("w1").between(Interface::pod("bb1").name("net2").address("10.1.0.1/30"), Interface::pod("bb2")))
        .lease(Duration::from_millis(1500))
        .generation(7)
        .into();

    let expected = v1::Topology {
        namespace: "lessons".to_owned(),
        name: "12".to_owned(),
        bridges: vec![v1::Bridge {
            name: "lan1".to_owned(),
            ipam: Some(v1::Ipam {
                subnets: vec![v1::Subnet { cidr: "10.0.0.0/24".to_owned(), ..Default::default() }],
                routes: Vec::new(),
            }),
            ..Default::default()
        }],
        links: vec![v1::Link {
            name: "w1".to_owned(),
            a: Some(v1::Interface {
                owner: Some(Owner::Pod("bb1".to_owned())),
                name: "net2".to_owned(),
                addresses: vec!["10.1.0.1/30".to_owned()],
                ..Default::default()
            }),
            far_end: Some(FarEnd::B(v1::Interface { owner: Some(Owner::Pod("bb2".to_owned())), ..Default::default() })),
            ..Default::default()
        }],
        attachments: vec![v1::Attachment {
            name: "bb1-lan1".to_owned(),
            interface: Some(v1::Interface {
                owner: Some(Owner::Pod("bb1".to_owned())),
                name: "net1".to_owned(),
                ..Default::default()
            }),
            target: Some(Target::Bridge("lan1".to_owned())),
            ..Default::default()
        }],
        generation: 7,
        ..Default::default()
    };
    let names: Vec<_> = interfaces(&lesson).map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["net2", "", "net1"]);
    assert_eq!(lesson.lease.map(|lease| (lease.seconds, lease.nanos)), Some((1, 500_000_000)));
    assert_eq!(v1::Topology { lease: None, ..lesson }, expected);
}

#[test]
fn a_bridge_has_its_switches_and_addresses() {
    let bridge: v1::Bridge = Bridge::new("lan1")
        .mtu(9000)
        .mac("02:00:00:00:00:01")
        .hairpin()
        .isolated()
        .subnet(Subnet::new("10.0.0.0/24").range("10.0.0.10", "10.0.0.20").gateway("10.0.0.254").exclude("10.0.0.15"))
        .subnet("fd00::/64")
        .route(Route::default_v4().metric(5).unless_present())
        .into();
    assert_eq!(
        (bridge.mtu, bridge.mac.as_str(), bridge.hairpin, bridge.isolated),
        (9000, "02:00:00:00:00:01", true, true)
    );
    let ipam = bridge.ipam.unwrap_or_default();
    let [four, six] = &ipam.subnets[..] else { panic!("{ipam:?}") };
    assert_eq!((four.ranges[0].start.as_str(), four.ranges[0].end.as_str()), ("10.0.0.10", "10.0.0.20"));
    assert_eq!((four.gateway.as_str(), four.exclude.as_slice()), ("10.0.0.254", &["10.0.0.15".to_owned()][..]));
    assert_eq!(six.cidr, "fd00::/64");
    let route =
        v1::Route { destination: "0.0.0.0/0".to_owned(), metric: 5, unless_present: true, ..Default::default() };
    assert_eq!(ipam.routes, [route]);
}

#[test]
fn an_interface_has_all_that_the_contract_has() {
    let interface: v1::Interface = Interface::netns("blue")
        .name("net3")
        .order(2)
        .mac("02:00:00:00:00:02")
        .mtu(1400)
        .addresses(["10.0.0.9/24", "fd00::9/64"])
        .route("10.2.0.0/16")
        .route(Route::default_v6().via("fd00::1"))
        .into();
    assert_eq!(interface.owner, Some(Owner::Netns("blue".to_owned())));
    assert_eq!((interface.name.as_str(), interface.order, interface.mtu), ("net3", 2, 1400));
    assert_eq!(interface.mac, "02:00:00:00:00:02");
    assert_eq!(interface.addresses, ["10.0.0.9/24", "fd00::9/64"]);
    let routes: Vec<_> = interface.routes.iter().map(|r| (r.destination.as_str(), r.via.as_str())).collect();
    assert_eq!(routes, [("10.2.0.0/16", ""), ("::/0", "fd00::1")]);
}

#[test]
fn the_mtu_of_a_link_is_that_of_both_ends_in_any_order() {
    let ends = || (Interface::pod("a"), Interface::pod("b").mtu(1300));
    let (a, b) = ends();
    let before: v1::Link = Link::new("w").mtu(1400).between(a, b).direct().into();
    let (a, b) = ends();
    let after: v1::Link = Link::new("w").between(a, b).direct().mtu(1400).into();
    assert_eq!(before, after);
    assert_eq!(before.mode(), v1::LinkMode::Direct);
    let Some(FarEnd::B(b)) = before.far_end else { panic!("no far end") };
    assert_eq!((before.a.unwrap_or_default().mtu, b.mtu), (1400, 1300));
}

#[test]
fn a_link_hands_out_addresses_and_can_be_unplugged() {
    let link: v1::Link = Link::new("w").stitched().subnet("10.0.0.0/30").up(false).into();
    assert_eq!((link.mode(), link.up()), (v1::LinkMode::Stitched, v1::Toggle::Off));
    assert_eq!(link.ipam, Some(Ipam::new().subnet("10.0.0.0/30").into()));
}

#[test]
fn an_attachment_to_a_device_has_the_device_and_its_addresses() {
    let attachment: v1::Attachment = Attachment::new("bb1-uplink")
        .pod("bb1")
        .uid("8c1f")
        .device(
            Device::macvlan("thor0")
                .mode(v1::MacvlanMode::Private)
                .subnet(Subnet::new("192.168.1.0/24").range("192.168.1.200", "192.168.1.216"))
                .route(Route::default_v4().via("192.168.1.1").unless_present()),
        )
        .into();
    assert_eq!(attachment.interface.unwrap_or_default().uid, "8c1f");
    let Some(Target::Device(device)) = attachment.target else { panic!("no device") };
    assert_eq!((device.parent.as_str(), device.mode()), ("thor0", v1::MacvlanMode::Private));
    let ipam = device.ipam.unwrap_or_default();
    assert_eq!((ipam.subnets[0].ranges.len(), ipam.routes[0].via.as_str()), (1, "192.168.1.1"));
}

#[test]
fn switches_of_an_attachment_are_undecided_unless_said() {
    let plain: v1::Attachment =
        Attachment::new("x").nic(Interface::pod("p").address("10.0.0.9/24")).bridge("lan1").into();
    let unspecified = v1::Toggle::Unspecified;
    assert_eq!((plain.hairpin(), plain.isolated(), plain.up()), (unspecified, unspecified, unspecified));
    let said: v1::Attachment = Attachment::new("x").hairpin(true).isolated(false).up(false).into();
    assert_eq!((said.hairpin(), said.isolated(), said.up()), (v1::Toggle::On, v1::Toggle::Off, v1::Toggle::Off));
}

#[test]
fn an_impairment_is_of_one_direction_or_of_both() {
    let slow = Impairment::new().delay(Duration::from_millis(40)).jitter(Duration::from_millis(5)).loss(0.5);
    let line = Impairment::new().rate(2_000_000).burst(3036);
    let link = Link::new("w").between(Interface::pod("a"), Interface::pod("b"));
    let link: v1::Link = link.impaired(slow).b_to_a(line).into();
    let (there, back) = (link.a_to_b.unwrap(), link.b_to_a.unwrap());
    assert_eq!(there.delay.map(|time| time.nanos), Some(40_000_000));
    assert_eq!(there.loss_model, Some(v1::impairment::LossModel::Loss(0.5)));
    assert_eq!(back.rate, Some(v1::Rate { bits_per_second: 2_000_000, burst_bytes: 3036, queue_bytes: 0 }));
    assert_eq!(back.delay, None);
    let plug = Attachment::new("p").to_interface(Impairment::new().gilbert_elliott(1.0, 2.0, 3.0, 4.0));
    let chain = v1::GilbertElliott { p: 1.0, r: 2.0, one_minus_h: 3.0, one_minus_k: 4.0 };
    let wanted = Some(v1::impairment::LossModel::GilbertElliott(chain));
    assert_eq!(v1::Attachment::from(plug).to_interface.unwrap().loss_model, wanted);
}

#[test]
fn the_nodes_network_is_reached_by_a_vlan_or_by_a_port() {
    let target = |device: Device| v1::Attachment::from(Attachment::new("p").pod("a").device(device)).target;
    let on = |parent: &str, vlan, bridge_port| {
        let device = v1::NodeDevice { parent: parent.into(), vlan, bridge_port, ..Default::default() };
        Some(Target::Device(device))
    };
    assert_eq!(target(Device::vlan("eth0", 100)), on("eth0", Some(100), false));
    assert_eq!(target(Device::bridge_port("br0")), on("br0", None, true));
    let bridge: v1::Bridge = Bridge::new("lan1").vlan_aware().uplink_vlan("eth0", 7).into();
    let uplink = v1::Uplink { parent: "eth0".into(), vlan: Some(7), bridge_port: false };
    assert_eq!((bridge.vlan_aware, bridge.uplink), (true, Some(uplink)));
    let bridge: v1::Bridge = Bridge::new("lan1").uplink_bridge_port("br0").into();
    assert!(bridge.uplink.unwrap().bridge_port);
}

#[test]
fn an_attachment_is_of_one_vlan_or_of_a_trunk() {
    let access: v1::Attachment = Attachment::new("p").access(10).into();
    assert_eq!(access.vlan, Some(v1::PortVlan { access: 10, ..Default::default() }));
    let trunk: v1::Attachment = Attachment::new("p").trunk(20..=29).native(1).trunk(5..=5).into();
    let range = |first, last| v1::VlanRange { first, last };
    assert_eq!(trunk.vlan, Some(v1::PortVlan { access: 0, trunk: vec![range(20, 29), range(5, 5)], native: 1 }));
}
