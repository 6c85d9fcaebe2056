use std::collections::BTreeSet;

use super::*;
use crate::domain::{
    check::sample,
    intent::{Assigned, NicKey, Ownership},
    mac::Mac,
    spec::{AttachmentSpec, DeviceSpec, End, InterfaceId, MacvlanMode, Target, TopologySpec},
};

fn key(name: &str) -> TopologyKey {
    TopologyKey { namespace: "lessons".parse().unwrap(), name: name.parse().unwrap() }
}

fn nic(pod: &str) -> NicKey {
    NicKey { pod: PodKey::new(pod), name: "net1".parse().unwrap() }
}

/// A topology with `net1` in each of the pods.
fn intent(name: &str, pods: &[&str]) -> Arc<Intent> {
    let plugs = pods.iter().map(|pod| sample::plugged(pod, "lan", sample::interface(pod, "net1")));
    let spec = TopologySpec {
        bridges: vec![sample::bridge("lan", None)],
        attachments: plugs.collect(),
        ..TopologySpec::empty(key(name))
    };
    let assigned = pods.iter().map(|pod| {
        let id = InterfaceId { element: pod.parse().unwrap(), end: End::Only };
        (id, Assigned { nic: nic(pod), mac: Mac::derived(&[name, pod]), addresses: Vec::new() })
    });
    Arc::new(Intent {
        assigned: assigned.collect(),
        spec,
        ownership: Ownership::Apply,
        generation: Generation(1),
        applied_at: Generation(1),
        applied: None,
    })
}

#[test]
fn what_a_topology_was_claims_nothing_that_another_has_by_now() {
    let mut ledger = Ledger::default();
    // `a` comes first and has what `b` once had.
    let records = vec![
        (key("a"), Record::Live { intent: intent("a", &["p"]), former: None }),
        (key("b"), Record::Live { intent: intent("b", &["q"]), former: Some(intent("b", &["p", "q"])) }),
    ];
    ledger.load(records);
    assert_eq!(ledger.claims.nics.get(&nic("p")), Some(&key("a")));
    assert!(ledger.forget_former(&key("b")));
    assert_eq!(ledger.of_pod(&PodKey::new("p")), [key("a")]);
    assert_eq!(ledger.of_pod(&PodKey::new("q")), [key("b")]);
}

#[test]
fn what_a_topology_was_keeps_its_claims_while_nobody_else_has_them() {
    let mut ledger = Ledger::default();
    ledger.load(vec![(key("b"), Record::Live { intent: intent("b", &["q"]), former: Some(intent("b", &["p"])) })]);
    assert_eq!(ledger.of_pod(&PodKey::new("p")), [key("b")]);
    assert!(ledger.forget_former(&key("b")));
    assert!(ledger.of_pod(&PodKey::new("p")).is_empty());
}

#[test]
fn a_generation_is_forgotten_after_a_day_and_not_when_its_topology_was_made_anew() {
    let yesterday = SystemTime::now() - TOMBSTONE - Duration::from_secs(1);
    let deleted = |at| Record::Deleted { generation: Generation(7), at };
    let mut ledger = Ledger::default();
    ledger.load(vec![
        (key("old"), deleted(yesterday)),
        (key("new"), deleted(SystemTime::now())),
        (key("again"), deleted(yesterday)),
    ]);
    ledger.begin(intent("again", &["p"]));
    assert_eq!(ledger.expired(), [key("again"), key("old")]);
    assert!(!ledger.forget_deleted(&key("again")), "somebody has made it anew");
    assert!(!ledger.forget_deleted(&key("new")), "it still fences");
    assert!(ledger.forget_deleted(&key("old")) && !ledger.forget_deleted(&key("old")));
    assert_eq!(ledger.generation(&key("new")), Generation(7));
}

