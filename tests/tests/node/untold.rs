//! A source of pods that does not tell of all pods yet: what is in them is not forgotten.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use podwire_agent::{
    domain::{
        intent::PodKey,
        name::Namespace,
        quota::Quota,
        spec::{LinkMode, PodOwner, TopologySpec},
        status::State,
    },
    kernel::{LinuxKernel, NetnsDir, PodDoor},
    panel::{Apply, Engine, Fence},
    pods::{NamedPods, Pod, PodChange, PodChanges, Pods, PodsError, Wanted},
    store::{MemoryStore, Record, Store},
};
use podwire_tests::{
    condition::{eventually, holds},
    lab::pod::Pod as LabPod,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    faults::{bridge, config, key, link, plug},
    private,
};

/// Lists the pods and finds none, as a runtime that was asked and has not said where they are.
struct Untold {
    named: NamedPods,
    tells: AtomicBool,
    found: Mutex<usize>,
    changes: Mutex<Option<mpsc::UnboundedReceiver<PodChange>>>,
}

impl Pods for Untold {
    fn kind(&self) -> &'static str {
        "untold"
    }

    fn key(&self, namespace: &Namespace, owner: &PodOwner) -> PodKey {
        self.named.key(namespace, owner)
    }

    fn find(&self, wanted: &[Wanted]) -> Result<BTreeMap<PodKey, PodDoor>, PodsError> {
        *self.found.lock().unwrap() += 1;
        if self.tells.load(Ordering::SeqCst) {
            return self.named.find(wanted);
        }
        let absent = |each: &Wanted| (self.key(&each.namespace, &each.owner), PodDoor::Absent("not yet".to_owned()));
        Ok(wanted.iter().map(absent).collect())
    }

    fn list(&self) -> Result<Vec<Pod>, PodsError> {
        self.named.list()
    }

    fn changes(&self) -> Result<PodChanges, PodsError> {
        Ok(Box::pin(UnboundedReceiverStream::new(self.changes.lock().unwrap().take().unwrap())))
    }

    fn unknown(&self) -> Option<String> {
        (!self.tells.load(Ordering::SeqCst)).then(|| "not asked yet".to_owned())
    }
}

/// An engine on a store, and what tells it of the pods.
async fn started(store: &Arc<MemoryStore>) -> (Engine, Arc<Untold>, mpsc::UnboundedSender<PodChange>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let dir = NetnsDir::new("/run/netns");
    let pods = Arc::new(Untold {
        named: NamedPods::new(dir.clone()),
        tells: false.into(),
        found: Mutex::new(0),
        changes: Mutex::new(Some(receiver)),
    });
    let kernel = Arc::new(LinuxKernel::new(dir).unwrap());
    let (its_pods, its_store): (Arc<dyn Pods>, Arc<dyn Store>) =
        (Arc::<Untold>::clone(&pods), Arc::<MemoryStore>::clone(store));
    let engine = Engine::start_with(config(), kernel, its_pods, its_store, None).await.unwrap();
    (engine, pods, sender)
}

fn direct() -> TopologySpec {
    TopologySpec { links: vec![link("w", LinkMode::Direct, "net2")], ..TopologySpec::empty(key()) }
}

fn lan() -> TopologySpec {
    TopologySpec {
        bridges: vec![bridge("lan", "10.0.0.0/24")],
        attachments: vec![plug("pa", "a", "net1", "lan")],
        ..TopologySpec::empty(key())
    }
}

async fn apply(engine: &Engine, spec: TopologySpec) -> State {
    engine.apply(Apply { spec, fence: Fence::default(), until: None, quota: Quota::default() }).await.unwrap().state()
}

fn record(store: &MemoryStore) -> Record {
    store.load().unwrap().into_iter().find_map(|(of, record)| (of == key()).then_some(record)).unwrap()
}

/// DIRECT interfaces in both pods, and the record that led to them.
async fn wired(pods: &[LabPod; 2]) -> Record {
    let store = Arc::new(MemoryStore::default());
    let (engine, its_pods, _sender) = started(&store).await;
    its_pods.tells.store(true, Ordering::SeqCst);
    assert_eq!(apply(&engine, direct()).await, State::Ready);
    assert!(pods.iter().all(|pod| pod.interfaces() == ["net2"]));
    engine.leave();
    engine.shutdown().await;
    record(&store)
}

async fn has_looked(pods: &Untold, times: usize) {
    let before = *pods.found.lock().unwrap();
    eventually("it looks", async || holds(*pods.found.lock().unwrap() >= before + times, "not yet")).await;
}

async fn are_bare(pods: &[LabPod; 2], names: &[&str]) {
    eventually("what was there is gone", async || {
        let now: Vec<_> = pods.iter().map(LabPod::interfaces).collect();
        holds(now[0] == names && now[1].is_empty(), format!("{now:?}"))
    })
    .await;
}

#[test]
fn what_a_topology_was_is_not_forgotten_before_its_pods_are_known() {
    private(async |lab| {
        let pods = lab.pods(["a", "b"]);
        let Record::Live { intent: former, .. } = wired(&pods).await else { panic!() };
        // A change of it that was cut off: it shall be a LAN, and was a wire.
        let intent = {
            let mut spec = (*former).clone();
            spec.spec.links.clear();
            spec.assigned.clear();
            spec.spec.bridges = lan().bridges;
            Arc::new(spec)
        };
        let store = Arc::new(MemoryStore::default());
        store.put(&key(), &Record::Live { intent, former: Some(former) }).unwrap();
        let (engine, its_pods, sender) = started(&store).await;
        eventually("it is healed", async || holds(engine.events().latest().sequence > 0, "not yet")).await;
        assert!(matches!(record(&store), Record::Live { former: Some(_), .. }), "its wire may be there yet");
        its_pods.tells.store(true, Ordering::SeqCst);
        sender.send(PodChange::Appeared(PodKey::new("a"))).unwrap();
        are_bare(&pods, &[]).await;
        eventually("it has no past", async || {
            holds(matches!(record(&store), Record::Live { former: None, .. }), "not yet")
        })
        .await;
    });
}

#[test]
fn an_orphan_is_not_gone_before_its_pods_are_known() {
    private(async |lab| {
        let pods = lab.pods(["a", "b"]);
        wired(&pods).await;
        let (_engine, its_pods, _sender) = started(&Arc::new(MemoryStore::default())).await;
        has_looked(&its_pods, 3).await;
        assert!(pods.iter().all(|pod| pod.interfaces() == ["net2"]));
        its_pods.tells.store(true, Ordering::SeqCst);
        are_bare(&pods, &[]).await;
    });
}

#[test]
fn what_is_deleted_or_replaced_before_its_pods_are_known_goes_when_they_are() {
    private(async |lab| {
        let pods = lab.pods(["a", "b"]);
        for deleted in [true, false] {
            let record = wired(&pods).await;
            let store = Arc::new(MemoryStore::default());
            store.put(&key(), &record).unwrap();
            let (engine, its_pods, sender) = started(&store).await;
            if deleted {
                engine.delete(key(), Fence::default()).await.unwrap();
            } else {
                assert_eq!(apply(&engine, lan()).await, State::Pending);
            }
            assert!(pods.iter().all(|pod| pod.interfaces() == ["net2"]), "it cannot be reached yet");
            its_pods.tells.store(true, Ordering::SeqCst);
            sender.send(PodChange::Appeared(PodKey::new("a"))).unwrap();
            are_bare(&pods, if deleted { &[] } else { &["net1"] }).await;
            engine.delete(key(), Fence::default()).await.unwrap();
            engine.shutdown().await;
        }
    });
}
