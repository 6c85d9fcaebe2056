//! What holds of every intent.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::UNIX_EPOCH,
};

use podwire_agent::{
    domain::{
        assign::{AssignError, alone::Alone, assign},
        check::{check, limits},
        desired::{Desired, desired},
        intent::{Generation, Intent, Ownership},
        observed::Observed,
        plan::{Plan, plan},
        spec::TopologySpec,
        status::InterfaceStatus,
    },
    panel::TopologyView,
};

/// What is decided for a spec; `None`: it is refused, in words.
pub fn decide(spec: &TopologySpec, former: Option<&Intent>) -> Option<Intent> {
    let violations = check(spec);
    assert!(violations.iter().all(|it| !it.field.is_empty() && !it.description.is_empty()), "{violations:?}");
    if !violations.is_empty() || limits(spec).is_some() {
        return None;
    }
    let assigned = match assign(spec, former, &Alone) {
        Ok(assigned) => assigned,
        Err(AssignError::Invalid(violations)) => {
            assert!(!violations.is_empty());
            return None;
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return None;
        }
    };
    let ids: BTreeSet<_> = spec.interfaces().map(|(id, ..)| id).collect();
    assert!(ids.iter().eq(assigned.keys()), "every interface has something, and nothing else has");
    Some(Intent {
        spec: spec.clone(),
        ownership: Ownership::Calls,
        generation: Generation(1),
        applied_at: Generation(0),
        applied: None,
        assigned,
    })
}

/// A plan, which is the same each time, with a bounded number of steps.
pub fn planned(desired: &Desired, former: Option<&Desired>, observed: &Observed) -> Plan {
    let plan = plan(desired, former, observed, &BTreeSet::new());
    let again = self::plan(desired, former, observed, &BTreeSet::new());
    assert_eq!(plan, again);
    let inside = |desired: &Desired| {
        let of_nics: usize = desired.nics.iter().map(|nic| nic.addresses.len() + nic.routes.len()).sum();
        desired.bridges.len() + desired.nics.len() + desired.uplinks.len() + of_nics
    };
    let seen = observed.pods.values().map(|pod| match pod {
        podwire_agent::domain::observed::PodView::Present(pod) => pod.links.len() + pod.routes.len(),
        _ => 0,
    });
    let seen = seen.sum::<usize>()
        + observed.panel.as_ref().map_or(0, |it| it.bridges.len() + it.ports.len() + it.uplinks.len());
    let most = 32 * (1 + inside(desired) + former.map_or(0, inside) + seen);
    assert!(plan.steps.len() <= most, "{} steps, {most} are the most", plan.steps.len());
    for step in &plan.steps {
        assert!(!step.to_string().is_empty());
    }
    plan
}

/// A topology of which nobody has seen anything yet.
pub fn view(intent: &Intent) -> TopologyView {
    let desired = desired(intent);
    let mut status = InterfaceStatus::unseen();
    status.since = UNIX_EPOCH;
    let interfaces: BTreeMap<_, _> = desired.nics.iter().map(|nic| (nic.id.clone(), status.clone())).collect();
    TopologyView {
        intent: Arc::new(intent.clone()),
        desired: Arc::new(desired),
        interfaces,
        ports: BTreeMap::new(),
        since: UNIX_EPOCH,
        lease_expires: None,
        panel: "podwire.lessons.12".to_owned(),
        trouble: None,
    }
}
