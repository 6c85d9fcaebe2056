//! All or nothing: every step of a change fails once, on the real kernel; so does every look, and every write to the store.

mod crowded;
mod faulty;
mod healed;
mod twice;

use std::{path::PathBuf, sync::Arc};

use podwire_agent::{
    domain::{
        impairment::Impairment,
        name::TopologyKey,
        quota::Quota,
        spec::{
            AttachmentSpec, BridgeSpec, InterfaceSpec, IpamSpec, LinkMode, LinkSpec, PodOwner, RouteSpec, SubnetSpec,
            Target, TopologySpec,
        },
        status::State,
    },
    kernel::{LinuxKernel, NetnsDir},
    panel::{Apply, ChangeError, Engine, EngineConfig, Fence},
    pods::NamedPods,
    store::{MemoryStore, Record, Store},
};

use podwire_tests::{
    condition::{eventually, holds},
    lab::{Lab, snapshot::Snapshot},
};

use self::faulty::{Call, Fault, FaultyKernel, FaultyStore};
use crate::private;

/// Whatever may fail.
const CALLS: [Call; 4] = [Call::Step, Call::Observe, Call::Open, Call::Put];

fn interface(pod: &str, name: &str) -> InterfaceSpec {
    InterfaceSpec {
        owner: PodOwner::Pod(pod.parse().unwrap()),
        uid: None,
        name: Some(name.parse().unwrap()),
        order: 0,
        mac: None,
        mtu: None,
        addresses: vec![],
        routes: vec![],
        tx_checksum: true,
    }
}

pub(crate) fn plug(name: &str, pod: &str, interface_name: &str, bridge: &str) -> AttachmentSpec {
    AttachmentSpec {
        name: name.parse().unwrap(),
        interface: interface(pod, interface_name),
        target: Target::Bridge(bridge.parse().unwrap()),
        hairpin: None,
        isolated: None,
        vlan: None,
        up: true,
        flood: None,
        mcast_flood: None,
        to_interface: Impairment::default(),
    }
}

pub(crate) fn bridge(name: &str, cidr: &str) -> BridgeSpec {
    let subnet = SubnetSpec { cidr: cidr.parse().unwrap(), ranges: vec![], gateway: None, exclude: vec![] };
    let ipam = Some(IpamSpec { subnets: vec![subnet], routes: vec![] });
    BridgeSpec { ipam, ..BridgeSpec::named(name.parse().unwrap()) }
}

pub(crate) fn link(name: &str, mode: LinkMode, interface_name: &str) -> LinkSpec {
    let mut a = interface("a", interface_name);
    a.addresses = vec!["10.7.0.1/30".parse().unwrap(), "fd07::1/64".parse().unwrap()];
    let mut b = interface("b", interface_name);
    b.addresses = vec!["10.7.0.2/30".parse().unwrap()];
    b.routes = vec![RouteSpec {
        destination: "10.77.0.0/16".parse().unwrap(),
        via: Some("10.7.0.1".parse().unwrap()),
        metric: 7,
        unless_present: false,
    }];
    LinkSpec {
        name: name.parse().unwrap(),
        a,
        b,
        mode,
        up: true,
        ipam: None,
        a_to_b: Impairment::default(),
        b_to_a: Impairment::default(),
    }
}

pub(crate) fn key() -> TopologyKey {
    TopologyKey { namespace: "lessons".parse().unwrap(), name: "12".parse().unwrap() }
}

/// The settings of an engine in a lab.
pub(crate) fn config() -> EngineConfig {
    EngineConfig {
        node_name: "lab".to_owned(),
        netns_dir: PathBuf::from("/run/netns"),
        state_dir: PathBuf::from("/run/lab/unused"),
        node_devices: vec![],
        allow_netns: false,
        max_topologies: 16,
        parked_panels: 0,
    }
}

/// A bridge, a link of either kind, and what they carry.
fn first() -> TopologySpec {
    TopologySpec {
        bridges: vec![bridge("lan", "10.0.0.0/24")],
        attachments: vec![plug("pa", "a", "net1", "lan"), plug("pb", "b", "net1", "lan")],
        links: vec![link("w", LinkMode::Stitched, "net2")],
        ..TopologySpec::empty(key())
    }
}

/// The same pods, wired in other ways: kept, moved, made anew, gone and new.
fn second() -> TopologySpec {
    TopologySpec {
        bridges: vec![bridge("lan", "10.0.0.0/24"), bridge("other", "10.1.0.0/24")],
        attachments: vec![plug("pa", "a", "net1", "other"), plug("pc", "c", "net1", "lan")],
        links: vec![link("w", LinkMode::Direct, "net2")],
        ..TopologySpec::empty(key())
    }
}

/// An engine, a fault that can happen to it, and what it stores.
struct Patient {
    engine: Engine,
    fault: Fault,
    store: Arc<MemoryStore>,
}

impl Patient {
    async fn new() -> Self {
        Self::with(Arc::new(MemoryStore::default()), Fault::default()).await
    }

    async fn with(store: Arc<MemoryStore>, fault: Fault) -> Self {
        let dir = NetnsDir::new("/run/netns");
        let kernel = FaultyKernel { kernel: LinuxKernel::new(dir.clone()).unwrap(), fault: fault.clone() };
        let faulty = FaultyStore { store: Arc::<MemoryStore>::clone(&store), fault: fault.clone() };
        let pods = Arc::new(NamedPods::new(dir));
        let engine = Engine::start_with(config(), Arc::new(kernel), pods, Arc::new(faulty), None).await.unwrap();
        Self { engine, fault, store }
    }

