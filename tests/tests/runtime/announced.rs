//! Sandboxes that are announced before the runtime lists them, at the source of pods itself.

use std::collections::BTreeMap;

use podwire_agent::{
    domain::{announcement::AnnouncedSandbox, intent::PodKey, observed::SandboxId, spec::PodOwner},
    kernel::{NetnsDir, PodDoor},
    pods::{CriPods, PodChange, Pods, Wanted},
};
use podwire_tests::condition::{PATIENCE, eventually, holds};
use tokio_stream::StreamExt;

use crate::{
    fake::{self, Fake},
    private,
};

fn announced(id: &str, netns: &str) -> AnnouncedSandbox {
    AnnouncedSandbox {
        namespace: "lessons".parse().unwrap(),
        pod: "a".parse().unwrap(),
        uid: "u-1".parse().ok(),
        sandbox_id: SandboxId::new(id),
        netns_path: format!("/run/netns/{netns}").into(),
    }
}

/// How the pod `a` is found: its sandbox, or why there is none. Asked from where blocking is allowed, as the engine does.
async fn find(pods: &std::sync::Arc<CriPods>) -> Result<String, String> {
    let owner = PodOwner::Pod("a".parse().unwrap());
    let wanted = Wanted { namespace: "lessons".parse().unwrap(), owner, uid: None };
    let pods = std::sync::Arc::clone(pods);
    let found = tokio::task::spawn_blocking(move || pods.find(&[wanted])).await.unwrap().unwrap();
    let mut doors: BTreeMap<PodKey, PodDoor> = found;
    match doors.remove(&PodKey::new("lessons/a")).unwrap() {
        PodDoor::Open(netns, sandbox) => {
            Ok(format!("{} {}", netns.path(), sandbox.as_str().split('-').next().unwrap()))
        }
        PodDoor::Absent(reason) => Err(reason),
        PodDoor::Refused(refusal) => Err(refusal.reason.to_owned()),
    }
}

#[test]
fn an_announced_sandbox_is_the_pod_until_it_is_withdrawn_or_the_runtime_has_a_newer_one() {
    private(async |lab| {
        lab.pods(["old", "new", "newer"]);
        let fake = Fake::serve();
        let pods = std::sync::Arc::new(CriPods::start(Some(fake::SOCKET.into()), NetnsDir::new("/run/netns")));
        let mut changes = pods.changes().unwrap();
        let key = PodKey::new("lessons/a");
        let mut next =
            async || tokio::time::timeout(PATIENCE, changes.next()).await.expect("a change in time").unwrap();
        // Only now: what came before somebody listened is told to nobody.
        fake.ready("old", "a", "/run/netns/old", 1);
        assert_eq!(find(&pods).await, Ok("/run/netns/old old".to_owned()));
        assert_eq!(next().await, PodChange::Appeared(key.clone()));

        pods.announce(&announced("new", "new")).unwrap();
        assert_eq!(next().await, PodChange::Appeared(key.clone()));
        assert_eq!(find(&pods).await, Ok("/run/netns/new new".to_owned()), "though the runtime lists the old one");
        assert_eq!(pods.withdraw(&SandboxId::new("old")), None, "it was never announced");
        assert_eq!(find(&pods).await, Ok("/run/netns/new new".to_owned()));
        assert_eq!(pods.withdraw(&SandboxId::new("new")), Some(key.clone()));
        assert_eq!(next().await, PodChange::Appeared(key.clone()));
        assert_eq!(find(&pods).await, Ok("/run/netns/old old".to_owned()));

        pods.announce(&announced("new", "new")).unwrap();
        fake.ready("newer", "a", "/run/netns/newer", i64::MAX);
        assert_eq!(find(&pods).await, Ok("/run/netns/newer newer".to_owned()));
        fake.sandboxes().clear();
        eventually("it is gone", async || holds(find(&pods).await.is_err(), "not yet")).await;
    });
}

#[test]
fn an_announcement_tells_the_path_that_the_runtime_does_not() {
    private(async |lab| {
        lab.pod("cni-a");
        let fake = Fake::serve();
        fake.add("one", "a", 0, 1, None);
        let pods = std::sync::Arc::new(CriPods::start(Some(fake::SOCKET.into()), NetnsDir::new("/run/netns")));
        eventually("it is listed", async || holds(find(&pods).await == Err("NO_NETNS_PATH".into()), "not yet")).await;
        pods.announce(&announced("one", "cni-a")).unwrap();
        for _ in 0..3 {
            assert_eq!(find(&pods).await, Ok("/run/netns/cni-a one".to_owned()), "before and after it is listed");
        }
        lab.ip("netns del cni-a");
        assert!(find(&pods).await.is_err());
    });
}
