//! Plans carried out on the model of the kernel.

mod adopt;
mod any;
mod change;
mod event;
mod part;
mod single;
mod uplink;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::ProptestConfig;

use super::{Plan, model::Model, plan};
use crate::domain::{
    desired::{Desired, Nic},
    intent::NicKey,
    observed::PodView,
    step::Step,
};

/// So many cases, unless `PROPTEST_CASES` wants others.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if std::env::var_os("PROPTEST_CASES").is_some() { default.cases } else { cases };
    let rejects = 1_000_000;
    ProptestConfig {
        cases,
        failure_persistence: None,
        max_local_rejects: rejects,
        max_global_rejects: rejects,
        ..default
    }
}

fn planned(model: &Model, desired: &Desired, former: Option<&Desired>) -> Plan {
    plan(desired, former, &model.observe(), &BTreeSet::new())
}

/// Plans, takes the steps, and sees to it that nothing is left to be done.
fn converge(model: &mut Model, desired: &Desired, former: Option<&Desired>) -> Plan {
    let plan = planned(model, desired, former);
    take(model, &plan.steps);
    let again = planned(model, desired, former).steps;
    assert!(again.is_empty(), "{}\nare left after\n{}", lines(&again), lines(&plan.steps));
    plan
}

fn lines(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("  {step}")).collect::<Vec<_>>().join("\n")
}

fn take(model: &mut Model, steps: &[Step]) {
    if let Err(refused) = model.execute(steps) {
        panic!("{refused}");
    }
}

/// What comes of an intent alone.
fn alone(empty: &Model, desired: &Desired) -> BTreeSet<String> {
    let mut model = empty.clone();
    converge(&mut model, desired, None);
    model.show()
}

#[track_caller]
fn assert_same(is: &BTreeSet<String>, shall: &BTreeSet<String>) {
    let (more, less): (Vec<_>, Vec<_>) = (is.difference(shall).collect(), shall.difference(is).collect());
    assert!(more.is_empty() && less.is_empty(), "there is\n{more:#?}\nthere shall be\n{less:#?}");
}

/// Index of each NIC that is there.
fn indexes(model: &Model, desired: &Desired) -> BTreeMap<NicKey, u32> {
    let observed = model.observe();
    let index = |nic: &Nic| match observed.pods.get(&nic.key.pod)? {
        PodView::Present(pod) => Some((nic.key.clone(), pod.links.get(nic.key.name.as_str())?.index)),
        PodView::Absent(_) | PodView::Refused(_) => None,
    };
    desired.nics.iter().filter_map(index).collect()
}
