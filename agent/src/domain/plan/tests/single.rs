//! Single cases, one sentence each.

use std::{collections::BTreeSet, time::Instant};

use super::{
    super::{
        Trouble,
        model::{Model, PodDevice},
        plan,
    },
    alone,
    any::{full_node, wanted},
    assert_same, converge, indexes, planned, take,
};
use crate::domain::{
    check::sample::{bridge, interface, link, on_device, plugged, route, topology},
    desired::Desired,
    intent::{NicKey, PodKey},
    observed::{Observed, PodView, Refusal},
    spec::{AttachmentSpec, InterfaceSpec, LinkMode, LinkSpec, RouteSpec, TopologySpec},
    step::Step,
};

fn nic(pod: &str, name: &str) -> NicKey {
    NicKey { pod: PodKey::new(pod), name: name.parse().unwrap() }
}

fn on_bridge(interfaces: &[(&str, InterfaceSpec)]) -> Desired {
    let attachments = interfaces.iter().map(|(name, interface)| plugged(name, "lan1", interface.clone()));
    wanted(&TopologySpec { bridges: vec![bridge("lan1", None)], attachments: attachments.collect(), ..topology() })
}

fn wire(mode: LinkMode, a: &str, b: &str) -> Desired {
    let link = LinkSpec { mode, ..link("wire", interface(a, "net1"), interface(b, "net1")) };
    wanted(&TopologySpec { links: vec![link], ..topology() })
}

fn with(addresses: &[&str], routes: &[RouteSpec]) -> InterfaceSpec {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    InterfaceSpec { addresses, routes: routes.to_vec(), ..interface("bb1", "net1") }
}

fn change(node: &Model, from: &Desired, to: &Desired) -> (Model, Vec<Step>) {
    let mut model = node.clone();
    converge(&mut model, from, None);
    let steps = converge(&mut model, to, Some(from)).steps;
    assert_same(&model.show(), &alone(node, to));
    (model, steps)
}

#[test]
fn a_nic_keeps_its_index_when_its_wire_becomes_another() {
    let (a, b) = (on_bridge(&[("plug", interface("bb1", "net1"))]), wire(LinkMode::Stitched, "bb1", "bb2"));
    let node = full_node();
    let mut model = node.clone();
    converge(&mut model, &a, None);
    let before = indexes(&model, &a)[&nic("bb1", "net1")];
    let (after, _) = change(&node, &a, &b);
    assert_eq!(indexes(&after, &b)[&nic("bb1", "net1")], before);
}

#[test]
fn both_ends_of_a_direct_link_go_before_one_of_them_is_made_anew() {
    let (a, b) = (wire(LinkMode::Direct, "bb1", "bb2"), on_bridge(&[("plug", interface("bb1", "net1"))]));
    let (_, steps) = change(&full_node(), &a, &b);
    assert_eq!(steps.iter().filter(|step| matches!(step, Step::RemoveNic(..))).count(), 1);
    assert!(!steps.iter().any(|step| step.nic() == Some(&nic("bb2", "net1"))));
}

#[test]
fn a_direct_link_within_a_pod_is_made_in_the_order_of_its_names() {
    let link = LinkSpec { mode: LinkMode::Direct, ..link("wire", interface("bb1", "net1"), interface("bb1", "net2")) };
    let desired = wanted(&TopologySpec { links: vec![link], ..topology() });
    let mut model = full_node();
    converge(&mut model, &desired, None);
    let indexes = indexes(&model, &desired);
    assert!(indexes[&nic("bb1", "net1")] < indexes[&nic("bb1", "net2")]);
}

#[test]
fn an_element_takes_its_mark_along_to_another_nic() {
    let (one, two) = (interface("bb1", "net1"), interface("bb1", "net2"));
    let node = full_node();
    change(&node, &on_bridge(&[("plug", two.clone())]), &on_bridge(&[("plug", one.clone())]));
    let (x, y) = ([("a", one.clone()), ("b", two.clone())], [("a", two), ("b", one)]);
    change(&node, &on_bridge(&x), &on_bridge(&y));
}

#[test]
fn a_macvlan_that_becomes_a_wire_whose_far_pod_is_absent_goes() {
    let device = on_device("plug", interface("bb1", "net1"), None);
    let a = wanted(&TopologySpec { attachments: vec![device], ..topology() });
    let node = Model::new([(PodKey::new("bb1"), true), (PodKey::new("bb2"), false)]);
    change(&node, &a, &wire(LinkMode::Direct, "bb1", "bb2"));
}

