use podwire_cli::manifest::{Options, read};
use podwire_proto::v1;

use crate::{input, plugs};

fn options() -> Options {
    Options { topology: Some("triangle".to_owned()), ..Options::default() }
}

#[test]
fn the_triangle_becomes_three_bridges_and_six_attachments() {
    let manifest = read(&[input("busybox_networks.yaml"), input("busybox_pods.yaml")], &options()).unwrap();
    assert_eq!(manifest.warnings, []);
    let topology = &manifest.topology;
    assert_eq!((topology.namespace.as_str(), topology.name.as_str()), ("default", "triangle"));
    let bridges: Vec<_> = topology
        .bridges
        .iter()
        .map(|bridge| (bridge.name.as_str(), bridge.ipam.as_ref().unwrap().subnets[0].cidr.as_str(), bridge.hairpin))
        .collect();
    assert_eq!(
        bridges,
        [
            ("31-bridge", "10.10.31.0/24", true),
            ("12-bridge", "10.10.12.0/24", true),
            ("23-bridge", "10.10.23.0/24", true)
        ]
    );
    assert_eq!(
        plugs(&manifest),
        [
            "bb1-net1: bb1 net1 1 -> 31-bridge",
            "bb1-net2: bb1 net2 2 -> 12-bridge",
            "bb2-net1: bb2 net1 1 -> 12-bridge",
            "bb2-net2: bb2 net2 2 -> 23-bridge",
            "bb3-net1: bb3 net1 1 -> 23-bridge",
            "bb3-net2: bb3 net2 2 -> 31-bridge",
        ]
    );
}

#[test]
fn the_order_of_the_files_does_not_matter() {
    let one = read(&[input("busybox_networks.yaml"), input("busybox_pods.yaml")], &options()).unwrap();
    let other = read(&[input("busybox_pods.yaml"), input("busybox_networks.yaml")], &options()).unwrap();
    assert_eq!(one, other);
}

#[test]
fn thor_gets_a_macvlan_interface_with_a_range_and_a_default_route() {
    let manifest = read(&[input("macvlan_thor.yaml")], &options()).unwrap();
    assert_eq!(manifest.warnings, []);
    assert_eq!(plugs(&manifest), ["thor-net1: thor net1 1 -> device eth0"]);
    let Some(v1::attachment::Target::Device(device)) = &manifest.topology.attachments[0].target else { panic!() };
    assert_eq!(device.mode(), v1::MacvlanMode::Bridge);
    let ipam = device.ipam.as_ref().unwrap();
    let subnet = &ipam.subnets[0];
    assert_eq!((subnet.cidr.as_str(), subnet.gateway.as_str()), ("192.168.1.0/24", "192.168.1.1"));
    assert_eq!((subnet.ranges[0].start.as_str(), subnet.ranges[0].end.as_str()), ("192.168.1.200", "192.168.1.216"));
    let route = v1::Route { destination: "0.0.0.0/0".to_owned(), unless_present: true, ..v1::Route::default() };
    assert_eq!(ipam.routes, [route]);
}

#[test]
fn the_lesson_becomes_four_links() {
    let manifest = read(&[input("lesson_three_devices.yaml")], &Options::default()).unwrap();
    assert_eq!(manifest.warnings, []);
    assert_eq!(manifest.topology.name, "three-devices");
    let links = manifest.topology.links.iter().map(|link| {
        let name = |interface: Option<&v1::Interface>| interface.unwrap().name.clone();
        let Some(v1::link::FarEnd::B(b)) = &link.far_end else { panic!() };
        let subnet = link.ipam.as_ref().map_or("", |ipam| ipam.subnets[0].cidr.as_str());
        format!("{} {} {} {subnet}", link.name, name(link.a.as_ref()), name(Some(b)))
    });
    let links: Vec<_> = links.collect();
    assert_eq!(
        links,
        [
            "vqfx1-vqfx2 net1 net1 ",
            "vqfx2-vqfx3 net2 net1 10.31.0.0/24",
            "vqfx3-vqfx1 net2 net2 ",
            "vqfx1-linux1 net3 net1 "
        ]
    );
}
