//! Changes of a large topology look at what they concern and at nothing else, and come to the same.

use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};

use podwire_agent::{
    domain::{
        edit::Edit,
        impairment::{Impairment, Rate},
        name::TopologyKey,
        quota::Quota,
        spec::{LinkMode, LinkSpec, TopologySpec},
        status::State,
    },
    kernel::{Ear, Kernel, KernelError, LinuxKernel, NetnsDir, Site, SiteView},
    panel::{Change, Engine, Fence, TopologyView},
    pods::NamedPods,
    store::MemoryStore,
};
use podwire_tests::condition::{eventually, holds};

use crate::{faults, private};

const PODS: [&str; 5] = ["p0", "p1", "p2", "p3", "p4"];

/// Four times around the pods.
const LINKS: usize = 20;

/// How much was opened for a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    partial: bool,
    pods: usize,
}

type Meanwhile = Box<dyn FnOnce() + Send>;

/// The real kernel, which notes what it is asked to look at. What happens meanwhile happens before the next look at a part.
#[derive(Clone, Default)]
struct Notes {
    looks: Arc<Mutex<Vec<Look>>>,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

impl Notes {
    fn take(&self) -> Vec<Look> {
        mem::take(&mut *self.looks.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn meanwhile(&self, what: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(what));
    }

    /// No look so far was at all of the topology.
    #[track_caller]
    fn assert_partial(&self, what: &str) {
        let looks = self.take();
        assert!(looks.iter().all(|look| look.partial), "{what}: {looks:?}");
        // Beside the change's own look there may be one for what was heard of before it, here and there.
        assert!(looks.iter().any(|look| look.pods <= 2), "{what}: {looks:?}");
    }
}

struct Noted {
    kernel: LinuxKernel,
    notes: Notes,
}

impl Kernel for Noted {
    fn open(&self, view: SiteView) -> Result<Box<dyn Site>, KernelError> {
        let look = Look { partial: view.part.is_some(), pods: view.pods.len() };
        self.notes.looks.lock().unwrap_or_else(PoisonError::into_inner).push(look);
        let site = self.kernel.open(view);
        let meanwhile = self.notes.meanwhile.lock().unwrap_or_else(PoisonError::into_inner).take_if(|_| look.partial);
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        site
    }

    fn ear(&self) -> Arc<Ear> {
        self.kernel.ear()
    }

