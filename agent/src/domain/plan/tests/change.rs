//! From one intent to another.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    super::Trouble,
    alone,
    any::{any_node, any_wanted, full_node},
    assert_same, config, converge, indexes, lines, planned, take,
};
use crate::domain::{
    desired::{Desired, Wire},
    device::{bridge_device_name, port_device_name},
    intent::NicKey,
    order::natural,
    step::{NewNic, Step},
};

fn created(steps: &[Step]) -> BTreeSet<&NicKey> {
    steps.iter().flat_map(nics_of).collect()
}

fn nics_of(step: &Step) -> Vec<&NicKey> {
    match step {
        Step::CreateVeth(NewNic { key, .. }, _) | Step::CreateMacvlan { nic: NewNic { key, .. }, .. } => vec![key],
        Step::CreateDirect(a, b) => vec![&a.key, &b.key],
        _ => vec![],
    }
}

/// Whether a DIRECT link makes it impossible that indexes ascend in all pods.
fn orders_clash(desired: &Desired) -> bool {
    let mut left: Vec<_> = desired.nics.iter().collect();
    let is_next = |key: &NicKey, left: &[&crate::domain::desired::Nic]| {
        left.iter().find(|nic| nic.key.pod == key.pod).is_some_and(|nic| nic.key == *key)
    };
    while !left.is_empty() {
        let ready = left.iter().position(|nic| {
            is_next(&nic.key, &left)
                && match &nic.wire {
                    Wire::Direct { far } if far.pod != nic.key.pod => is_next(far, &left),
                    Wire::Direct { far } => {
                        let rest: Vec<_> = left.iter().filter(|other| other.key != nic.key).copied().collect();
                        is_next(far, &rest)
                    }
                    _ => true,
                }
        });
        let Some(ready) = ready else { return true };
        let nic = left.remove(ready);
        if let Wire::Direct { far } = &nic.wire {
            left.retain(|other| other.key != *far);
        }
    }
    false
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn converging_twice_is_converging_once(mut node in any_node(), wanted in any_wanted()) {
        converge(&mut node, &wanted, None);
        prop_assert!(planned(&node, &wanted, Some(&wanted)).steps.is_empty());
    }

    #[test]
    fn the_way_does_not_matter(node in any_node(), a in any_wanted(), b in any_wanted()) {
        let mut changed = node.clone();
        converge(&mut changed, &a, None);
        let before = indexes(&changed, &a);
        converge(&mut changed, &b, Some(&a));
        assert_same(&changed.show(), &alone(&node, &b));
        let after = indexes(&changed, &b);
        for nic in b.nics.iter().filter(|nic| nic.wire.has_port()) {
            if a.nic(&nic.key).is_some_and(|former| former.wire.has_port()) {
                prop_assert_eq!(before.get(&nic.key), after.get(&nic.key), "{}", nic.key);
            }
        }
        // And over again, from a state that has a history.
        converge(&mut changed, &a, Some(&b));
        assert_same(&changed.show(), &alone(&node, &a));
    }

    #[test]
    fn a_change_that_stops_at_any_step_is_undone(node in any_node(), a in any_wanted(), b in any_wanted()) {
        let shall = alone(&node, &a);
        let mut before = node;
        converge(&mut before, &a, None);
        let steps = planned(&before, &b, Some(&a)).steps;
        for taken in 0..=steps.len() {
            let mut model = before.clone();
            take(&mut model, &steps[..taken]);
            converge(&mut model, &a, Some(&b));
            assert_same(&model.show(), &shall);
        }
    }

    #[test]
    fn a_change_that_stops_at_any_step_is_finished(node in any_node(), a in any_wanted(), b in any_wanted()) {
        let shall = alone(&node, &b);
        let mut before = node;
        converge(&mut before, &a, None);
        let steps = planned(&before, &b, Some(&a)).steps;
        for taken in 0..=steps.len() {
            let mut model = before.clone();
            take(&mut model, &steps[..taken]);
            let mut forgetful = model.clone();
            converge(&mut model, &b, Some(&a));
            assert_same(&model.show(), &shall);
            // Without the intent before, what is not provably ours stays, and nothing fails for it.
            let plan = planned(&forgetful, &b, None);
            if plan.trouble.values().all(|trouble| matches!(trouble, Trouble::NoDevice { .. })) {
                // A route of a NIC that nobody knows any more is in the way until that NIC is gone with its port.
                take(&mut forgetful, &plan.steps);
                converge(&mut forgetful, &b, None);
                let missing: Vec<_> = shall.difference(&forgetful.show()).cloned().collect();
                let device = |line: &&String| line.starts_with("port") || line.starts_with("bridge");
                prop_assert_eq!(missing.iter().find(device), None);
            }
        }
    }

    #[test]
    fn additions_come_first(node in any_node(), a in any_wanted(), b in any_wanted()) {
        let mut before = node;
        converge(&mut before, &a, None);
        let steps = planned(&before, &b, Some(&a)).steps;
        let last_addition = steps.iter().rposition(|step| step.action() != "remove").unwrap_or(0);
        let made = created(&steps);
        for step in steps[..last_addition].iter().filter(|step| step.action() == "remove") {
            let same = |device: &String| steps.iter().any(|step| matches!(step, Step::CreateUplink(new) if new.device == *device));
            let uplink = matches!(step, Step::RemoveUplink(device, _) if same(device));
            let nic = step.nic().is_some_and(|nic| made.contains(nic));
            prop_assert!(nic || uplink, "{} of\n{}", step, lines(&steps));
        }
    }

    #[test]
    fn nothing_of_a_deleted_topology_is_left(node in any_node(), a in any_wanted(), b in any_wanted()) {
        let mut model = node.clone();
        converge(&mut model, &a, None);
        converge(&mut model, &b, Some(&a));
        converge(&mut model, &Desired::nothing(b.key.clone()), Some(&b));
        assert_same(&model.show(), &node.show());
    }

    #[test]
    fn indexes_ascend_in_the_order_that_was_asked_for(wanted in any_wanted()) {
        prop_assume!(!orders_clash(&wanted));
        let mut model = full_node();
        converge(&mut model, &wanted, None);
        let indexes = indexes(&model, &wanted);
        let mut there: Vec<_> = wanted.nics.iter().filter_map(|nic| Some((nic, indexes.get(&nic.key)?))).collect();
        there.sort_by_key(|(nic, index)| (&nic.key.pod, *index));
        for pair in there.windows(2) {
            let [(x, _), (y, _)] = pair else { unreachable!() };
            let names = natural(x.key.name.as_str(), y.key.name.as_str());
            prop_assert!(x.key.pod != y.key.pod || x.order.cmp(&y.order).then(names).is_lt(), "{} {}", x.key, y.key);
        }
    }

    #[test]
    fn names_of_devices_do_not_meet(wanted in any_wanted()) {
        let names = wanted.nics.iter().map(|nic| port_device_name(&nic.key));
        let names = names.chain(wanted.bridges.iter().map(|b| bridge_device_name(&b.name)));
        let names: BTreeSet<_> = names.chain(wanted.uplinks.iter().map(|uplink| uplink.device.clone())).collect();
        prop_assert_eq!(names.len(), wanted.nics.len() + wanted.bridges.len() + wanted.uplinks.len());
    }
}
