//! Two faults in one change: also where the undoing fails, what is stored is what was before or what comes after, and
//! the next converge is clean.
//!
//! `PODWIRE_FAULTS` sets how many pairs of faults each test tries (default: 16), `PODWIRE_SEED` repeats them.

use std::{env, sync::Arc};

use podwire_agent::{domain::status::State, panel::Fence};
use podwire_tests::{
    condition::{eventually, holds},
    lab::{Lab, snapshot::Snapshot},
    private::measured,
    random::{self, Random},
};

use super::{CALLS, Call, Fault, Patient, TopologySpec, comes_to, first, key, second};
use crate::private;

fn pairs() -> u64 {
    env::var("PODWIRE_FAULTS").ok().and_then(|text| text.parse().ok()).unwrap_or(16)
}

/// What fails in the undoing, which stores only where it succeeds, and in what nobody asked for.
const UNSTORED: [Call; 3] = [Call::Step, Call::Observe, Call::Open];

/// A fault of a work of so many steps, looks and other calls.
fn any_fault(random: &mut Random, calls: &[Call], steps: u64, looks: u64) -> (Call, usize) {
    // Half of them are steps: there are most of those.
    let call = if random.once_in(2) { Call::Step } else { *random.pick(calls) };
    let most = match call {
        Call::Step => steps,
        Call::Observe => looks,
        Call::Open | Call::Put => 1,
    };
    (call, usize::try_from(random.within(0..most)).unwrap())
}

/// Counts what happened, and says so.
struct Tally {
    what: &'static str,
    both: u64,
    one: u64,
    none: u64,
}

impl Tally {
    fn of(what: &'static str) -> Self {
        Self { what, both: 0, one: 0, none: 0 }
    }

    fn count(&mut self, left: usize) {
        match left {
            0 => self.both += 1,
            1 => self.one += 1,
            _ => self.none += 1,
        }
    }

    /// Pairs of which both happened are what the test is about.
    fn say(self) {
        let Self { what, both, one, none } = self;
        let seed = random::seed();
        measured(&format!("PODWIRE_SEED={seed}: {what}: {both} times both faults, {one} times one, {none} times none"));
        assert!(both * 4 >= pairs(), "{what}: {both} of {} pairs happened", pairs());
    }
}

/// What is stored and told is one of the two.
async fn is_either(patient: &Patient, before: Option<&TopologySpec>, after: Option<&TopologySpec>, when: &str) {
    // A store that failed is written to again until it takes what was before.
    eventually(when, async || {
        let stored = patient.stored();
        let told = patient.engine.get(&key()).await.ok().map(|view| view.intent.spec.clone());
        let either = [before, after].contains(&stored.as_ref()) && stored == told;
        holds(either, format!("stored {stored:?}, told {told:?}"))
    })
    .await;
}

/// The state in which a topology is as a spec says, reached by one fault-free change.
async fn whole(lab: &Lab, patient: &Patient, spec: TopologySpec, wanted: Option<&Snapshot>, when: &str) -> Snapshot {
    let now = patient.apply(spec.clone()).await;
    assert_eq!(now.unwrap_or_else(|error| panic!("{when}: {error:?}")), State::Ready, "{when}");
    eventually(when, async || holds(lab.panels().len() == 1, format!("{:?}", lab.panels()))).await;
    if let Some(wanted) = wanted {
        comes_to(lab, wanted, when).await;
    }
    patient.is_clean(spec, when).await;
    lab.snapshot().without_indexes()
}

async fn gone(lab: &Lab, empty: &Snapshot, when: &str) {
    eventually(when, async || {
        let now = lab.snapshot();
        holds(now == *empty, empty.difference(&now))
    })
    .await;
}

#[test]
fn two_faults_in_an_apply_leave_nothing_or_all_of_it() {
    private(async |lab| {
        lab.pods(["a", "b", "c"]);
        let (mut random, mut tally) = (Random::of(301), Tally::of("apply"));
        let patient = Patient::new().await;
        let empty = lab.snapshot();
        let all = whole(lab, &patient, first(), None, "without a fault").await;
        for _ in 0..pairs() {
            patient.engine.delete(key(), Fence::default()).await.unwrap();
            gone(lab, &empty, "deleted").await;
            let faults = [any_fault(&mut random, &CALLS, 22, 2), any_fault(&mut random, &UNSTORED, 5, 2)];
            let when = format!("{faults:?}");
            patient.fault.arm_all(&faults);
            let made = patient.apply(first()).await;
            tally.count(patient.fault.disarm());
            if made.is_ok() {
                comes_to(lab, &all, &when).await;
            } else {
                is_either(&patient, None, None, &when).await;
                // What an undoing left behind is nobody's, and goes by itself.
                gone(lab, &empty, &when).await;
            }
            whole(lab, &patient, first(), Some(&all), &when).await;
        }
        tally.say();
    });
}

