//! Uplinks whose interface or bridge is another one by now, or not there.

use super::{super::model::Model, alone, any::wanted, assert_same, converge};
use crate::domain::{
    check::sample::{bridge, interface, on_device, plugged, topology},
    desired::Desired,
    intent::PodKey,
    spec::{AttachmentSpec, BridgeSpec, InterfaceSpec, Target, TopologySpec, UplinkTarget},
    uplink::{UplinkSpec, Way},
};

/// VLAN 13 of `eth1`.
fn vlan() -> UplinkSpec {
    UplinkSpec { parent: "eth1".parse().unwrap(), way: Way::Vlan(13.try_into().unwrap()) }
}

fn on_vlan(interface: InterfaceSpec) -> AttachmentSpec {
    let target = Target::Uplink(UplinkTarget { uplink: vlan(), ipam: None });
    AttachmentSpec { target, ..on_device("wan", interface, None) }
}

/// One interface on the VLAN, another one on a bridge.
fn one_on_vlan_one_on_bridge(outside: InterfaceSpec, inside: InterfaceSpec) -> Desired {
    let attachments = vec![on_vlan(outside), plugged("lan", "lan1", inside)];
    wanted(&TopologySpec { bridges: vec![bridge("lan1", None)], attachments, ..topology() })
}

/// From one intent to the other: what is there is what the other one makes alone.
fn change(node: &Model, from: &Desired, to: &Desired) {
    let mut model = node.clone();
    converge(&mut model, from, None);
    converge(&mut model, to, Some(from));
    assert_same(&model.show(), &alone(node, to));
}

fn node_without_bb2() -> Model {
    Model::new([(PodKey::new("bb1"), true), (PodKey::new("bb2"), false)])
}

#[test]
fn a_vlan_leaves_the_port_that_it_had_while_its_new_interface_waits_for_its_pod() {
    let (here, absent) = (interface("bb1", "net1"), interface("bb2", "net1"));
    let from = one_on_vlan_one_on_bridge(here.clone(), absent.clone());
    change(&node_without_bb2(), &from, &one_on_vlan_one_on_bridge(absent, here));
}

#[test]
fn a_vlan_leaves_its_bridge_while_its_new_interface_waits_for_its_pod() {
    let lan = BridgeSpec { uplink: Some(vlan()), ..bridge("lan1", None) };
    let here = plugged("lan", "lan1", interface("bb1", "net1"));
    let from = TopologySpec { bridges: vec![lan], attachments: vec![here], ..topology() };
    let to = one_on_vlan_one_on_bridge(interface("bb2", "net1"), interface("bb1", "net1"));
    change(&node_without_bb2(), &wanted(&from), &to);
}

#[test]
fn a_vlan_leads_nowhere_when_its_pod_goes_and_to_it_when_it_comes_back() {
    let desired = one_on_vlan_one_on_bridge(interface("bb2", "net1"), interface("bb1", "net1"));
    let mut model = Model::new([(PodKey::new("bb1"), true), (PodKey::new("bb2"), true)]);
    converge(&mut model, &desired, None);
    let all = model.show();
    model.stop(&PodKey::new("bb2"));
    converge(&mut model, &desired, None);
    assert_same(&model.show(), &alone(&node_without_bb2(), &desired));
    model.start(&PodKey::new("bb2"));
    converge(&mut model, &desired, None);
    assert_same(&model.show(), &all);
}
