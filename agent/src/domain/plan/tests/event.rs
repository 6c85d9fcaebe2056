//! What happens besides: pods that come, go and restart, NICs that pods set down, and things that break.

use proptest::prelude::*;

use super::{
    super::{
        Trouble,
        model::{Model, PanelDevice, PanelKind, PodDevice},
    },
    alone,
    any::{any_node, any_wanted, full_node},
    assert_same, config, converge, indexes, planned, take,
};
use crate::domain::{
    bridge::BridgePort,
    desired::{Desired, Nic, Wire, route_identity},
    intent::PodKey,
    observed::Redirect,
    queue::Egress,
    spec::RouteSpec,
    step::Step,
    vlans::PortVlans,
};

/// Something that somebody does by hand: to the panel, or to a NIC of ours in a pod.
#[derive(Debug, Clone)]
pub(super) struct Damage {
    kind: usize,
    which: prop::sample::Index,
}

pub(super) fn any_damage() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(
        (0..19usize, any::<prop::sample::Index>()).prop_map(|(kind, which)| Damage { kind, which }),
        1..4,
    )
}

impl Damage {
    pub(super) fn inflict(&self, model: &mut Model, wanted: &Desired) {
        if self.kind < 14 { self.on_panel(model) } else { self.in_pod(model, wanted) }
    }

    fn on_panel(&self, model: &mut Model) {
        let Some(panel) = &mut model.panel else { return };
        if panel.devices.is_empty() {
            return;
        }
        let index = *self.which.get(&panel.devices.keys().copied().collect::<Vec<_>>());
        let device = panel.devices.get_mut(&index).unwrap();
        match self.kind {
            0 => device.up = !device.up,
            1 => {
                device.master = None;
                device.options = BridgePort::NEW;
            }
            2 if device.master.is_none() => device.filter = Redirect::Nowhere,
            3 if device.master.is_none() => device.filter = Redirect::Unknown,
            4 => device.mtu = 1234,
            5 if device.master.is_some() => {
                device.options.hairpin ^= true;
                device.options.learning ^= true;
            }
            6 => {
                if let PanelKind::Bridge { options } = &mut device.kind {
                    options.ageing += 1;
                }
            }
            7 => {
                // Its place may be taken by a device of the same name.
                let name = device.name.clone();
                model.panel_device_gone(index);
                model.panel.as_mut().unwrap().insert(PanelDevice::stranger(name));
            }
            8 => model.panel_device_gone(index),
            9 => device.egress = Egress::Unknown,
            10 => device.egress = Egress::Plain,
            11 => device.tx_checksum ^= true,
            12 if device.master.is_some() => device.vlans = PortVlans::Odd,
            _ => panel.insert(PanelDevice::stranger("stranger")),
        }
    }

    fn in_pod(&self, model: &mut Model, wanted: &Desired) {
        let there = indexes(model, wanted);
        if there.is_empty() {
            return;
        }
        let keys: Vec<_> = there.keys().collect();
        let key = *self.which.get(&keys);
        let index = there[key];
        let pod = model.pod(&key.pod).unwrap();
        let device = pod.devices.get_mut(&index).unwrap();
        match self.kind {
            14 => device.mtu = device.mtu.min(1500) - 1,
            15 => device.mac = None,
            16 => {
                if let Some(first) = device.addresses.first().copied() {
                    pod.remove_address(index, first);
                }
            }
            17 => {
                // Those that came with an address are the kernel's.
                let asked = &wanted.nic(key).unwrap().routes;
                let first = pod.routes.iter().position(|now| {
                    let same = |route: &RouteSpec| route_identity(route) == (now.destination, now.metric);
                    now.device == Some(index) && asked.iter().any(same)
                });
                first.map(|first| pod.routes.remove(first));
            }
            _ => model.remove_nic(&key.pod, index),
        }
    }
}

/// NICs with a stitched wire whose cable is plugged, with their far ends.
fn stitched(wanted: &Desired) -> Vec<(&Nic, &Nic)> {
    let far = |nic: &Nic| match &nic.wire {
        Wire::Stitch { far, up: true } => wanted.nic(far),
        _ => None,
    };
    wanted.nics.iter().filter_map(|nic| Some((nic, far(nic)?))).collect()
}

fn key(name: &str) -> PodKey {
    PodKey::new(name)
}

