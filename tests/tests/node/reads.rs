//! Reading while topologies are healed, and while a heal hangs behind a pod that cannot be looked at.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use podwire_agent::{
    domain::{
        name::{Namespace, TopologyKey},
        quota::Quota,
        spec::TopologySpec,
        status::State,
    },
    kernel::{Ear, Kernel, KernelError, LinuxKernel, NetnsDir, Site, SiteView},
    panel::{Apply, Engine, EventKind, Fence},
    pods::NamedPods,
    store::MemoryStore,
};
use podwire_proto::v1::{ListTopologiesRequest, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, nic, plug, state, topology},
    lab::Lab,
};

use crate::{faults, private, watch::watch};

/// How long a read may take. More than any look at the kernel on a busy machine, and less than the heal that hangs for ever.
const READ: Duration = Duration::from_secs(15);

/// The real kernel, which lets nobody look at some panels while they are shut.
struct Gated {
    kernel: LinuxKernel,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    shut: Mutex<BTreeSet<String>>,
    opened: Condvar,
    waiting: Mutex<usize>,
}

impl Gate {
    fn shut(&self, panel: &str) {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner).insert(panel.to_owned());
    }

    fn open(&self) {
        self.shut.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.opened.notify_all();
    }

    fn waiting(&self) -> usize {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self, panel: &str) {
        let shut = self.shut.lock().unwrap_or_else(PoisonError::into_inner);
        if shut.contains(panel) {
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            drop(self.opened.wait_while(shut, |shut| shut.contains(panel)));
            *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        }
    }
}

impl Kernel for Gated {
    fn open(&self, view: SiteView) -> Result<Box<dyn Site>, KernelError> {
        self.gate.pass(&view.panel);
        self.kernel.open(view)
    }

    fn ear(&self) -> Arc<Ear> {
        self.kernel.ear()
    }

    fn reap(&self) -> Result<(), KernelError> {
        self.kernel.reap()
    }
}

async fn engine(gate: &Arc<Gate>) -> Engine {
    let dir = NetnsDir::new("/run/netns");
    let kernel = Gated { kernel: LinuxKernel::new(dir.clone()).unwrap(), gate: Arc::clone(gate) };
    let pods = Arc::new(NamedPods::new(dir));
    Engine::start_with(faults::config(), Arc::new(kernel), pods, Arc::new(MemoryStore::default()), None).await.unwrap()
}

fn key(name: &str) -> TopologyKey {
    TopologyKey { namespace: "lessons".parse().unwrap(), name: name.parse().unwrap() }
}

fn one(name: &str, pod: &str) -> Apply {
    let spec = TopologySpec {
        bridges: vec![faults::bridge("lan", "10.0.0.0/24")],
        attachments: vec![faults::plug("p", pod, &format!("net{name}"), "lan")],
        ..TopologySpec::empty(key(name))
    };
    Apply { spec, fence: Fence::default(), until: None, quota: Quota::default() }
}

async fn in_time<T>(what: &str, read: impl Future<Output = T>) -> T {
    let began = Instant::now();
    let answer = tokio::time::timeout(READ, read).await.unwrap_or_else(|_| panic!("{what}: no answer within {READ:?}"));
    eprintln!("{what}: {:.2?}", began.elapsed());
    answer
}

#[test]
fn a_heal_that_hangs_holds_up_no_reader_and_no_other_topology() {
    private(async |lab| {
        lab.pods(["slow", "quick"]);
        let gate = Arc::new(Gate::default());
        let engine = engine(&gate).await;
        engine.apply(one("1", "slow")).await.unwrap();
        engine.apply(one("2", "quick")).await.unwrap();
        let token = engine.events().latest();
        gate.shut("podwire.lessons.1");
        lab.ip("-n slow link set net1 mtu 1300");
        eventually("its heal hangs", async || holds(gate.waiting() > 0, "not yet")).await;

        let other = in_time("Get of another topology", engine.get(&key("2"))).await.unwrap();
        assert_eq!(other.state(), State::Ready);
        lab.ip("-n quick link set net2 mtu 1300");
        let event = in_time("the next event", engine.events().after(token)).await.unwrap();
        assert_eq!(event.key, key("2"), "another one is healed meanwhile: {}", event.cause);
        assert!(matches!(event.kind, EventKind::Changed(_)));
        in_time("Apply of another topology", engine.apply(one("3", "quick"))).await.unwrap();
        in_time("ListPods", engine.pods()).await.unwrap();
        let namespace: Namespace = "lessons".parse().unwrap();
        let all = in_time("List", engine.list(|of| *of == namespace)).await;
        assert_eq!(all.len(), 3, "also the one that hangs");
        let same = in_time("Get of the topology that hangs", engine.get(&key("1"))).await.unwrap();
        assert_eq!(same.intent.spec, one("1", "slow").spec);

        gate.open();
        eventually("it is healed when it can be", async || {
            let mtu = podwire_tests::lab::pod::Pod::new(lab, "slow").link("net1")["mtu"].clone();
            holds(mtu == 1500, mtu)
        })
        .await;
        assert_eq!(engine.get(&key("1")).await.unwrap().state(), State::Ready);
    });
}

/// Several large topologies whose heals take long enough to read in between.
fn large(name: &str) -> Topology {
    Topology {
        bridges: vec![bridge("lan")],
        attachments: (0..100).map(|n| plug(&format!("p{n}"), nic(&format!("pod{name}"), ""), "lan")).collect(),
        ..topology(name)
    }
}

fn new_pods(lab: &Lab, names: &[&str]) {
    for name in names {
        let pod = format!("pod{name}");
        if lab.namespaces().contains(&pod) {
            podwire_tests::netns::remove(&pod).unwrap();
        }
        podwire_tests::netns::make(&pod).unwrap();
    }
}

#[test]
fn topologies_are_told_while_others_are_healed() {
    private(async |lab| {
        const NAMES: [&str; 4] = ["a", "b", "c", "d"];
        let agent = lab.agent().start().await;
        new_pods(lab, &NAMES);
        agent.apply(topology("quiet")).await.unwrap();
        for name in NAMES {
            agent.apply(large(name)).await.unwrap();
        }
        // All of them at once: more than are healed at a time would wait.
        new_pods(lab, &NAMES);
        let mut slowest = Duration::ZERO;
        let (mut reads, mut unfinished) = (0, 0);
        eventually("all is READY again", async || {
            let began = Instant::now();
            agent.get("quiet").await.map_err(|status| status.to_string())?;
            slowest = slowest.max(began.elapsed());
            let request = ListTopologiesRequest::default();
            let all = in_time("List", agent.topologies().list_topologies(request)).await.unwrap().into_inner();
            assert_eq!(all.topologies.len(), NAMES.len() + 1);
            let mut events = watch(&agent, "").await;
            in_time("the snapshot of a watch", events.message()).await.unwrap().expect("a topology");
            reads += 1;
            let ready = |one: &Topology| state(one) == podwire_proto::v1::State::Ready;
            let whole = all.topologies.iter().filter(|one| ready(one)).count();
            unfinished += usize::from(whole < all.topologies.len());
            let full = NAMES.iter().filter(|name| lab.link_names(&format!("pod{name}")).len() == 100).count();
            holds(whole == all.topologies.len() && full == NAMES.len(), format!("{whole} are"))
        })
        .await;
        println!("{reads} reads, {unfinished} of them in between; Get of another topology took {slowest:.2?} at most");
        assert!(slowest < READ, "{slowest:?}");
    });
}