    async fn apply(&self, spec: TopologySpec) -> Result<State, ChangeError> {
        self.engine
            .apply(Apply { spec, fence: Fence::default(), quota: Quota::default(), until: None })
            .await
            .map(|view| view.state())
    }

    /// What a start after a crash at this moment would find.
    fn record(&self) -> Option<Record> {
        self.store.load().unwrap().into_iter().find_map(|(of, record)| (of == key()).then_some(record))
    }

    fn stored(&self) -> Option<TopologySpec> {
        match self.record()? {
            Record::Live { intent, .. } => Some(intent.spec.clone()),
            Record::Deleted { .. } => None,
        }
    }

    /// A second look finds nothing to do.
    async fn is_clean(&self, spec: TopologySpec, when: &str) {
        let plan = self
            .engine
            .plan(Apply { spec, fence: Fence::default(), quota: Quota::default(), until: None })
            .await
            .unwrap();
        assert!(plan.0.is_empty(), "{when}: {:?}", plan.0);
    }
}

async fn comes_to(lab: &Lab, wanted: &Snapshot, when: &str) {
    eventually(when, async || {
        let now = lab.snapshot().without_indexes();
        holds(now == *wanted, wanted.difference(&now))
    })
    .await;
}

#[test]
fn whatever_fails_in_an_apply_leaves_what_was_before() {
    private(async |lab| {
        let [_a, _b, _c] = lab.pods(["a", "b", "c"]);
        let patient = Patient::new().await;
        let empty = lab.snapshot();
        for call in CALLS {
            for at in 0.. {
                let when = format!("{call:?} {at}");
                patient.fault.arm(call, at);
                let made = patient.apply(first()).await;
                let happened = patient.fault.happened();
                // When all was made, a look at the echo of it may have met the fault.
                if !happened || made.is_ok() {
                    assert_eq!(made.unwrap(), State::Ready, "{when}");
                    assert!(at > if call == Call::Step { 20 } else { 0 }, "{at} is no apply");
                    break;
                }
                let undone = matches!(made, Err(ChangeError::Step { undo: None, .. }));
                assert!(undone || call != Call::Step && made.is_err(), "{when}: {made:?}");
                assert_eq!(patient.stored(), None, "{when}");
                eventually("the panel is taken down", async || {
                    let left = lab.panels();
                    holds(left.is_empty(), format!("{left:?}"))
                })
                .await;
                empty.assert_same(&lab.snapshot());
            }
            patient.is_clean(first(), "after it").await;
            patient.engine.delete(key(), Fence::default()).await.unwrap();
        }
    });
}

#[test]
fn whatever_fails_in_a_change_leaves_the_wires_before() {
    private(async |lab| {
        let [a, b, _c] = lab.pods(["a", "b", "c"]);
        let patient = Patient::new().await;
        for call in CALLS {
            for at in 0.. {
                let when = format!("{call:?} {at}");
                assert_eq!(patient.apply(first()).await.unwrap(), State::Ready, "{when}");
                patient.fault.arm(call, at);
                let made = patient.apply(second()).await;
                let happened = patient.fault.happened();
                // When all was made, a look at the echo of it may have met the fault.
                if !happened || made.is_ok() {
                    assert_eq!(made.unwrap(), State::Ready, "{when}");
                    assert!(at > 0);
                    break;
                }
                let undone = matches!(made, Err(ChangeError::Step { undo: None, .. }));
                assert!(undone || call != Call::Step && made.is_err(), "{when}: {made:?}");
                let view = patient.engine.get(&key()).await.unwrap();
                assert_eq!((view.state(), &view.intent.spec), (State::Ready, &first()), "{when}");
                assert_eq!(patient.stored(), Some(first()), "{when}");
                patient.is_clean(first(), &when).await;
                a.ping(b.address("net1"));
                a.ping(b.address("net2"));
            }
            assert!(!a.reaches("10.0.0.3".parse().unwrap()), "the change moved it to another bridge");
            patient.is_clean(second(), "after it").await;
        }
    });
}

#[test]
fn whatever_fails_in_a_delete_leaves_all_of_it_or_nothing() {
    private(async |lab| {
        lab.pods(["a", "b", "c"]);
        let patient = Patient::new().await;
        let empty = lab.snapshot();
        for call in CALLS {
            for at in 0.. {
                let when = format!("{call:?} {at}");
                assert_eq!(patient.apply(second()).await.unwrap(), State::Ready, "{when}");
                let whole = lab.snapshot().without_indexes();
                patient.fault.arm(call, at);
                let gone = patient.engine.delete(key(), Fence::default()).await;
                if !patient.fault.happened() {
                    gone.unwrap();
                    assert!(at > 0);
                    break;
                }
                assert!(gone.is_err(), "{when}");
                assert_eq!(patient.stored(), Some(second()), "{when}");
                comes_to(lab, &whole, &when).await;
                assert_eq!(patient.engine.get(&key()).await.unwrap().state(), State::Ready, "{when}");
                patient.is_clean(second(), &when).await;
            }
            eventually("the panel is taken down", async || holds(lab.panels().is_empty(), "it is there")).await;
            empty.assert_same(&lab.snapshot());
            assert_eq!(patient.stored(), None);
        }
    });
}
