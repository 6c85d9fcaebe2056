//! What an announcement waits for, with a source of pods that sees a sandbox later than it was announced.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use podwire_agent::{
    domain::{
        announcement::{AnnouncedSandbox, Announcement},
        intent::PodKey,
        name::{Namespace, PodName},
        observed::SandboxId,
        quota::Quota,
        spec::{PodOwner, TopologySpec},
        status::State,
    },
    kernel::{LinuxKernel, NetnsDir, PodDoor},
    panel::{Apply, ChangeError, Engine, Fence},
    pods::{AnnounceError, AnnouncedPods, Pod, PodChange, PodChanges, Pods, PodsError, Wanted},
    store::MemoryStore,
};
use podwire_tests::condition::{eventually, holds};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::UnboundedReceiverStream;

use crate::{
    faults::{bridge, config, key, plug},
    private,
};

/// Announcements that cannot be found until it sees them.
struct Late {
    pods: AnnouncedPods,
    sees: AtomicBool,
    looked: AtomicUsize,
    changes: Mutex<Option<mpsc::UnboundedReceiver<PodChange>>>,
}

impl Pods for Late {
    fn kind(&self) -> &'static str {
        "late"
    }

    fn key(&self, namespace: &Namespace, owner: &PodOwner) -> PodKey {
        self.pods.key(namespace, owner)
    }

    fn find(&self, wanted: &[Wanted]) -> Result<BTreeMap<PodKey, PodDoor>, PodsError> {
        self.looked.fetch_add(1, Ordering::SeqCst);
        if self.sees.load(Ordering::SeqCst) { self.pods.find(wanted) } else { AnnouncedPods::default().find(wanted) }
    }

    fn list(&self) -> Result<Vec<Pod>, PodsError> {
        self.pods.list()
    }

    fn changes(&self) -> Result<PodChanges, PodsError> {
        Ok(Box::pin(UnboundedReceiverStream::new(self.changes.lock().unwrap().take().unwrap())))
    }

    fn announce(&self, sandbox: &AnnouncedSandbox) -> Result<Announcement, AnnounceError> {
        self.pods.announce(sandbox)
    }
}

fn sandbox() -> AnnouncedSandbox {
    AnnouncedSandbox {
        namespace: key().namespace,
        pod: "a".parse::<PodName>().unwrap(),
        uid: None,
        sandbox_id: SandboxId::new("1"),
        netns_path: "/run/netns/sandbox-a".into(),
    }
}

#[test]
fn it_waits_for_the_pods_own_interfaces_until_its_deadline() {
    private(async |lab| {
        let pod = lab.pod("sandbox-a");
        let (sender, receiver) = mpsc::unbounded_channel();
        let changes = Mutex::new(Some(receiver));
        let late = Arc::new(Late { pods: AnnouncedPods::default(), sees: false.into(), looked: 0.into(), changes });
        let kernel = Arc::new(LinuxKernel::new(NetnsDir::new("/run/netns")).unwrap());
        let store = Arc::new(MemoryStore::default());
        let pods: Arc<dyn Pods> = Arc::<Late>::clone(&late);
        let engine = Engine::start_with(config(), kernel, pods, store, None).await.unwrap();
        // The pod `b` never comes, and nobody waits for it.
        let spec = TopologySpec {
            bridges: vec![bridge("lan", "10.0.0.0/24")],
            attachments: vec![plug("pa", "a", "net1", "lan"), plug("pb", "b", "net1", "lan")],
            ..TopologySpec::empty(key())
        };
        engine.apply(Apply { spec, fence: Fence::default(), quota: Quota::default(), until: None }).await.unwrap();

        let started = Instant::now();
        let soon = started + Duration::from_millis(200);
        match engine.plug_sandbox(sandbox(), Some(soon)).await {
            Err(ChangeError::SandboxNotReady { waiting, .. }) => {
                let seen: Vec<_> = waiting.iter().map(|each| (each.interface.as_str(), each.state)).collect();
                assert_eq!(seen.len(), 1, "its own and nobody else's: {waiting:?}");
                assert_eq!(seen[0].1, State::Pending, "{waiting:?}");
                assert!(seen[0].0.ends_with("/pa"), "{waiting:?}");
            }
            other => panic!("{other:?}"),
        }
        assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());

        let before = late.looked.load(Ordering::SeqCst);
        let waiting = {
            let engine = engine.clone();
            let until = Instant::now() + Duration::from_secs(60);
            tokio::spawn(async move { engine.plug_sandbox(sandbox(), Some(until)).await })
        };
        eventually("it has looked and found nothing", async || {
            holds(late.looked.load(Ordering::SeqCst) > before, "not yet")
        })
        .await;
        late.sees.store(true, Ordering::SeqCst);
        let owner = PodOwner::Pod("a".parse().unwrap());
        sender.send(PodChange::Appeared(late.key(&key().namespace, &owner))).unwrap();
        let plugged = waiting.await.unwrap().unwrap();
        assert_eq!(plugged.views.len(), 1);
        assert_eq!(pod.interfaces(), ["net1"]);

        engine.leave();
        engine.shutdown().await;
    });
}
