//! What is in the way on the node or in a pod: refused, and left as it is.

use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::PathBuf};

use nix::mount::{MsFlags, mount};
use podwire_proto::v1::{ListPodsRequest, State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{lan, nic, plug, state, topology},
    lab::{
        Lab,
        agent::{Agent, refused},
    },
    verdict::reason,
};
use tonic::Code;

use crate::private;

fn one_in(pod: &str, interface: &str) -> Topology {
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        attachments: vec![plug("p", nic(pod, interface), "lan"), plug("q", nic("good", "net1"), "lan")],
        ..topology("12")
    }
}

/// Puts something that is no network namespace of a pod at a name, and applies to it.
async fn stale(lab: &Lab, make: impl Fn(&str)) {
    let good = lab.pod("good");
    make("/run/netns/stale");
    let agent = lab.agent().start().await;
    let before = lab.snapshot();
    let status = refused(agent.apply(one_in("stale", "net1"))).await;
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    assert!(status.message().contains("stale"), "names the pod: {status}");
    assert!(!reason(&status).is_empty(), "{status}");
    before.assert_same(&lab.snapshot());
    assert!(good.interfaces().is_empty());
    let listed = agent.node().list_pods(ListPodsRequest::default()).await.unwrap().into_inner().pods;
    let found = listed.iter().find(|pod| pod.name == "stale");
    assert!(found.is_none_or(|pod| !pod.problem.is_empty()), "not offered as a pod without a problem: {listed:?}");
    agent.apply(Topology { name: "13".into(), ..one_in("good", "net2") }).await.expect("others go on");
}

pub(crate) fn bind(source: &str, target: &str) {
    fs::write(target, "").unwrap();
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
}

#[test]
fn a_netns_path_that_is_a_plain_file_is_refused() {
    private(async |lab| stale(lab, |path| fs::write(path, "").unwrap()).await);
}

#[test]
fn a_netns_path_that_is_a_directory_or_a_link_to_nowhere_is_refused() {
    private(async |lab| {
        std::os::unix::fs::symlink("/nowhere", "/run/netns/dangling").unwrap();
        stale(lab, |path| fs::create_dir(path).unwrap()).await;
    });
}

#[test]
fn a_netns_path_that_is_a_pid_namespace_is_refused() {
    private(async |lab| stale(lab, |path| bind("/proc/self/ns/pid", path)).await);
}

#[test]
fn a_netns_path_that_is_the_nodes_own_is_refused() {
    private(async |lab| stale(lab, |path| bind("/proc/self/ns/net", path)).await);
}

#[test]
fn an_interface_that_is_there_and_not_ours_is_left_alone() {
    private(async |lab| {
        let pod = lab.pod("pod").with_eth0();
        let good = lab.pod("good");
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let status = refused(agent.apply(one_in("pod", "eth0"))).await;
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::FailedPrecondition, "FOREIGN_INTERFACE"),
            "{status}"
        );
        assert!(status.message().contains("eth0"), "{status}");
        before.assert_same(&lab.snapshot());
        assert_eq!((pod.interfaces(), good.interfaces()), (vec!["eth0".to_owned()], vec![]));
    });
}

#[test]
fn an_applications_own_interface_in_a_pod_survives_a_delete() {
    private(async |lab| {
        let pod = lab.pod("pod");
        lab.pod("good");
        let agent = lab.agent().start().await;
        let made = agent.apply(one_in("pod", "net1")).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        pod.ip("link add mine type veth peer name other");
        agent.delete("12").await.unwrap();
        let mut left = pod.interfaces();
        left.sort();
        assert_eq!(left, ["mine", "other"]);
    });
}

#[test]
fn a_stale_file_at_a_panels_name_is_no_obstacle() {
    private(async |lab| {
        lab.pods(["pod", "good"]);
        // As a panel leaves it behind where the netns directory survives a reboot.
        fs::write("/run/netns/podwire.lessons.12", "").unwrap();
        let agent = lab.agent().start().await;
        let made = agent.apply(one_in("pod", "net1")).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        assert_eq!(lab.panels(), ["podwire.lessons.12"]);
    });
}

/// The network namespaces that the agent holds, but its own.
fn held(agent: &Agent) -> BTreeSet<String> {
    let link = |path: PathBuf| fs::read_link(path).map(|target| target.display().to_string()).ok();
    let process = PathBuf::from(format!("/proc/{}", agent.pid()));
    let own = link(process.join("ns/net"));
    let targets = fs::read_dir(process.join("fd")).unwrap().flatten().filter_map(|entry| link(entry.path()));
    targets.filter(|target| target.starts_with("net:") && Some(target) != own.as_ref()).collect()
}

#[test]
fn a_panel_that_was_begun_for_a_refused_topology_is_the_next_ones() {
    private(async |lab| {
        lab.pod("pod").with_eth0();
        lab.pod("good");
        let agent = lab.agent().start().await;
        // At its start it looks into each pod.
        let nothing = async || holds(held(&agent).is_empty(), format!("{:?}", held(&agent)));
        eventually("nothing is held", nothing).await;
        for _ in 0..8 {
            refused(agent.apply(one_in("pod", "eth0"))).await;
        }
        let begun = eventually("one is begun, and never a second one", async || {
            match held(&agent).into_iter().collect::<Vec<_>>().as_slice() {
                [begun] => Ok(begun.clone()),
                begun => Err(format!("{begun:?}")),
            }
        })
        .await;
        assert!(lab.panels().is_empty(), "it has no name");
        let made = agent.apply(one_in("pod", "net1")).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        let panel = fs::metadata("/run/netns/podwire.lessons.12").unwrap().ino();
        assert_eq!(begun, format!("net:[{panel}]"));
        agent.delete("12").await.unwrap();
        eventually("nothing is left of it", nothing).await;
    });
}