#[test]
fn of_too_many_generations_the_oldest_go_of_the_namespace_that_has_the_most() {
    let of = |namespace: &str, number: usize| TopologyKey {
        namespace: namespace.parse().unwrap(),
        name: format!("t{number}").parse().unwrap(),
    };
    let mut ledger = Ledger::default();
    for number in 0..1000 {
        ledger.bury(&of("quiet", number), Generation(1));
    }
    for number in 0..TOMBSTONES - 1000 {
        ledger.bury(&of("noisy", number), Generation(1));
    }
    assert!(ledger.crowd_out().is_empty(), "as many as may be");
    // Being made anew: its record is its own.
    let again = Intent { spec: TopologySpec::empty(of("noisy", 0)), ..(*intent("x", &[])).clone() };
    ledger.begin(Arc::new(again));
    ledger.bury(&of("noisy", TOMBSTONES), Generation(1));
    let gone = ledger.crowd_out();
    assert_eq!(gone.len(), CROWD);
    assert!(gone.iter().all(|key| key.namespace.as_str() == "noisy"));
    assert!(gone.contains(&of("noisy", 1)) && !gone.contains(&of("noisy", 0)), "the oldest");
    assert_eq!(ledger.buried(&of("noisy", 1)), None);
    assert_eq!(ledger.buried(&of("noisy", TOMBSTONES)), Some(Generation(1)));
    assert!((0..1000).all(|number| ledger.buried(&of("quiet", number)).is_some()));
}

/// The same with a lease and a generation.
fn leased(name: &str, seconds: u64, generation: u64) -> Arc<Intent> {
    let mut intent = (*intent(name, &["a"])).clone();
    intent.spec.lease = Some(Duration::from_secs(seconds));
    intent.generation = Generation(generation);
    Arc::new(intent)
}

#[test]
fn a_renewal_is_of_what_was_acknowledged_and_not_of_a_change_that_is_under_way() {
    let mut ledger = Ledger::default();
    let (one, generation) = (key("one"), Generation(5));
    ledger.begin(leased("one", 600, 5));
    assert_eq!(ledger.renew(&one, generation), Renewal::NotFound, "it may be refused yet");
    ledger.settle(&one, Lease::Renewed);
    ledger.begin(leased("one", 60, 6));
    let Renewal::Renewed(end) = ledger.renew(&one, generation) else { panic!("fenced by what may be refused yet") };
    assert!(end > boottime() + Duration::from_secs(300), "with the lease of before");
    ledger.abort(&one);
    assert!(matches!(ledger.renew(&one, generation), Renewal::Renewed(_)));
    ledger.begin(leased("one", 60, 6));
    ledger.settle(&one, Lease::Renewed);
    assert_eq!(ledger.renew(&one, generation), Renewal::Fenced);
    // What is left of an earlier change is no change under way.
    ledger.get_mut(&one).unwrap().former = Some(leased("one", 600, 5));
    assert_eq!(ledger.renew(&one, generation), Renewal::Fenced);
}

#[test]
fn a_device_of_the_node_concerns_only_those_that_are_on_it() {
    let mut ledger = Ledger::default();
    for (name, parent) in [("one", "up0"), ("two", "up1")] {
        let mut intent = (*intent(name, &[])).clone();
        let device = DeviceSpec { parent: parent.parse().unwrap(), mode: MacvlanMode::Bridge, ipam: None };
        let plug = sample::plugged("p", "lan", sample::interface("a", "net1"));
        intent.spec.attachments = vec![AttachmentSpec { target: Target::Device(device), ..plug }];
        ledger.begin(Arc::new(intent));
        ledger.settle(&key(name), Lease::Renewed);
    }
    ledger.get_mut(&key("two")).unwrap().parents = BTreeSet::from([4]);
    assert_eq!(ledger.on_device(9, "up0"), [key("one")]);
    assert_eq!(ledger.on_device(4, "renamed"), [key("two")], "it was on it before it was renamed");
    assert_eq!(ledger.on_device(9, "veth1"), []);
}

#[test]
fn what_may_be_left_of_a_refused_change_keeps_its_claims_until_it_is_gone() {
    let mut ledger = Ledger::default();
    let one = key("one");
    ledger.begin(intent("one", &["a"]));
    ledger.settle(&one, Lease::Renewed);
    assert!(ledger.remember_former(&one, intent("one", &["b"])));
    assert!(!ledger.remember_former(&one, intent("one", &["c"])), "one past at a time");
    assert_eq!(ledger.of_pod(&PodKey::new("b")), [key("one")], "a pod that comes wakes it");
    ledger.forget_former(&one);
    assert_eq!(ledger.of_pod(&PodKey::new("b")), []);
}
