//! A change that looks at a part of the topology, against the same that looks at all of it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    super::{Plan, model::Model, plan},
    any::{any_neighbours, full_node, wanted},
    assert_same, config, converge, planned, take,
};
use crate::domain::{
    check::sample::{bridge, interface, link, plugged, route, topology},
    desired::Desired,
    device::{bridge_device_name, port_device_name},
    observed::Observed,
    part::Part,
    spec::{InterfaceSpec, LinkSpec, TopologySpec},
    step::Step,
};

/// What a look at a part shows.
fn glance(model: &Model, states: [&Desired; 2]) -> Observed {
    let mut observed = model.observe();
    let nics = || states.into_iter().flat_map(|state| &state.nics);
    let bridges = states.into_iter().flat_map(|state| &state.bridges);
    let names: BTreeSet<String> = nics()
        .map(|nic| port_device_name(&nic.key))
        .chain(bridges.map(|bridge| bridge_device_name(&bridge.name)))
        .collect();
    observed.pods.retain(|pod, _| nics().any(|nic| nic.key.pod == *pod));
    if let Some(panel) = &mut observed.panel {
        panel.ports.retain(|name, _| names.contains(name));
        panel.bridges.retain(|name, _| names.contains(name));
        panel.uplinks.clear();
        panel.strangers.retain(|(_, name)| names.contains(name));
    }
    observed
}

fn partly_planned(model: &Model, target: &Desired, former: &Desired) -> Plan {
    let mut plan = plan(target, Some(former), &glance(model, [target, former]), &BTreeSet::new());
    plan.steps.retain(|step| *step != Step::RemovePanel);
    plan
}

/// Goes from one state to the other by looking at what they differ in. `None`: that does not explain itself.
fn partly(model: &Model, from: &Desired, to: &Desired) -> Option<Model> {
    let part = Part::difference(from, to)?;
    let (target, former) = (part.within(to), part.within(from));
    let mut model = model.clone();
    for _ in 0..3 {
        let Plan { steps, pending, trouble, .. } = partly_planned(&model, &target, &former);
        let of_part = |step: &Step| step.nic().is_some_and(|nic| part.nics.contains(nic));
        if !pending.is_empty() || !trouble.is_empty() || !steps.iter().all(of_part) {
            return None;
        }
        take(&mut model, &steps);
    }
    let left = partly_planned(&model, &target, &former).steps;
    assert_eq!(left, []);
    Some(model)
}

fn is_ready(model: &Model, desired: &Desired) -> bool {
    let Plan { steps, pending, trouble, .. } = planned(model, desired, Some(desired));
    steps.is_empty() && pending.is_empty() && trouble.is_empty()
}

#[track_caller]
fn assert_part_is_enough(from: &Desired, to: &Desired) -> bool {
    let mut model = full_node();
    converge(&mut model, from, None);
    if !is_ready(&model, from) {
        return false;
    }
    let Some(part) = partly(&model, from, to) else { return false };
    converge(&mut model, to, Some(from));
    assert_same(&part.show(), &model.show());
    assert_eq!(planned(&part, to, Some(from)).steps, []);
    true
}

proptest! {
    #![proptest_config(config(48))]

    #[test]
    fn a_part_comes_to_what_the_whole_comes_to((from, to) in any_neighbours()) {
        assert_part_is_enough(&from, &to);
    }
}

fn ring(edit: impl Fn(&mut Vec<LinkSpec>)) -> Desired {
    let pods = ["bb1", "bb2", "a-pod-with-a-long-name"];
    let mut links: Vec<LinkSpec> = (0..3)
        .map(|n| {
            let (a, b) = (interface(pods[n], &format!("net{n}")), interface(pods[(n + 1) % 3], &format!("net{n}")));
            link(&format!("wire{n}"), a, b)
        })
        .collect();
    edit(&mut links);
    wanted(&TopologySpec { links, ..topology() })
}

#[test]
fn a_pulled_cable_a_new_link_and_one_that_goes_are_parts() {
    let all = ring(|_| {});
    let part = Part::difference(&all, &ring(|links| links[1].up = false)).unwrap();
    assert_eq!(part.nics.len(), 2);
    for edited in [ring(|links| links[1].up = false), ring(|links| drop(links.remove(1)))] {
        assert!(assert_part_is_enough(&all, &edited));
        assert!(assert_part_is_enough(&edited, &all));
    }
}

#[test]
fn the_last_of_a_part_takes_nothing_else_along() {
    let plug = |pod: &str| plugged(pod, "lan1", interface(pod, "net1"));
    let with = |pods: &[&str]| {
        let attachments = pods.iter().map(|pod| plug(pod)).collect();
        wanted(&TopologySpec { bridges: vec![bridge("lan1", None)], attachments, ..topology() })
    };
    assert!(assert_part_is_enough(&with(&["bb1", "bb2"]), &with(&["bb1"])));
    assert!(assert_part_is_enough(&with(&["bb1"]), &with(&["bb1", "bb2"])));
}

#[test]
fn routes_of_others_in_the_pod_and_bridges_that_change_are_no_part() {
    let routed = InterfaceSpec { routes: vec![route("10.9.0.0/16", "")], ..interface("bb1", "net5") };
    let far = || interface("bb2", "net5");
    let with = |links: &mut Vec<LinkSpec>| links.push(link("routed", routed.clone(), far()));
    let all = ring(with);
    let less = ring(|links| {
        with(links);
        links.remove(0);
    });
    assert_eq!(Part::difference(&all, &less), None);
    let pulled = ring(|links| {
        with(links);
        links[0].up = false;
    });
    assert!(Part::difference(&all, &pulled).is_some(), "its wire is none of its pod's routes");
    let mut other = all.clone();
    other.bridges = wanted(&TopologySpec { bridges: vec![bridge("lan1", None)], ..topology() }).bridges;
    assert_eq!(Part::difference(&all, &other), None);
}

#[test]
fn only_little_of_much_is_looked_at_by_itself() {
    let (all, pulled) = (ring(|_| {}), ring(|links| links[1].up = false));
    assert_eq!(Part::between(&all, &pulled), None, "a small topology");
    assert_eq!(Part::between(&all, &all), None);
}