#[test]
fn a_macvlan_without_an_mtu_has_its_parents_again() {
    let plug = |mtu: Option<u32>| {
        let interface = InterfaceSpec { mtu: mtu.map(|mtu| mtu.try_into().unwrap()), ..interface("bb1", "net1") };
        wanted(&TopologySpec { attachments: vec![on_device("plug", interface, None)], ..topology() })
    };
    change(&full_node(), &plug(Some(1400)), &plug(None));
}

#[test]
fn an_address_that_the_kernel_takes_along_comes_back_in_time_for_a_route() {
    let routes = [route("10.9.0.0/16", "10.0.0.9")];
    let a = on_bridge(&[("plug", with(&["10.0.0.1/24", "10.0.0.2/24"], &routes))]);
    let b = on_bridge(&[("plug", with(&["10.0.0.2/24"], &[route("10.8.0.0/16", "10.0.0.9")]))]);
    change(&full_node(), &a, &b);
    change(&full_node(), &a, &on_bridge(&[("plug", with(&["10.0.0.3/24"], &routes))]));
}

#[test]
fn a_route_on_the_link_comes_before_the_gateway_that_it_reaches() {
    let routes = [route("10.9.0.0/16", "10.1.0.9"), route("10.1.0.0/24", "")];
    converge(&mut full_node(), &on_bridge(&[("plug", with(&[], &routes))]), None);
}

#[test]
fn a_route_that_comes_with_an_address_is_not_added_twice() {
    let routes = [route("10.0.0.0/24", "")];
    let desired = on_bridge(&[("plug", with(&["10.0.0.1/24"], &routes))]);
    let (_, steps) = change(&full_node(), &desired, &on_bridge(&[("plug", with(&["10.0.0.1/24"], &[]))]));
    assert_eq!(steps, []);
}

#[test]
fn of_two_routes_that_yield_to_others_the_first_is_there() {
    let yielding = |name| InterfaceSpec {
        routes: vec![RouteSpec { unless_present: true, ..route("10.9.0.0/16", "") }],
        ..interface("bb1", name)
    };
    let both = on_bridge(&[("a", yielding("net1")), ("b", yielding("net2"))]);
    let skipped = converge(&mut full_node(), &both, None).skipped_routes;
    assert_eq!(skipped.keys().map(ToString::to_string).collect::<Vec<_>>(), ["b"]);
    let firm = InterfaceSpec { routes: vec![route("10.9.0.0/16", "")], ..interface("bb1", "net2") };
    change(&full_node(), &both, &on_bridge(&[("a", yielding("net1")), ("b", firm)]));
}

#[test]
fn a_route_of_another_device_is_never_replaced() {
    let desired = on_bridge(&[("plug", with(&["10.0.0.1/24"], &[route("0.0.0.0/0", "10.0.0.9")]))]);
    let plan = converge(&mut full_node(), &desired, None);
    let trouble: Vec<_> = plan.trouble.values().map(Trouble::message).collect();
    assert!(trouble[0].contains("0.0.0.0/0") && trouble[0].contains("`eth0`"), "{trouble:?}");
}

#[test]
fn a_foreign_route_is_not_taken_for_that_of_a_nic_of_the_same_name() {
    let a = on_bridge(&[("plug", with(&[], &[route("10.9.0.0/16", "")]))]);
    let other = InterfaceSpec { routes: vec![route("10.9.0.0/16", "")], ..interface("bb1", "net2") };
    let mut model = full_node();
    let pod = model.pod(&PodKey::new("bb1")).unwrap();
    let index = pod.insert(PodDevice::foreign("net1"));
    pod.add_route(index, &route("10.9.0.0/16", "")).unwrap();
    let before = model.show();
    converge(&mut model, &on_bridge(&[("other", other)]), Some(&a));
    assert!(before.is_subset(&model.show()));
}

#[test]
fn a_nic_that_its_pod_has_set_down_stays_so_and_gets_its_routes_when_it_is_up() {
    let desired = on_bridge(&[("plug", with(&["10.0.0.1/24", "fd00::1/64"], &[route("10.9.0.0/16", "10.0.0.9")]))]);
    let mut model = full_node();
    converge(&mut model, &desired, None);
    let shall = model.show();
    let key = nic("bb1", "net1");
    model.within(&key, |pod, index| pod.set_up(index, false)).unwrap();
    converge(&mut model, &desired, None);
    assert!(!model.nic(&key).unwrap().up);
    model.within(&key, |pod, index| pod.set_up(index, true)).unwrap();
    converge(&mut model, &desired, None);
    assert_same(&model.show(), &shall);
}

