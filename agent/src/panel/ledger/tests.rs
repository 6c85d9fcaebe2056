use super::*;
use crate::domain::{
    check::sample,
    intent::{Assigned, Ownership},
    mac::Mac,
    spec::{End, TopologySpec},
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
    assert_eq!(ledger.nics.get(&nic("p")), Some(&key("a")));
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
    assert_eq!(ledger.tombstones(), 1, "only what fences counts");
    assert_eq!(ledger.expired(), [key("again"), key("old")]);
    assert!(!ledger.forget_deleted(&key("again")), "somebody has made it anew");
    assert!(!ledger.forget_deleted(&key("new")), "it still fences");
    assert!(ledger.forget_deleted(&key("old")) && !ledger.forget_deleted(&key("old")));
    assert_eq!(ledger.generation(&key("new")), Generation(7));
}
