//! Pods that go while they are plugged.

use std::{fs, time::Duration};

use podwire_proto::v1::State;
use podwire_tests::{
    condition::{eventually, holds},
    containerd::{Sandbox, Version},
    lab::agent::Agent,
};

use crate::{agent, lan_of, until, with_containerd};

const ROUNDS: u32 = 100;

/// What the agent's descriptors lead to.
fn descriptors(agent: &Agent) -> Vec<String> {
    let folder = format!("/proc/{}/fd", agent.pid());
    let links = fs::read_dir(folder).unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    links.map(|target| target.display().to_string()).collect()
}

#[test]
fn a_pod_deleted_while_it_is_plugged_a_hundred_times_leaves_nothing() {
    with_containerd(Version::System, async |lab, containerd| {
        let agent = agent(lab).await;
        containerd.pod("a").await;
        let first = containerd.pod("b").await;
        agent.apply(lan_of(&["a", "b"])).await.unwrap();
        containerd.remove(&first).await.unwrap();
        until(&agent, "12", State::Pending).await;
        let panel = lab.panels()[0].clone();
        // The kernel takes a dead pod's port and its eth0 away a moment after the pod.
        eventually("only the bridge and the port of `a` are left", async || {
            holds(
                lab.link_names(&panel).len() == 2 && lab.link_names("").len() == 2,
                format!("{:?}", lab.link_names("")),
            )
        })
        .await;
        let (node, descriptors_before) = (lab.link_names(""), descriptors(&agent).len());
        let namespaces = lab.namespaces();
        let ports = lab.link_names(&panel);
        let mut plugged = 0;
        for attempt in 0..ROUNDS {
            let id = containerd.run(Sandbox::of("b").attempt(attempt)).await.unwrap();
            // The moment of the removal moves through the life of a plug, which takes some milliseconds.
            let goes = async {
                tokio::time::sleep(Duration::from_micros(u64::from(attempt % 20) * 500)).await;
                containerd.remove(&id).await.unwrap();
            };
            let ((), applied) = tokio::join!(goes, agent.apply(lan_of(&["a", "b"])));
            // Refused is allowed to nobody: a pod that is gone is not there yet.
            plugged += u32::from(
                applied.unwrap().attachments[1].interface.as_ref().unwrap().status.as_ref().unwrap().state()
                    == State::Ready,
            );
        }
        assert!(plugged > 0, "none was plugged before it went: this was no race");
        until(&agent, "12", State::Pending).await;
        // To its own come the threads home that were in others'.
        let own = fs::read_link(format!("/proc/{}/ns/net", agent.pid())).unwrap().display().to_string();
        eventually("nothing is left of them", async || {
            holds(lab.link_names("") == node, format!("{:?}", lab.link_names("")))?;
            holds(lab.namespaces() == namespaces, format!("{:?}", lab.namespaces()))?;
            holds(lab.link_names(&panel) == ports, format!("{:?}", lab.link_names(&panel)))?;
            let open = descriptors(&agent);
            holds(!open.iter().any(|target| target.starts_with("net:") && *target != own), format!("{open:?}"))?;
            holds(open.len() <= descriptors_before + 2, format!("{} of {descriptors_before}: {open:?}", open.len()))
        })
        .await;
        let id = containerd.pod("b").await;
        until(&agent, "12", State::Ready).await;
        let a = containerd.netns(&id).await;
        assert_eq!(a.interfaces(), ["eth0", "net1"]);
    });
}
