use super::*;
use crate::domain::{
    announcement::{AnnouncedSandbox, Announcement},
    observed::SandboxId,
};

/// A path that is there.
const HERE: &str = "/proc/self/ns/net";

fn listed(id: &str, pod: &str, ready: bool, created_at: i64) -> PodSandbox {
    let labels = [("name", pod), ("namespace", "lessons"), ("uid", "u")];
    let labels = labels.map(|(label, value)| (format!("io.kubernetes.pod.{label}"), value.to_owned()));
    PodSandbox { id: id.to_owned(), state: i32::from(!ready), created_at, labels: labels.into() }
}

fn current(cache: &Cache, pod: &str) -> Option<(String, Standing)> {
    let current = cache.current(&"lessons".parse().unwrap(), &pod.parse().unwrap())?;
    Some((current.id, current.standing))
}

fn netns(path: &str) -> Standing {
    Standing::Netns(path.into())
}

fn key_of(pod: &str) -> PodKey {
    PodKey::new(format!("lessons/{pod}"))
}

/// A pod whose sandbox is READY and whose place is known.
fn one(id: &str, path: &str) -> Cache {
    let mut cache = Cache::default();
    cache.listed(&[listed(id, "bb1", true, 1)]);
    assert_eq!(cache.unplaced(), [id]);
    cache.place(id.to_owned(), Place::Netns(path.into()));
    assert_eq!(cache.news(), [PodChange::Appeared(key_of("bb1"))]);
    cache
}

#[test]
fn of_several_sandboxes_the_newest_ready_one_is_current() {
    let mut cache = Cache::default();
    let list = [("a", true, 1), ("b", true, 3), ("c", true, 2), ("d", false, 9)];
    cache.listed(&list.map(|(id, ready, at)| listed(id, "bb1", ready, at)));
    assert_eq!(current(&cache, "bb1"), Some(("b".to_owned(), Standing::Unasked)));
    assert_eq!(cache.unplaced(), ["b"], "the others are not asked about");
    cache.listed(&[listed("d", "bb1", false, 9)]);
    assert_eq!(current(&cache, "bb1"), Some(("d".to_owned(), Standing::NotReady)));
    assert_eq!(current(&cache, "bb2"), None);
}

#[test]
fn a_pod_appears_when_its_place_is_known_and_each_change_is_told_once() {
    let mut cache = Cache::default();
    cache.listed(&[listed("a", "bb1", true, 1)]);
    assert_eq!(cache.news(), []);
    cache.place("a".to_owned(), Place::Netns(HERE.into()));
    assert_eq!((cache.news(), cache.news()), (vec![PodChange::Appeared(key_of("bb1"))], vec![]));
    cache.listed(&[listed("a", "bb1", true, 1), listed("b", "bb1", true, 2)]);
    cache.place("b".to_owned(), Place::Netns(HERE.into()));
    assert_eq!(cache.news(), [PodChange::Appeared(key_of("bb1"))], "it has a new sandbox");
    cache.listed(&[listed("b", "bb1", false, 2)]);
    assert_eq!(cache.news(), [PodChange::Gone(key_of("bb1"))]);
    cache.listed(&[]);
    assert_eq!(cache.news(), []);
}

#[test]
fn a_status_is_asked_for_once() {
    let mut cache = one("a", HERE);
    cache.listed(&[listed("a", "bb1", true, 1)]);
    assert!(cache.unplaced().is_empty());
    cache.listed(&[]);
    cache.listed(&[listed("a", "bb1", true, 1)]);
    assert_eq!(cache.unplaced(), ["a"], "what was not listed was forgotten");
}

#[test]
fn a_removed_namespace_ends_its_sandbox_before_the_runtime_says_so() {
    let mut cache = one("a", "/nowhere/a");
    cache.look_for_lost();
    assert_eq!(cache.news(), [PodChange::Gone(key_of("bb1"))]);
    cache.listed(&[listed("a", "bb1", true, 1)]);
    assert_eq!(current(&cache, "bb1"), Some(("a".to_owned(), Standing::Dead)), "though it is still called READY");
    assert_eq!(cache.news(), []);
}

#[test]
fn an_event_ends_a_sandbox_and_that_of_a_container_ends_none() {
    let mut cache = one("a", "/nowhere/a");
    cache.ended("some-container");
    assert_eq!(cache.news(), []);
    cache.ended("a");
    assert_eq!(cache.news(), [PodChange::Gone(key_of("bb1"))]);
}

#[test]
fn while_the_runtime_is_away_nobody_is_gone() {
    let mut cache = one("a", HERE);
    cache.away = Some(Arc::new(RuntimeError::NotAsked));
    assert_eq!((cache.news(), current(&cache, "bb1")), (vec![], Some(("a".to_owned(), netns(HERE)))));
}

#[test]
fn an_announced_sandbox_is_current_before_it_is_listed_and_tells_the_path_that_the_runtime_does_not() {
    let mut cache = one("old", HERE);
    let sandbox = AnnouncedSandbox {
        namespace: "lessons".parse().unwrap(),
        pod: "bb1".parse().unwrap(),
        uid: None,
        sandbox_id: SandboxId::new("new"),
        netns_path: HERE.into(),
    };
    cache.announced.announce(&Announcement { sandbox, cookie: 0, boot_id: String::new(), at: 5 });
    assert_eq!(cache.news(), [PodChange::Appeared(key_of("bb1"))]);
    assert_eq!(current(&cache, "bb1"), Some(("new".to_owned(), netns(HERE))));
    cache.listed(&[listed("old", "bb1", true, 1), listed("new", "bb1", true, 6)]);
    cache.place("new".to_owned(), Place::Untold("as cri-dockerd"));
    assert_eq!(current(&cache, "bb1"), Some(("new".to_owned(), netns(HERE))));
    cache.announced.withdraw("new");
    assert_eq!(current(&cache, "bb1"), Some(("new".to_owned(), Standing::Untold("as cri-dockerd"))));
}

#[test]
fn what_is_no_pod_is_skipped_and_counted() {
    let mut cache = Cache::default();
    let strange = PodSandbox { labels: HashMap::new(), ..listed("x", "", true, 1) };
    cache.listed(&[listed("a", "bb1", true, 1), strange, listed("b", "../bb1", true, 1)]);
    assert_eq!((cache.skipped, cache.pods().len()), (2, 1));
}
