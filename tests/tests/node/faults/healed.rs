//! What fails while nobody asks: in a heal, and at a start.

use std::sync::Arc;

use podwire_agent::{
    domain::name::TopologyKey, domain::quota::Quota, domain::status::State, panel::Apply, panel::Fence,
    store::MemoryStore,
};
use podwire_tests::{
    condition::{eventually, holds},
    lab::{Lab, snapshot::Snapshot},
};

use super::{Call, Fault, Patient, TopologySpec, bridge, comes_to, first, key, plug};
use crate::private;

/// What fails in a heal: it stores nothing.
const CALLS: [Call; 3] = [Call::Step, Call::Observe, Call::Open];

/// Lets each call of a heal fail once. What it leaves is put right by the next converge, whatever sets it off.
fn whatever_fails_in_a_heal(damage: impl Fn(&Lab)) {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut patient = Patient::new().await;
        assert_eq!(patient.apply(first()).await.unwrap(), State::Ready);
        let whole = lab.snapshot().without_indexes();
        for call in CALLS {
            for at in 0.. {
                let when = format!("{call:?} {at}");
                // One that knows of no earlier damage: again and again the same would be a fight.
                patient.engine.shutdown().await;
                patient = Patient::with(Arc::clone(&patient.store), Fault::default()).await;
                eventually("its first look", async || holds(patient.engine.events().latest().sequence > 0, "no event"))
                    .await;
                patient.fault.arm(call, at);
                damage(lab);
                fails_or_comes_to(lab, &patient, &whole, &when).await;
                let happened = patient.fault.happened();
                let now = patient.apply(first()).await;
                assert_eq!(now.unwrap_or_else(|error| panic!("{when}: {error}")), State::Ready, "{when}");
                comes_to(lab, &whole, &when).await;
                patient.is_clean(first(), &when).await;
                if !happened {
                    assert!(at > 0, "{when}: nothing is done");
                    break;
                }
            }
        }
    });
}

/// Waits for the fault, or for the end of what it was to happen in. Snapshots cost more than looks at the fault.
async fn fails_or_comes_to(lab: &Lab, patient: &Patient, whole: &Snapshot, when: &str) {
    let mut looks = 0;
    eventually(when, async || {
        looks += 1;
        if looks % 16 != 0 || !patient.fault.is_armed() {
            return holds(!patient.fault.is_armed(), "no fault yet");
        }
        let now = lab.snapshot().without_indexes();
        holds(now == *whole, whole.difference(&now))
    })
    .await;
}

#[test]
fn whatever_fails_when_a_pod_restarts_the_next_look_puts_it_right() {
    whatever_fails_in_a_heal(|lab| {
        lab.ip("netns del b");
        lab.pod("b");
    });
}

#[test]
fn whatever_fails_when_damage_is_repaired_the_next_look_puts_it_right() {
    whatever_fails_in_a_heal(|lab| {
        lab.ip("-n podwire.lessons.12 link del lan");
        lab.ip("-n a address del 10.7.0.1/30 dev net2");
        lab.ip("-n b link set net2 mtu 1400");
    });
}

fn orphan() -> TopologySpec {
    let key = TopologyKey { name: "orphan".parse().unwrap(), ..key() };
    TopologySpec {
        bridges: vec![bridge("lan", "10.9.0.0/24")],
        attachments: vec![plug("pa", "a", "net9", "lan")],
        ..TopologySpec::empty(key)
    }
}

#[test]
fn whatever_fails_at_a_start_after_a_reboot_the_next_look_puts_it_right() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut patient = Patient::new().await;
        patient.apply(first()).await.unwrap();
        let whole = lab.snapshot().without_indexes();
        for call in CALLS {
            for at in 0.. {
                let when = format!("{call:?} {at}");
                patient.engine.shutdown().await;
                lab.reboot();
                lab.pods(["a", "b"]);
                let fault = Fault::default();
                fault.arm(call, at);
                patient = Patient::with(Arc::clone(&patient.store), fault).await;
                fails_or_comes_to(lab, &patient, &whole, &when).await;
                let happened = patient.fault.happened();
                assert_eq!(patient.apply(first()).await.unwrap(), State::Ready, "{when}");
                comes_to(lab, &whole, &when).await;
                patient.is_clean(first(), &when).await;
                if !happened {
                    assert!(at > 0, "{when}: nothing is done");
                    break;
                }
            }
        }
    });
}

#[test]
fn whatever_fails_when_an_orphan_is_removed_it_is_tried_again() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut patient = Patient::new().await;
        patient.apply(first()).await.unwrap();
        let whole = lab.snapshot();
        for call in [Call::Step, Call::Open] {
            for at in 0.. {
                let when = format!("{call:?} {at}");
                let apply = Apply { spec: orphan(), fence: Fence::default(), quota: Quota::default(), until: None };
                // Its intent is in no store that the next one reads.
                let records = MemoryStore::default();
                podwire_agent::store::Store::put(&records, &key(), &patient.record().unwrap()).unwrap();
                patient.engine.apply(apply).await.unwrap();
                patient.engine.shutdown().await;
                let fault = Fault::default();
                fault.arm(call, at);
                patient = Patient::with(Arc::new(records), fault).await;
                eventually(&when, async || {
                    let now = lab.snapshot();
                    holds(now == whole, whole.difference(&now))
                })
                .await;
                if !patient.fault.happened() {
                    break;
                }
            }
        }
        assert_eq!(patient.engine.get(&key()).await.unwrap().state(), State::Ready);
    });
}