/// What a step changes inside of a pod, by the NIC that it names.
fn touches(step: &Step, nic: &crate::domain::intent::NicKey) -> bool {
    match step {
        Step::CreateDirect(a, b) => a.key == *nic || b.key == *nic,
        // Of the panel: that of a NIC for which there is no place leads nowhere.
        Step::PartUplink(_) => false,
        other => other.nic() == Some(nic),
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn damage_is_put_right(node in any_node(), wanted in any_wanted(), damages in any_damage()) {
        let shall = alone(&node, &wanted);
        let mut model = node;
        converge(&mut model, &wanted, None);
        for damage in &damages {
            damage.inflict(&mut model, &wanted);
        }
        converge(&mut model, &wanted, None);
        assert_same(&model.show(), &shall);
    }

    #[test]
    fn pods_that_come_late_are_plugged(node in any_node(), wanted in any_wanted()) {
        let absent: Vec<PodKey> = node.pods.iter().filter(|(_, pod)| pod.is_none()).map(|(key, _)| key.clone()).collect();
        let mut model = node;
        converge(&mut model, &wanted, None);
        for pod in absent {
            model.start(&pod);
            converge(&mut model, &wanted, None);
        }
        assert_same(&model.show(), &alone(&full_node(), &wanted));
    }

    #[test]
    fn a_restarted_pod_gets_everything_back(wanted in any_wanted(), overlaps in any::<bool>(), pod in 0..2usize) {
        let pod = key(["bb1", "bb2"][pod]);
        let mut model = full_node();
        converge(&mut model, &wanted, None);
        let shall = model.show();
        let before = indexes(&model, &wanted);
        if overlaps {
            model.overlap(&pod);
        } else {
            model.stop(&pod);
            converge(&mut model, &wanted, None);
            for (nic, _) in stitched(&wanted).into_iter().filter(|(nic, far)| nic.key.pod != pod && far.key.pod == pod) {
                prop_assert!(!model.port(&nic.key).unwrap().up, "{}", nic.key);
                prop_assert!(!model.carrier(&nic.key.pod, before[&nic.key]));
            }
            model.start(&pod);
        }
        // The far end of a DIRECT link in the old sandbox goes with that, and not before.
        let waits = planned(&model, &wanted, None).trouble.values().any(|t| matches!(t, Trouble::InTheWay { .. }));
        if !(overlaps && waits) {
            converge(&mut model, &wanted, None);
            assert_same(&model.show(), &shall);
        }
        for nic in wanted.nics.iter().filter(|nic| nic.key.pod != pod && nic.wire.has_port()) {
            let after = indexes(&model, &wanted);
            prop_assert_eq!(before.get(&nic.key), after.get(&nic.key), "{}", nic.key);
        }
    }

    #[test]
    fn carrier_follows_the_far_end(wanted in any_wanted(), flips in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let mut model = full_node();
        converge(&mut model, &wanted, None);
        let shall = model.show();
        let ends = stitched(&wanted);
        prop_assume!(!ends.is_empty());
        let (a, b) = ends[0];
        for flip in &flips {
            let key = &flip.get(&[a, b]).key;
            model.within(key, |pod, index| { let up = !pod.devices[&index].up; pod.set_up(index, up) }).unwrap();
            converge(&mut model, &wanted, None);
            for (near, far) in [(a, b), (b, a)] {
                let far_up = model.nic(&far.key).unwrap().up;
                prop_assert_eq!(model.port(&near.key).unwrap().up, far_up, "{}", near.key);
            }
        }
        for nic in [a, b] {
            model.within(&nic.key, |pod, index| pod.set_up(index, true)).unwrap();
            converge(&mut model, &wanted, None);
        }
        assert_same(&model.show(), &shall);
    }

    #[test]
    fn what_is_foreign_is_never_touched(a in any_wanted(), b in any_wanted(), slot in any::<prop::sample::Index>()) {
        let mut model = full_node();
        prop_assume!(!b.nics.is_empty());
        let victim = &slot.get(&b.nics).key;
        let pod = model.pod(&victim.pod).unwrap();
        let index = pod.insert(PodDevice::foreign(victim.name.as_str()));
        pod.add_address(index, "10.240.0.1/24".parse().unwrap()).unwrap();
        let route = crate::domain::check::sample::route("fd02::/64", "");
        pod.add_route(index, &route).unwrap();
        let before = model.show();
        for (wanted, former) in [(&a, None), (&b, Some(&a)), (&a, Some(&b)), (&b, Some(&a))] {
            let plan = planned(&model, wanted, former);
            for nic in wanted.nics.iter().filter(|nic| nic.key == *victim) {
                let refused = plan.trouble.contains_key(&nic.id) || plan.pending.contains_key(&nic.id);
                prop_assert!(refused, "{}", nic.key);
            }
            prop_assert_eq!(plan.steps.iter().find(|step| touches(step, victim)), None);
            take(&mut model, &plan.steps);
            let now = model.show();
            prop_assert!(before.is_subset(&(&now | &["panel".to_owned()].into())));
        }
        converge(&mut model, &Desired::nothing(b.key.clone()), Some(&b));
        assert_same(&model.show(), &before);
    }
}
