//! The agent in a mount namespace of its own, as in a container: it proves that the node sees what it mounts, or refuses.

use std::fs;

use podwire_tests::{
    elements::{lan, nic, plug, topology},
    lab::{Lab, agent::AgentBuilder},
};

use crate::{must_stop, private, private_without_root};

/// Makes the netns directory of the lab a shared mount, as it is on a node.
fn share(lab: &Lab) {
    lab.run("mount --bind /run/netns /run/netns");
    lab.run("mount --make-shared /run/netns");
}

/// An agent in a mount namespace of its own. Process 1 and its mounts are the lab's.
fn contained(lab: &Lab, propagation: &str) -> AgentBuilder {
    lab.agent().within(["unshare", "--mount", "--propagation", propagation])
}

async fn a_panel_is_seen(lab: &Lab, agent: AgentBuilder, word: &str) {
    let agent = agent.start().await;
    assert!(agent.log().contains(word), "{}", agent.log());
    lab.pod("a");
    let mut wanted = topology("12");
    wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
    wanted.attachments = vec![plug("p", nic("a", "net1"), "lan")];
    agent.apply(wanted).await.unwrap();
    assert_eq!(lab.link_names("podwire.lessons.12").len(), 2, "a bridge and a port, seen from outside");
}

#[test]
fn with_a_mount_that_the_node_shares_it_runs_and_its_panels_are_seen_outside() {
    private(async |lab| {
        share(lab);
        fs::write("/run/netns/podwire-probe-99", "").unwrap();
        a_panel_is_seen(lab, contained(lab, "unchanged"), "the node sees what is mounted there").await;
        assert!(!fs::exists("/run/netns/podwire-probe-99").unwrap(), "what a killed agent left is gone");
        assert_eq!(lab.namespaces(), ["a", "podwire.lessons.12"], "and nothing is left of its own");
    });
}

#[test]
fn that_needs_no_root() {
    private_without_root(async |lab| {
        share(lab);
        a_panel_is_seen(lab, contained(lab, "unchanged"), "the node sees what is mounted there").await;
    });
}

#[test]
fn with_a_mount_that_only_receives_or_none_it_does_not_run_and_says_what_to_do() {
    private(async |lab| {
        share(lab);
        let cure = ["/run/netns", "mountPropagation: Bidirectional", "bind-propagation=rshared"];
        for (propagation, seen) in [("slave", "(`mountPropagation: HostToContainer`)"), ("private", "alone")] {
            let log = must_stop(contained(lab, propagation).spawn(), &cure).await;
            assert!(log.contains(seen), "{propagation}: {log}");
        }
        assert_eq!(lab.namespaces(), [""; 0]);
    });
}

#[test]
fn a_mount_that_was_made_shared_again_in_the_container_does_not_deceive_it() {
    private(async |lab| {
        share(lab);
        let shared_again = ["sh", "-c", "mount --make-shared /run/netns && exec \"$0\" \"$@\""];
        let slave = contained(lab, "slave").within(shared_again).spawn();
        must_stop(slave, &["(`mountPropagation: HostToContainer`)"]).await;
        let private = contained(lab, "private").within(shared_again).spawn();
        must_stop(private, &["its mount is shared, but not with process 1"]).await;
        assert_eq!(lab.namespaces(), [""; 0], "the probe is gone");
    });
}

#[test]
fn where_it_is_process_1_itself_the_mount_has_to_speak_for_itself() {
    private(async |lab| {
        share(lab);
        // A container without hostPID.
        let own_pids = |propagation| {
            let own_proc = ["sh", "-c", "mount -t proc proc /proc && exec \"$0\" \"$@\""];
            contained(lab, propagation).within(["unshare", "--pid", "--fork", "--kill-child"]).within(own_proc)
        };
        must_stop(own_pids("private").spawn(), &["alone"]).await;
        a_panel_is_seen(lab, own_pids("unchanged"), "hostPID").await;
    });
}

#[test]
fn in_another_network_namespace_than_the_node_it_does_not_run() {
    private(async |lab| {
        share(lab);
        let agent = contained(lab, "unchanged").within(["unshare", "--net"]).spawn();
        must_stop(agent, &["another network namespace", "hostNetwork: true"]).await;
    });
}
