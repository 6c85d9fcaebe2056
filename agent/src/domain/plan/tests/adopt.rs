//! What was applied is adopted as it is, and what is half made goes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    super::model::Model,
    any::{any_node, any_wanted, full_node},
    assert_same, config, converge,
    event::any_damage,
    lines, planned, take,
};
use crate::domain::{
    adopt::{Adopted, Fate, adopt},
    assign::{alone::Alone, assign},
    check::{check, sample::topology},
    desired::{Desired, Nic, desired},
    device::PANEL_PREFIX,
    intent::{Assigned, NicKey, PodKey},
    mac::Mac,
    spec::PodOwner,
};

/// What is found of the topology that the tests make.
fn found(model: &Model) -> Adopted {
    let owner = |key: &PodKey| (key.clone(), PodOwner::Pod(key.as_str().parse().unwrap()));
    let owners: BTreeMap<PodKey, PodOwner> = model.pods.keys().map(owner).collect();
    adopt(&topology().key, &model.observe(), &owners)
}

/// What a NIC has that a restart must not change.
fn identities<'a>(nics: impl Iterator<Item = (&'a NicKey, Mac, &'a [ipnetwork::IpNetwork])>) -> BTreeSet<String> {
    nics.map(|(key, mac, addresses)| format!("{key} {mac} {:?}", addresses.iter().collect::<BTreeSet<_>>())).collect()
}

fn of_desired(desired: &Desired, model: &Model) -> BTreeSet<String> {
    let observed = model.observe();
    let is_there = |nic: &&Nic| match &observed.pods[&nic.key.pod] {
        crate::domain::observed::PodView::Present(pod) => pod.links.contains_key(nic.key.name.as_str()),
        _ => false,
    };
    identities(desired.nics.iter().filter(is_there).map(|nic| (&nic.key, nic.mac, nic.addresses.as_slice())))
}

fn of_adopted(assigned: &BTreeMap<crate::domain::spec::InterfaceId, Assigned>) -> BTreeSet<String> {
    identities(assigned.values().map(|each| (&each.nic, each.mac, each.addresses.as_slice())))
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn what_was_applied_is_adopted_and_a_converge_to_it_changes_nothing(wanted in any_wanted()) {
        let mut model = full_node();
        // One whose device is not there leaves no trace of what it shall lead to.
        prop_assume!(wanted.uplinks.iter().all(|uplink| model.devices.contains_key(uplink.spec.parent.as_str())));
        converge(&mut model, &wanted, None);
        let adopted = found(&model);
        prop_assert!(adopted.left.is_empty(), "{:#?}", adopted.left);
        prop_assert_eq!(&adopted.former, &adopted.intent);
        let again = desired(&adopted.intent);
        let plan = planned(&model, &again, Some(&again));
        // A topology none of whose interfaces can be made has an empty panel, which is nothing to adopt.
        if !again.is_nothing() {
            prop_assert!(plan.steps.is_empty(), "{}", lines(&plan.steps));
        }
        prop_assert!(plan.trouble.is_empty() && plan.pending.is_empty(), "{:?}", plan);
        prop_assert_eq!(of_adopted(&adopted.intent.assigned), of_desired(&wanted, &model));
        let violations = check(&adopted.intent.spec);
        prop_assert!(violations.is_empty(), "{violations:?}");
        // Without what was chosen, the same is chosen again.
        prop_assert_eq!(assign(&adopted.intent.spec, None, &Alone), Ok(adopted.intent.assigned));
    }

    #[test]
    fn what_was_adopted_is_made_in_the_same_order_again(wanted in any_wanted()) {
        let mut model = full_node();
        converge(&mut model, &wanted, None);
        let again = desired(&found(&model).intent);
        let observed = model.observe();
        let index = |nic: &Nic| match &observed.pods[&nic.key.pod] {
            crate::domain::observed::PodView::Present(pod) => pod.links[nic.key.name.as_str()].index,
            _ => unreachable!(),
        };
        for pair in again.nics.windows(2) {
            prop_assert!(pair[0].key.pod != pair[1].key.pod || index(&pair[0]) < index(&pair[1]));
        }
    }

    #[test]
    fn nothing_is_left_of_what_was_adopted_and_removed(node in any_node(), wanted in any_wanted()) {
        let mut model = node.clone();
        converge(&mut model, &wanted, None);
        let adopted = found(&model);
        converge(&mut model, &Desired::nothing(wanted.key.clone()), Some(&desired(&adopted.former)));
        assert_same(&model.show(), &node.show());
    }

    #[test]
    fn what_is_half_made_goes_but_for_what_nobody_can_prove(
        wanted in any_wanted(), next in any_wanted(), cut in any::<prop::sample::Index>(), changes in any::<bool>(),
    ) {
        let mut model = full_node();
        let mut before = None;
        if changes {
            converge(&mut model, &wanted, None);
            before = Some(&wanted);
        }
        let goal = if changes { &next } else { &wanted };
        let steps = planned(&model, goal, before).steps;
        take(&mut model, &steps[..cut.index(steps.len() + 1)]);
        let adopted = found(&model);
        let stay = adopted.left.iter().filter(|left| left.fate == Fate::Stays).count();
        // The intent that is adopted with what was there before it is brought about without a failure.
        let mut kept = model.clone();
        converge(&mut kept, &desired(&adopted.intent), Some(&desired(&adopted.former)));
        prop_assert_eq!(&found(&kept).intent.assigned, &adopted.intent.assigned);
        converge(&mut model, &Desired::nothing(wanted.key.clone()), Some(&desired(&adopted.former)));
        prop_assert!(model.panel.is_none());
        let devices = model.pods.values().flatten().flat_map(|pod| pod.devices.values());
        let marked = devices.filter(|device| device.altnames.iter().any(|name| name.starts_with(PANEL_PREFIX))).count();
        prop_assert!(marked <= stay, "{:#?}\n{:#?}", model.show(), adopted.left);
    }

    #[test]
    fn what_is_adopted_of_a_damaged_topology_is_sound_and_comes_about(
        wanted in any_wanted(), damages in any_damage(),
    ) {
        let mut model = full_node();
        let node = model.clone();
        converge(&mut model, &wanted, None);
        for damage in &damages {
            damage.inflict(&mut model, &wanted);
        }
        let adopted = found(&model);
        let violations = check(&adopted.intent.spec);
        prop_assert!(violations.is_empty(), "{violations:?}");
        let (intent, former) = (desired(&adopted.intent), desired(&adopted.former));
        converge(&mut model, &intent, Some(&former));
        let again = found(&model);
        // A topology of which nothing is left is nothing at all.
        prop_assert_eq!(&again.intent.assigned, &adopted.intent.assigned);
        converge(&mut model, &Desired::nothing(wanted.key.clone()), Some(&intent));
        prop_assert!(model.panel.is_none());
        let devices = |model: &Model| model.pods.values().flatten().map(|pod| pod.devices.len()).sum::<usize>();
        let stay = adopted.left.iter().filter(|left| left.fate == Fate::Stays).count();
        prop_assert!(devices(&model) <= devices(&node) + stay);
    }
}