#[test]
fn two_faults_in_a_change_leave_what_was_before_or_what_comes_after() {
    private(async |lab| {
        lab.pods(["a", "b", "c"]);
        let (mut random, mut tally) = (Random::of(302), Tally::of("change"));
        let mut patient = Patient::new().await;
        let before = whole(lab, &patient, first(), None, "without a fault").await;
        let after = whole(lab, &patient, second(), None, "without a fault").await;
        for _ in 0..pairs() {
            again(&mut patient, Fault::default()).await;
            whole(lab, &patient, first(), Some(&before), "before it").await;
            let faults = [any_fault(&mut random, &CALLS, 25, 2), any_fault(&mut random, &UNSTORED, 12, 2)];
            let when = format!("{faults:?}");
            patient.fault.arm_all(&faults);
            let made = patient.apply(second()).await;
            tally.count(patient.fault.disarm());
            if made.is_ok() {
                comes_to(lab, &after, &when).await;
            } else {
                is_either(&patient, Some(&first()), None, &when).await;
                assert_eq!(patient.stored(), Some(first()), "{when}");
                whole(lab, &patient, first(), Some(&before), &when).await;
            }
        }
        tally.say();
    });
}

#[test]
fn two_faults_in_a_delete_leave_all_of_it_or_nothing() {
    private(async |lab| {
        lab.pods(["a", "b", "c"]);
        let (mut random, mut tally) = (Random::of(303), Tally::of("delete"));
        let patient = Patient::new().await;
        let empty = lab.snapshot();
        for _ in 0..pairs() {
            let all = whole(lab, &patient, second(), None, "before it").await;
            let faults = [any_fault(&mut random, &CALLS, 4, 2), any_fault(&mut random, &UNSTORED, 2, 2)];
            let when = format!("{faults:?}");
            patient.fault.arm_all(&faults);
            let deleted = patient.engine.delete(key(), Fence::default()).await;
            tally.count(patient.fault.disarm());
            if deleted.is_err() {
                is_either(&patient, Some(&second()), Some(&second()), &when).await;
                whole(lab, &patient, second(), Some(&all), &when).await;
                patient.engine.delete(key(), Fence::default()).await.unwrap();
            }
            assert_eq!(patient.stored(), None, "{when}");
            gone(lab, &empty, &when).await;
        }
        tally.say();
    });
}

/// Two faults in what is done while nobody asks. `begin` brings it about, with the faults armed or to be armed by it.
async fn unasked(lab: &Lab, what: &'static str, stream: u64, begin: impl AsyncFn(&mut Patient, &[(Call, usize)])) {
    let (mut random, mut tally) = (Random::of(stream), Tally::of(what));
    let mut patient = Patient::new().await;
    let all = whole(lab, &patient, first(), None, "without a fault").await;
    for _ in 0..pairs() {
        let faults = [(); 2].map(|()| any_fault(&mut random, &UNSTORED, 8, 3));
        let when = format!("{what}: {faults:?}");
        begin(&mut patient, &faults).await;
        let mut looks = 0;
        eventually(&when, async || {
            looks += 1;
            if patient.fault.left() > 0 && looks % 16 != 0 {
                return holds(false, "not all faults yet");
            }
            let now = lab.snapshot().without_indexes();
            holds(patient.fault.left() == 0 || now == all, all.difference(&now))
        })
        .await;
        tally.count(patient.fault.disarm());
        assert_eq!(patient.stored(), Some(first()), "{when}");
        whole(lab, &patient, first(), Some(&all), &when).await;
    }
    tally.say();
}

/// Another run of the agent: one that knows of no earlier damage, for again and again the same would be a fight.
async fn again(patient: &mut Patient, fault: Fault) {
    patient.engine.shutdown().await;
    *patient = Patient::with(Arc::clone(&patient.store), fault).await;
}

#[test]
fn two_faults_in_a_heal_leave_what_the_next_one_puts_right() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        unasked(lab, "heal", 304, async |patient, faults| {
            again(patient, Fault::default()).await;
            eventually("its first look", async || holds(patient.engine.events().latest().sequence > 0, "no event"))
                .await;
            patient.fault.arm_all(faults);
            lab.ip("netns del b");
            lab.pod("b");
            lab.ip("-n podwire.lessons.12 link del lan");
        })
        .await;
    });
}

#[test]
fn two_faults_at_a_start_leave_what_the_next_look_puts_right() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        unasked(lab, "start", 305, async |patient, faults| {
            patient.engine.shutdown().await;
            lab.reboot();
            lab.pods(["a", "b"]);
            let fault = Fault::default();
            fault.arm_all(faults);
            again(patient, fault).await;
        })
        .await;
    });
}