#[test]
fn a_nic_that_was_not_finished_is_waited_for() {
    let desired = on_bridge(&[("plug", interface("bb1", "net1"))]);
    let mut model = full_node();
    let steps = planned(&model, &desired, None).steps;
    let up = steps.iter().position(|step| matches!(step, Step::BringUp(_))).unwrap();
    take(&mut model, &steps[..up]);
    let steps = converge(&mut model, &desired, None).steps;
    assert!(steps.contains(&Step::Settle(nic("bb1", "net1"))), "{steps:#?}");
}

#[test]
fn what_is_skipped_is_left_as_it_is() {
    let (a, b) = (wire(LinkMode::Stitched, "bb1", "bb2"), wire(LinkMode::Direct, "bb1", "bb2"));
    let mut model = full_node();
    converge(&mut model, &a, None);
    let skip: BTreeSet<_> = b.nics.iter().map(|nic| nic.id.clone()).collect();
    assert_eq!(plan(&b, Some(&a), &model.observe(), &skip).steps, []);
}

#[test]
fn a_pod_that_is_refused_is_trouble_and_its_neighbour_has_no_carrier() {
    let desired = wire(LinkMode::Stitched, "bb1", "bb2");
    let mut observed: Observed = full_node().observe();
    let refusal = Refusal { reason: "UID_MISMATCH", message: "another".to_owned() };
    observed.pods.insert(PodKey::new("bb2"), PodView::Refused(refusal.clone()));
    let plan = plan(&desired, None, &observed, &BTreeSet::new());
    assert_eq!(plan.trouble.into_values().collect::<Vec<_>>(), [Trouble::Refused(refusal)]);
    assert!(!plan.steps.iter().any(|step| matches!(step, Step::Stitch(..) | Step::SetPort(_, true))));
}

#[test]
fn a_cable_is_plugged_when_both_of_its_ends_are_ready_and_before_the_interface_is_called_complete() {
    for desired in [
        wire(LinkMode::Stitched, "bb1", "bb2"),
        on_bridge(&[("a", interface("bb1", "net1")), ("b", interface("bb2", "net1"))]),
    ] {
        let steps = plan(&desired, None, &full_node().observe(), &BTreeSet::new()).steps;
        let at = |is: fn(&Step) -> bool| steps.iter().enumerate().filter(move |(_, step)| is(step)).map(|(at, _)| at);
        let plugged: Vec<usize> = at(|step| matches!(step, Step::SetPort(_, true))).collect();
        assert_eq!(plugged.len(), 2, "{steps:?}");
        let wires = at(|step| matches!(step, Step::BringUp(_) | Step::Stitch(..)));
        assert!(wires.max() < plugged.first().copied(), "{steps:?}");
        let settled = at(|step| matches!(step, Step::Settle(_) | Step::Mark(..)));
        assert!(settled.min() > plugged.last().copied(), "{steps:?}");
        let behind = |step: &&Step| {
            !matches!(step, Step::SetPort(..) | Step::SetBridgePort(..) | Step::Settle(_) | Step::Mark(..))
        };
        assert_eq!(steps[plugged[0]..].iter().find(behind), None, "{steps:?}");
    }
}

#[test]
fn a_port_that_is_there_does_not_wait_for_its_pod() {
    let desired = on_bridge(&[("a", with(&["10.9.0.1/24"], &[]))]);
    let mut model = full_node();
    converge(&mut model, &on_bridge(&[("a", interface("bb1", "net1"))]), None);
    take(&mut model, &[Step::SetPort(nic("bb1", "net1"), false)]);
    let steps = plan(&desired, None, &model.observe(), &BTreeSet::new()).steps;
    let plug = steps.iter().position(|step| matches!(step, Step::SetPort(_, true)));
    let address = steps.iter().position(|step| matches!(step, Step::AddAddress(..)));
    assert!(plug.is_some() && plug < address, "{steps:?}");
}

#[test]
fn the_largest_topology_is_planned_quickly() {
    let pods = |n: usize| (format!("bb{}", n / 8), format!("net{}", n % 8));
    let links = (0..3000).map(|n| {
        let ((a, name_a), (b, name_b)) = (pods(n), pods(n + 4000));
        link(&format!("wire{n}"), interface(&a, &name_a), interface(&b, &name_b))
    });
    let plugs = (0..1000).map(|n| -> AttachmentSpec { plugged(&format!("plug{n}"), "lan1", interface("hub", "")) });
    let spec = TopologySpec {
        bridges: vec![bridge("lan1", None)],
        links: links.collect(),
        attachments: plugs.collect(),
        ..topology()
    };
    let start = Instant::now();
    let desired = wanted(&spec);
    let pods: BTreeSet<_> = desired.nics.iter().map(|nic| nic.key.pod.clone()).collect();
    let model = Model::new(pods.into_iter().map(|pod| (pod, true)));
    assert!(planned(&model, &desired, Some(&desired)).steps.len() > 7000);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}
