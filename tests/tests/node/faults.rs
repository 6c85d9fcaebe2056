//! All or nothing: every step of a change fails once, on the real kernel.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use nix::errno::Errno;
use podwire_agent::{
    domain::{
        name::TopologyKey,
        observed::Observed,
        spec::{
            AttachmentSpec, BridgeSpec, InterfaceSpec, IpamSpec, LinkMode, LinkSpec, PodOwner, RouteSpec, SubnetSpec,
            Target, TopologySpec,
        },
        status::State,
        step::Step,
    },
    kernel::{Ear, Kernel, KernelError, LinuxKernel, Moment, NetnsDir, Site, SiteView, StepFailed},
    panel::{Apply, ChangeError, Engine, EngineConfig, Fence},
    pods::NamedPods,
    store::MemoryStore,
};

use podwire_tests::condition::eventually;

use crate::private;

/// The real kernel, but for one step: the one before which so many steps were taken fails.
struct Faulty {
    kernel: LinuxKernel,
    left: Arc<AtomicUsize>,
}

struct FaultySite {
    site: Box<dyn Site>,
    left: Arc<AtomicUsize>,
}

/// No fault.
const NEVER: usize = usize::MAX;

impl Kernel for Faulty {
    fn open(&self, view: SiteView) -> Result<Box<dyn Site>, KernelError> {
        Ok(Box::new(FaultySite { site: self.kernel.open(view)?, left: Arc::clone(&self.left) }))
    }

    fn ear(&self) -> Arc<Ear> {
        self.kernel.ear()
    }

    fn reap(&self) -> Result<(), KernelError> {
        self.kernel.reap()
    }
}

impl Site for FaultySite {
    fn observe(&mut self) -> Result<Observed, KernelError> {
        self.site.observe()
    }

    fn looked_at(&self) -> Moment {
        self.site.looked_at()
    }

    fn execute(&mut self, steps: &[Step]) -> Result<(), StepFailed> {
        let left = self.left.load(Ordering::SeqCst);
        if left == NEVER {
            return self.site.execute(steps);
        }
        if left >= steps.len() {
            self.left.store(left - steps.len(), Ordering::SeqCst);
            return self.site.execute(steps);
        }
        self.site.execute(&steps[..left])?;
        // One fault only: what follows is the undoing.
        self.left.store(NEVER, Ordering::SeqCst);
        let source =
            KernelError::Netlink { operation: "RTM_NEWLINK", errno: Errno::EIO, sentence: "a fault".to_owned() };
        Err(StepFailed { at: left, source })
    }
}

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
    }
}

fn plug(name: &str, pod: &str, interface_name: &str, bridge: &str) -> AttachmentSpec {
    AttachmentSpec {
        name: name.parse().unwrap(),
        interface: interface(pod, interface_name),
        target: Target::Bridge(bridge.parse().unwrap()),
        hairpin: None,
        isolated: None,
        up: true,
    }
}

fn bridge(name: &str, cidr: &str) -> BridgeSpec {
    let subnet = SubnetSpec { cidr: cidr.parse().unwrap(), ranges: vec![], gateway: None, exclude: vec![] };
    let ipam = Some(IpamSpec { subnets: vec![subnet], routes: vec![] });
    BridgeSpec { name: name.parse().unwrap(), mtu: None, mac: None, ipam, hairpin: false, isolated: false }
}

fn link(name: &str, mode: LinkMode, interface_name: &str) -> LinkSpec {
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
    LinkSpec { name: name.parse().unwrap(), a, b, mode, up: true, ipam: None }
}

fn key() -> TopologyKey {
    TopologyKey { namespace: "lessons".parse().unwrap(), name: "12".parse().unwrap() }
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

async fn engine(left: &Arc<AtomicUsize>) -> Engine {
    let dir = NetnsDir::new("/run/netns");
    let config = EngineConfig {
        node_name: "lab".to_owned(),
        netns_dir: PathBuf::from("/run/netns"),
        state_dir: PathBuf::from("/run/lab/unused"),
        node_devices: vec![],
        allow_netns: false,
        max_topologies: 16,
    };
    let kernel = Arc::new(Faulty { kernel: LinuxKernel::new(dir.clone()).unwrap(), left: Arc::clone(left) });
    let store = Arc::new(MemoryStore::default());
    Engine::start_with(config, kernel, Arc::new(NamedPods::new(dir)), store, None).await.unwrap()
}

async fn apply(engine: &Engine, spec: TopologySpec) -> Result<State, ChangeError> {
    engine.apply(Apply { spec, fence: Fence::default(), until: None }).await.map(|view| view.state())
}

#[test]
fn every_step_of_an_apply_fails_once_and_leaves_what_was_before() {
    private(async |lab| {
        let [_a, _b, _c] = lab.pods(["a", "b", "c"]);
        let left = Arc::new(AtomicUsize::new(NEVER));
        let engine = engine(&left).await;
        let empty = lab.snapshot();
        let mut faults = 0;
        for step in 0.. {
            left.store(step, Ordering::SeqCst);
            let made = apply(&engine, first()).await;
            let happened = left.swap(NEVER, Ordering::SeqCst) == NEVER;
            if !happened {
                assert_eq!(made.unwrap(), State::Ready);
                break;
            }
            faults += 1;
            assert!(matches!(made, Err(ChangeError::Step { undo: None, .. })), "step {step}: {made:?}");
            eventually("the panel is taken down", async || {
                let left: Vec<String> = lab.namespaces().into_iter().filter(|n| n.starts_with("podwire")).collect();
                if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
            })
            .await;
            empty.assert_same(&lab.snapshot());
        }
        assert!(faults > 20, "{faults} steps is no apply");
    });
}

#[test]
fn every_step_of_a_change_fails_once_and_the_wires_are_those_before() {
    private(async |lab| {
        let [a, b, _c] = lab.pods(["a", "b", "c"]);
        let left = Arc::new(AtomicUsize::new(NEVER));
        let engine = engine(&left).await;
        for step in 0.. {
            assert_eq!(apply(&engine, first()).await.unwrap(), State::Ready);
            left.store(step, Ordering::SeqCst);
            let made = apply(&engine, second()).await;
            if left.swap(NEVER, Ordering::SeqCst) != NEVER {
                assert_eq!(made.unwrap(), State::Ready);
                break;
            }
            assert!(matches!(made, Err(ChangeError::Step { undo: None, .. })), "step {step}: {made:?}");
            let view = engine.get(&key()).await.unwrap();
            assert_eq!((view.state(), &view.intent.spec), (State::Ready, &first()), "step {step}");
            a.ping(b.address("net1"));
            a.ping(b.address("net2"));
        }
        assert!(!a.reaches("10.0.0.3".parse().unwrap()), "the change moved it to another bridge");
    });
}
