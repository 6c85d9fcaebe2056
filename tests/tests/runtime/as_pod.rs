//! The agent itself as a pod on a real containerd: from an image, with what the manifest of the DaemonSet gives it.

use std::{fs, path::Path, time::Duration};

use podwire_client::{Attachment, Bridge, Client, Topology};
use podwire_proto::v1::State;
use podwire_tests::{
    capabilities::{self, always, mask, names},
    condition::{eventually, holds},
    containerd::{Containerd, Version},
    daemonset::{Container, Propagation},
    elements::state,
    lab::{
        Lab,
        agent::{SECCOMP, seccomp},
    },
    manifest,
    private::{measured, skip},
};

use crate::with_containerd;

/// Where the manifest has the agent's socket on the node.
pub(crate) const SOCKET: &str = "unix:///run/podwire/agent.sock";

const PANEL: &str = "podwire.lessons.12";

/// The agent's container as the overlay for containerd has it. `None`: nothing here renders it.
fn manifest() -> Option<Container> {
    let documents = manifest::kustomize("kustomize/overlays/containerd").unwrap();
    if documents.is_none() {
        skip("neither kustomize nor kubectl is on the PATH");
    }
    let container = Container::read(&documents?, "agent", "node-1").unwrap();
    assert!(container.privileged && container.host_network && container.host_pid && container.read_only_root);
    assert!(container.mounts.iter().any(|mount| mount.propagation == Propagation::Bidirectional));
    Some(container)
}

pub(crate) fn with_image(version: Version, test: impl AsyncFnOnce(&Lab, &mut Containerd, &Container)) {
    let Some(mut container) = manifest() else { return };
    container.environment.push((SECCOMP.to_owned(), seccomp()));
    with_containerd(version, async |lab, containerd| {
        containerd.import_agent(&container.image).unwrap();
        test(lab, containerd, &container).await;
    });
}

/// One bridge between the pods `a` and `b`.
fn lesson() -> Topology {
    Topology::new("lessons", "12")
        .bridge(Bridge::new("lan").subnet("10.0.0.0/24"))
        .attach(Attachment::new("pa").pod("a").interface("net1").bridge("lan"))
        .attach(Attachment::new("pb").pod("b").interface("net1").bridge("lan"))
}

