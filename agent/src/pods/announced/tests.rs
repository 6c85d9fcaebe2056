use super::*;

fn sandbox(pod: &str, id: &str, path: &str) -> AnnouncedSandbox {
    AnnouncedSandbox {
        namespace: Namespace::default(),
        pod: pod.parse().unwrap(),
        uid: None,
        sandbox_id: SandboxId::new(id),
        netns_path: path.into(),
    }
}

/// As after announcements, whatever is at their paths by now.
fn with(sandboxes: &[AnnouncedSandbox]) -> AnnouncedPods {
    let pods = AnnouncedPods::default();
    for each in sandboxes {
        pods.all().announce(&Announcement { sandbox: each.clone(), cookie: 0, boot_id: String::new(), at: 0 });
    }
    pods
}

#[test]
fn what_is_no_namespace_of_a_pod_is_not_announced() {
    let pods = AnnouncedPods::default();
    for (path, expected) in
        [("/proc/self/ns/net", "HOST_NETWORK"), ("/proc/self/status", "NOT_A_NETNS"), ("/nowhere/at/all", "NO_NETNS")]
    {
        match pods.announce(&sandbox("a", "1", path)) {
            Err(AnnounceError::Refused(refusal)) => assert_eq!(refusal.reason, expected, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert!(pods.announced().is_empty());
}

#[test]
fn a_sandbox_is_withdrawn_by_itself_and_once() {
    let pods = with(&[sandbox("one", "old", "/nowhere"), sandbox("one", "new", "/nowhere")]);
    let key = pods.key(&Namespace::default(), &Wanted::pod_of(&sandbox("one", "", "/")).owner);
    assert_eq!(pods.withdraw(&SandboxId::new("old")), Some(key.clone()));
    assert_eq!(pods.announced(), [SandboxId::new("new")]);
    assert_eq!(pods.withdraw(&SandboxId::new("old")), None);
    assert_eq!(pods.withdraw(&SandboxId::new("new")), Some(key));
}

#[test]
fn a_sandbox_whose_namespace_is_gone_is_forgotten() {
    let gone = sandbox("one", "1", "/nowhere");
    let pods = with(std::slice::from_ref(&gone));
    let found = pods.find(&[Wanted::pod_of(&gone)]).unwrap();
    assert!(matches!(found.values().next(), Some(PodDoor::Absent(_))), "{found:?}");
    assert!(pods.announced().is_empty());
}

#[test]
fn another_uid_is_refused_and_so_is_one_that_nobody_knows() {
    let known = AnnouncedSandbox { uid: Some("u-2".parse().unwrap()), ..sandbox("two", "2", "/proc/self/ns/net") };
    let pods = with(&[sandbox("one", "1", "/proc/self/ns/net"), known]);
    for pod in ["one", "two"] {
        let wanted = Wanted { uid: Some("u-1".parse().unwrap()), ..Wanted::pod_of(&sandbox(pod, "1", "/")) };
        let found = pods.find(&[wanted]).unwrap();
        let Some(PodDoor::Refused(refusal)) = found.values().next() else { panic!("{found:?}") };
        assert_eq!(refusal.reason, "UID_MISMATCH", "{pod}");
        assert_eq!(refusal.message.contains("u-2"), pod == "two", "{}", refusal.message);
    }
}

#[test]
fn each_pod_is_listed_once() {
    let here = |pod, id| sandbox(pod, id, "/proc/self/ns/net");
    let pods = with(&[here("one", "1"), here("two", "2"), here("one", "3")]).list().unwrap();
    let names: Vec<_> = pods.iter().map(|pod| (pod.name.as_str(), pod.problem.is_some())).collect();
    assert_eq!(names, [("one", true), ("two", true)], "with the node's own namespace, which cannot be plugged");
}
