//! A disk that is full: a change is refused, and the state before it stands, on the disk as in the kernel.

use std::{fs, path::PathBuf};

use nix::mount::{MsFlags, mount};
use podwire_proto::v1::{CreateBridgeRequest, DeleteTopologyRequest, DetachRequest, State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{lan, link, nic, nic_at, plug, state, topology},
    lab::{
        Lab,
        agent::{AgentBuilder, refused},
        snapshot::Snapshot,
    },
    verdict::reason,
};
use tonic::{Code, Status};

use crate::{ownership::attach, private};

/// A file system of its own for the state.
fn small_disk(lab: &Lab) -> PathBuf {
    let at = lab.directory().join("disk");
    fs::create_dir(&at).unwrap();
    mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), Some("size=8m")).unwrap();
    at
}

/// Takes all the room that is left.
fn fill(disk: &std::path::Path) {
    let ballast = disk.join("ballast");
    let mut piece = 1 << 20;
    while piece > 0 {
        let mut bytes = fs::read(&ballast).unwrap_or_default();
        bytes.resize(bytes.len() + piece, 7);
        if fs::write(&ballast, &bytes).is_err() {
            bytes.truncate(bytes.len() - piece);
            fs::write(&ballast, &bytes).unwrap();
            piece /= 16;
        }
    }
}

fn free(disk: &std::path::Path) {
    fs::remove_file(disk.join("ballast")).unwrap();
}

fn agent(lab: &Lab) -> AgentBuilder {
    lab.agent().with("--state-dir", lab.directory().join("disk/state").display().to_string())
}

fn lesson(size: usize) -> Topology {
    let mut wanted = topology("12");
    wanted.bridges = vec![lan("lan", "10.0.0.0/16")];
    wanted.links = vec![link("w", nic_at("a", "net1", &["10.7.0.1/30"]), nic_at("b", "net1", &["10.7.0.2/30"]))];
    // Of pods that are not there: they fill the store and no panel.
    wanted.attachments =
        (0..size).map(|at| plug(&format!("p{at}"), nic(&format!("pod-{at}"), "net1"), "lan")).collect();
    wanted.attachments.push(plug("pa", nic("a", "net2"), "lan"));
    wanted
}

/// Refused with words that help, and nothing has changed.
async fn refuses(lab: &Lab, before: &Snapshot, call: &str, status: Status) {
    let told = (status.code(), reason(&status));
    assert_eq!(told, (Code::ResourceExhausted, "STORE_FULL".to_owned()), "{call}: {status}");
    let disk = lab.directory().join("disk").display().to_string();
    for words in [&format!("the file system at {disk} is full")[..], "free space", "No space left on device"] {
        assert!(status.message().contains(words), "{call}: `{words}` is not in {status}");
    }
    eventually(call, async || {
        let now = lab.snapshot().without_indexes();
        holds(now == *before, before.difference(&now))
    })
    .await;
}

#[test]
fn a_full_disk_refuses_changes_and_the_state_before_stands() {
    private(async |lab| {
        let disk = small_disk(lab);
        lab.pods(["a", "b"]);
        let mut running = agent(lab).start().await;
        let one = running.apply(lesson(100)).await.unwrap();
        let single =
            || CreateBridgeRequest { bridge: Some(lan("lone", "10.5.0.0/24")), ..CreateBridgeRequest::default() };
        running.bridges().create_bridge(single()).await.unwrap();
        let exact = lab.snapshot();
        let before = exact.without_indexes();
        fill(&disk);
        let bigger = lesson(800);
        refuses(lab, &before, "Apply", refused(running.apply(bigger.clone())).await).await;
        exact.assert_same(&lab.snapshot());
        let other = Topology { name: "13".into(), links: vec![], ..lesson(0) };
        let mut other_pods = other.clone();
        other_pods.attachments = vec![plug("pb", nic("b", "net9"), "lan")];
        refuses(lab, &before, "Apply anew", refused(running.apply(other_pods.clone())).await).await;
        refuses(lab, &before, "Attach", refused(attach(&running, plug("s", nic("b", "net7"), "lone"))).await).await;
        let delete = DeleteTopologyRequest {
            namespace: "lessons".into(),
            name: "12".into(),
            generation: 5,
            ..DeleteTopologyRequest::default()
        };
        let deleted = running.topologies().delete_topology(delete.clone()).await.unwrap_err();
        refuses(lab, &before, "Delete", deleted).await;
        let absent = DeleteTopologyRequest { name: "none".into(), ..delete.clone() };
        let deleted = running.topologies().delete_topology(absent).await.unwrap_err();
        refuses(lab, &before, "Delete of none", deleted).await;
        let absent =
            |generation| DetachRequest { topology: "14".into(), name: "p".into(), generation, ..Default::default() };
        let detached = running.attachments().detach(absent(50)).await.unwrap_err();
        refuses(lab, &before, "Detach of none", detached).await;
        let detached = running.attachments().detach(absent(4)).await.unwrap_err();
        refuses(lab, &before, "what was refused left no generation behind", detached).await;
        // A repeat writes nothing.
        assert_eq!(running.apply(lesson(100)).await.unwrap().generation, one.generation);
        // It starts as well, crashed or not, and has what was acknowledged.
        for in_peace in [true, false, false] {
            if in_peace {
                running.terminate().await;
            } else {
                running.kill();
            }
            running = agent(lab).start().await;
            let now = running.get("12").await.unwrap();
            assert_eq!((now.generation, now.attachments.len(), now.links.len()), (0, 101, 1));
            eventually("all is as before", async || {
                let now = lab.snapshot().without_indexes();
                holds(now == before, before.difference(&now))
            })
            .await;
            let status = refused(running.apply(bigger.clone())).await;
            assert_eq!(reason(&status), "STORE_FULL", "{status}");
        }
        free(&disk);
        assert_eq!(running.apply(bigger).await.unwrap().attachments.len(), 801);
        assert_eq!(state(&running.apply(other_pods).await.unwrap()), State::Ready);
        running.topologies().delete_topology(delete).await.unwrap();
        running.kill();
        running = agent(lab).start().await;
        assert_eq!(refused(running.get("12")).await.code(), Code::NotFound);
        assert_eq!(state(&running.get("13").await.unwrap()), State::Ready);
    });
}

#[test]
fn a_node_that_was_started_anew_with_a_full_disk_has_its_wires() {
    private(async |lab| {
        let disk = small_disk(lab);
        lab.pods(["a", "b"]);
        let mut running = agent(lab).start().await;
        running.apply(lesson(0)).await.unwrap();
        let before = lab.snapshot().without_indexes();
        fill(&disk);
        running.kill();
        lab.reboot();
        lab.pods(["a", "b"]);
        running = agent(lab).start().await;
        eventually("all is wired as before", async || {
            let now = lab.snapshot().without_indexes();
            holds(now == before, before.difference(&now))
        })
        .await;
        assert_eq!(state(&running.get("12").await.unwrap()), State::Ready);
    });
}