    fn reap(&self) -> Result<(), KernelError> {
        self.kernel.reap()
    }
}

async fn engine(notes: &Notes) -> Engine {
    let dir = NetnsDir::new("/run/netns");
    let kernel = Noted { kernel: LinuxKernel::new(dir.clone()).unwrap(), notes: notes.clone() };
    let pods = Arc::new(NamedPods::new(dir));
    Engine::start_with(faults::config(), Arc::new(kernel), pods, Arc::new(MemoryStore::default()), None).await.unwrap()
}

fn key() -> TopologyKey {
    TopologyKey { namespace: "lessons".parse().unwrap(), name: "default".parse().unwrap() }
}

fn wire(n: usize) -> LinkSpec {
    let link = faults::link(&format!("w{n}"), LinkMode::Stitched, &format!("net{n}"));
    let end = |pod: usize, address: String| {
        let mut interface = link.a.clone();
        interface.owner = PODS[pod % PODS.len()].parse().map(podwire_agent::domain::spec::PodOwner::Pod).unwrap();
        interface.addresses = vec![address.parse().unwrap()];
        interface
    };
    let (a, b) = (end(n, format!("10.{n}.0.1/24")), end(n + 1, format!("10.{n}.0.2/24")));
    LinkSpec { a, b, ..link }
}

async fn change(engine: &Engine, edit: Edit) -> TopologyView {
    change_or_gone(engine, edit).await.unwrap()
}

fn cable(n: usize, up: bool) -> Edit {
    Edit::UpdateLink { name: format!("w{n}").parse().unwrap(), up: Some(up), a_to_b: None, b_to_a: None }
}

fn slow(n: usize) -> Edit {
    let rate = Rate { bytes_per_second: 1_000_000, burst: None, queue: None };
    let a_to_b = Some(Impairment { netem: None, rate: Some(rate) });
    Edit::UpdateLink { name: format!("w{n}").parse().unwrap(), up: None, a_to_b, b_to_a: None }
}

/// A large topology that is at rest.
async fn large() -> (Engine, Notes) {
    let notes = Notes::default();
    let engine = engine(&notes).await;
    change(&engine, Edit::CreateBridge(faults::bridge("lan", "10.100.0.0/24"))).await;
    for n in 0..LINKS {
        change(&engine, Edit::CreateLink(Box::new(wire(n)))).await;
    }
    for pod in PODS {
        change(&engine, Edit::Attach(faults::plug(&format!("plug-{pod}"), pod, "lan0", "lan"))).await;
    }
    rest(&engine, &notes).await;
    (engine, notes)
}

/// Waits until all was looked at once after whatever is still heard of it: a look at a part needs that.
async fn rest(engine: &Engine, notes: &Notes) {
    eventually("it is at rest", async || {
        notes.take();
        let view = engine.get(&key()).await.unwrap();
        holds(view.state() == State::Ready && notes.take().len() == 1, view.reasons())
    })
    .await;
}

#[test]
fn a_cable_and_an_impairment_look_at_the_pods_of_their_link_and_at_nothing_else() {
    private(async |lab| {
        let pods = lab.pods(PODS);
        let (engine, notes) = large().await;

        let carrier = |up: bool| {
            let has = |pod: usize| pods[pod].link("net6")["operstate"] == "UP";
            holds(has(1) == up && has(2) == up, format!("{} {}", has(1), has(2)))
        };
        for up in [false, true] {
            let view = change(&engine, cable(6, up)).await;
            assert_eq!(view.state(), State::Ready);
            assert_eq!(view.interfaces.len(), 2 * LINKS + PODS.len(), "the others are told too");
            eventually("the carrier follows", async || carrier(up)).await;
        }
        notes.assert_partial("a cable");

        change(&engine, slow(6)).await;
        let shown = lab.ip("-n podwire.lessons.default -d link show");
        assert!(shown.contains("qdisc tbf"), "{shown}");
        notes.assert_partial("an impairment");

        change(&engine, Edit::CreateLink(Box::new(wire(LINKS)))).await;
        assert!(pods[0].reaches("10.20.0.2".parse().unwrap()), "the first frame passes");
        notes.assert_partial("a new link");

        change(&engine, Edit::DeleteLink(wire(LINKS).name)).await;
        assert!(!pods[0].interfaces().contains(&"net20".to_owned()));
        notes.assert_partial("a link less");

        change(&engine, Edit::Detach("plug-p3".parse().unwrap())).await;
        assert!(!pods[3].interfaces().contains(&"lan0".to_owned()));
        notes.assert_partial("an attachment less");

        change(&engine, Edit::Attach(faults::plug("plug-p3", "p3", "lan0", "lan"))).await;
        assert!(pods[3].reaches(pods[4].address("lan0")));
        notes.assert_partial("a new attachment");
        assert_at_rest(&engine).await;
    });
}

/// A look at all of it finds nothing to do.
async fn assert_at_rest(engine: &Engine) {
    let spec = engine.get(&key()).await.unwrap().intent.spec.clone();
    eventually("all is as it shall be", async || {
        let view = engine.get(&key()).await.unwrap();
        holds(view.state() == State::Ready && view.intent.spec == spec, view.reasons())
    })
    .await;
}

#[test]
fn damage_elsewhere_at_the_same_time_is_healed() {
    private(async |lab| {
        let pods = lab.pods(PODS);
        let (engine, notes) = large().await;
        // In another pod; in the same pod, on another interface; in the panel.
        let damage = [
            "-n p4 address del 10.13.0.2/24 dev net13",
            "-n p1 link set net5 mtu 1300",
            "-n podwire.lessons.default link add stranger type bridge",
        ];
        for (turn, damage) in damage.into_iter().enumerate() {
            rest(&engine, &notes).await;
            let (inside, outside) = (lab.clone(), lab.clone());
            notes.meanwhile(move || drop(inside.ip(damage)));
            let view = change(&engine, cable(6, turn % 2 == 1)).await;
            assert_eq!(view.state(), State::Ready, "{damage}");
            assert!(notes.meanwhile.lock().unwrap().is_none(), "{damage} happened");
            eventually(damage, async || {
                let healed = pods[4].addresses("net13") == ["10.13.0.2/24"]
                    && pods[1].link("net5")["mtu"] == 1500
                    && !outside.link_names("podwire.lessons.default").contains(&"stranger".to_owned());
                holds(healed, "not yet")
            })
            .await;
        }
        assert_at_rest(&engine).await;
    });
}

#[test]
fn what_parts_come_to_is_what_the_whole_comes_to() {
    private(async |lab| {
        lab.pods(PODS);
        let (engine, notes) = large().await;
        for n in [3, 8, 13] {
            change(&engine, Edit::DeleteLink(wire(n).name)).await;
        }
        change(&engine, cable(4, false)).await;
        change(&engine, slow(4)).await;
        change(&engine, Edit::CreateLink(Box::new(wire(8)))).await;
        // The last one: the others' addresses were chosen before it.
        change(&engine, Edit::Detach("plug-p4".parse().unwrap())).await;
        // One that never had a carrier has no link-local address yet.
        change(&engine, cable(4, true)).await;
        notes.assert_partial("all of it");
        let view = engine.get(&key()).await.unwrap();
        assert_eq!(view.state(), State::Ready, "{}", view.reasons());
        let by_parts = lab.snapshot().without_indexes();

        // The same of a fresh agent's first look, in a panel that it makes anew.
        let spec = view.intent.spec.clone();
        for link in &spec.links {
            change_or_gone(&engine, Edit::DeleteLink(link.name.clone())).await;
        }
        change_or_gone(&engine, Edit::DeleteBridge { name: "lan".parse().unwrap(), cascade: true }).await;
        eventually("the panel is gone", async || holds(lab.panels().is_empty(), lab.panels().join(" "))).await;
        for edit in edits(&spec) {
            change(&engine, edit).await;
        }
        eventually("it is the same", async || {
            let anew = lab.snapshot().without_indexes();
            holds(anew == by_parts, anew.difference(&by_parts))
        })
        .await;
    });
}

async fn change_or_gone(engine: &Engine, edit: Edit) -> Option<TopologyView> {
    let change = Change { key: key(), edit, fence: Fence::default(), quota: Quota::default(), until: None };
    engine.change(change).await.unwrap()
}

/// What makes a topology, one by one.
fn edits(spec: &TopologySpec) -> Vec<Edit> {
    let bridges = spec.bridges.iter().cloned().map(Edit::CreateBridge);
    let links = spec.links.iter().cloned().map(|link| Edit::CreateLink(Box::new(link)));
    bridges.chain(links).chain(spec.attachments.iter().cloned().map(Edit::Attach)).collect()
}