/// The mounts in a text of proc_pid_mountinfo(5) whose files can be written, but for those that a kernel or a runtime makes for every
/// privileged container, and those below the runtime's folder: Kubernetes' `readOnly` is for the folder's own mount and not for the
/// mounts below it. Namespaces under their names are no files.
fn writable(mounts: &str) -> Vec<&str> {
    let own = ["proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "nsfs"];
    let files = mounts.lines().filter_map(|line| {
        let (mount, rest) = line.split_once(" - ")?;
        let (point, options) = (mount.split(' ').nth(4)?, mount.split(' ').nth(5)?);
        let kind = rest.split(' ').next()?;
        let in_memory = kind == "tmpfs" && ["/dev", "/sys"].iter().any(|top| Path::new(point).starts_with(top));
        let of_runtime = point.starts_with("/run/containerd/");
        let own = own.contains(&kind) || in_memory || of_runtime;
        (options.split(',').next() == Some("rw") && !own).then_some(point)
    });
    let mut files: Vec<&str> = files.collect();
    files.sort_unstable();
    files
}

/// The whole life of the DaemonSet's pod, updates included.
fn lives(version: Version) {
    with_image(version, async |lab, containerd, container| {
        let mut pod = containerd.host_pod("podwire-agent-x", container).await.unwrap();
        let first = containerd.launch(&mut pod, container, None).await.unwrap();
        first.becomes_well(container).await;
        let (_, pid) = first.status().await.unwrap();
        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
        let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert!(root.split(' ').nth(5).unwrap().starts_with("ro"), "{root}");

        assert_eq!(writable(&mounts), ["/run/netns", "/run/podwire", "/var/lib/podwire"], "{mounts}");

        // As the documentation has it: kubectl exec daemonset/podwire-agent -- podwire doctor.
        let doctor = ["podwire", "doctor"].map(str::to_owned);
        let (code, said) = first.exec(&doctor, Duration::from_secs(10)).await.unwrap();
        assert!(code == 0 && said.contains("all is well"), "{code} {said}");

        let ids = [containerd.pod("a").await, containerd.pod("b").await];
        let [a, b] = [containerd.netns(&ids[0]).await, containerd.netns(&ids[1]).await];
        let client = Client::connect(SOCKET).await.unwrap();
        assert_eq!(client.get_node().await.unwrap().node_name, "node-1", "by the manifest's environment");
        let placed = client.apply(lesson()).until_ready().await.unwrap();
        assert_eq!(state(&placed), State::Ready);
        a.ping(b.address("net1"));
        assert_eq!(lab.link_names(PANEL).len(), 3, "the node sees the panel: a bridge and two ports");
        capabilities::assert_holds_only(pid, mask(always()));

        let (code, took) = first.stop(container.grace).await.unwrap();
        assert_eq!(code, 0, "{}", first.log());
        assert!(took < container.grace, "{took:?}");
        assert!(first.log().contains("SIGTERM"), "{}", first.log());
        measured(&format!("{version:?} containerd: the agent's container left {took:?} after it was asked"));
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
        a.ping(b.address("net1"));
        assert_eq!(lab.panels(), [PANEL]);

        // As kubelet does it: another container in the same sandbox.
        let mac = a.link("net1")["address"].clone();
        let second = containerd.launch(&mut pod, container, None).await.unwrap();
        second.becomes_well(container).await;
        let client = Client::connect(SOCKET).await.unwrap();
        eventually("the lesson is READY again", async || {
            let now = client.get_topology("lessons", "12").await.map_err(|error| error.to_string())?;
            holds(state(&now) == State::Ready, format!("{now:?}"))
        })
        .await;
        a.ping(b.address("net1"));
        assert_eq!(a.link("net1")["address"], mac, "the same interface");
        b.ip("link del net1");
        eventually("it heals", async || holds(b.interfaces() == ["eth0", "net1"], "not yet")).await;
        client.delete_topology("lessons", "12").await.unwrap();
        assert_eq!(a.interfaces(), ["eth0"]);
        assert!(!lab.panels().contains(&PANEL.to_owned()), "it may be parked, under another name");
        assert_eq!(second.stop(container.grace).await.unwrap().0, 0, "{}", second.log());
        assert_eq!(lab.panels(), [""; 0], "what was parked goes with the agent");
    });
}

#[test]
fn as_the_manifest_has_it_the_agent_serves_and_leaves_and_its_wires_stay() {
    lives(Version::System);
}

#[test]
fn so_it_does_on_the_newest_containerd() {
    lives(Version::Newest);
}

#[test]
fn the_pod_of_a_second_daemonset_says_so_and_leaves() {
    with_image(Version::System, async |_, containerd, container| {
        let mut pod = containerd.host_pod("podwire-agent-x", container).await.unwrap();
        let first = containerd.launch(&mut pod, container, None).await.unwrap();
        first.becomes_well(container).await;
        let mut other = containerd.host_pod("other-agent-y", container).await.unwrap();
        let second = containerd.launch(&mut other, container, None).await.unwrap();
        assert_eq!(second.ended().await, 1, "{}", second.log());
        assert!(second.log().contains("another agent listens there"), "{}", second.log());
        first.becomes_well(container).await;

        // With a state and a socket of its own it would still plug the same pods.
        let mut elsewhere = container.clone();
        for (name, value) in [("STATE_DIR", "/run/podwire/other"), ("LISTEN", "unix:///run/podwire/other.sock")] {
            elsewhere.environment.push((format!("PODWIRE_{name}"), value.to_owned()));
        }
        let third = containerd.launch(&mut other, &elsewhere, None).await.unwrap();
        assert_eq!(third.ended().await, 1, "{}", third.log());
        assert!(third.log().contains("another agent works with /run/netns"), "{}", third.log());
        first.becomes_well(container).await;
        assert_eq!(first.stop(container.grace).await.unwrap().0, 0, "{}", first.log());
    });
}

/// As `docs/operations.md` has it: where the state cannot be read, the agent's own container with another command.
#[test]
fn recover_and_purge_run_as_pods_with_what_the_agent_has() {
    with_image(Version::System, async |lab, containerd, container| {
        let mut pod = containerd.host_pod("podwire-agent-x", container).await.unwrap();
        let agent = containerd.launch(&mut pod, container, None).await.unwrap();
        agent.becomes_well(container).await;
        let ids = [containerd.pod("a").await, containerd.pod("b").await];
        let [a, b] = [containerd.netns(&ids[0]).await, containerd.netns(&ids[1]).await];
        Client::connect(SOCKET).await.unwrap().apply(lesson()).until_ready().await.unwrap();
        let mut once = container.clone();
        once.command.extend(["recover", "--yes"].map(str::to_owned));
        let beside = containerd.launch(&mut pod, &once, None).await.unwrap();
        assert_eq!(beside.ended().await, 1, "{}", beside.log());
        assert!(beside.log().contains("an agent runs: stop it first"), "{}", beside.log());
        assert_eq!(agent.stop(container.grace).await.unwrap().0, 0, "{}", agent.log());

        fs::write("/var/lib/podwire/intents.redb", "damaged").unwrap();
        let recovering = containerd.launch(&mut pod, &once, None).await.unwrap();
        assert_eq!(recovering.ended().await, 0, "{}", recovering.log());
        let agent = containerd.launch(&mut pod, container, None).await.unwrap();
        agent.becomes_well(container).await;
        let found = Client::connect(SOCKET).await.unwrap().get_topology("lessons", "12").await.unwrap();
        assert_eq!((state(&found), found.attachments.len()), (State::Ready, 2), "{found:?}");
        a.ping(b.address("net1"));
        assert_eq!(agent.stop(container.grace).await.unwrap().0, 0, "{}", agent.log());

        once.command = [&container.command[..], &["purge", "--yes"].map(str::to_owned)].concat();
        let purging = containerd.launch(&mut pod, &once, None).await.unwrap();
        assert_eq!(purging.ended().await, 0, "{}", purging.log());
        assert_eq!((a.interfaces(), lab.panels()), (vec!["eth0".to_owned()], vec![]));
    });
}

#[test]
fn with_all_capabilities_of_its_table_it_runs_and_without_any_one_it_says_which() {
    with_image(Version::System, async |lab, containerd, container| {
        let mut pod = containerd.host_pod("podwire-agent-x", container).await.unwrap();
        for missing in always() {
            let rest: Vec<&str> = names().into_iter().filter(|name| *name != missing.name).collect();
            let agent = containerd.launch(&mut pod, container, Some(&rest)).await.unwrap();
            assert_eq!(agent.ended().await, 1, "{}", agent.log());
            let log = agent.log();
            assert!(log.contains(&format!("{} is missing", missing.name)), "{log}");
            assert_eq!(log.matches("is missing").count(), 1, "{log}");
            assert!(!Path::new("/run/podwire/agent.sock").exists(), "it never listened");
        }
        assert_eq!(lab.panels(), [""; 0]);
        // The same container with the one that was missing: nothing else was.
        let agent = containerd.launch(&mut pod, container, Some(&names())).await.unwrap();
        agent.becomes_well(container).await;
        capabilities::assert_holds_only(agent.status().await.unwrap().1, mask(always()));
        let (code, took) = agent.stop(container.grace).await.unwrap();
        assert!(code == 0 && took < Duration::from_secs(20), "{code} {took:?} {}", agent.log());
    });
}
