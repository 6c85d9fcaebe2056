//! What was announced outlives the agent: where nothing else tells of pods, what is in them is found again.

use std::{fs, path::Path};

use podwire_proto::v1::{LinkMode, State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{link, nic, state, topology},
    lab::{Lab, agent::Agent, pod::Pod},
};

use crate::{
    private,
    recover::{lose_state, said},
};

use super::{Sandbox, agent, call, config, running};

/// A wire without any port: only an intent and its pods lead to its interfaces.
fn direct() -> Topology {
    let mut wire = link("w", nic("a", "net1"), nic("b", "net1"));
    wire.mode = LinkMode::Direct.into();
    Topology { links: vec![wire], ..topology("12") }
}

/// Both pods with their interfaces.
async fn wired(lab: &Lab) -> (Agent, [Pod; 2], [Sandbox; 2]) {
    let pods = lab.pods(["cni-a", "cni-b"]);
    let agent = running(lab).await;
    agent.apply(direct()).await.unwrap();
    let sandboxes = [Sandbox::new("1", "a", &pods[0]), Sandbox::new("2", "b", &pods[1])];
    for sandbox in &sandboxes {
        call(lab, "ADD", Some(sandbox), &config("1.0.0")).ok();
    }
    assert_eq!(names(&pods), [["net1"], ["net1"]]);
    (agent, pods, sandboxes)
}

fn names(pods: &[Pod]) -> Vec<Vec<String>> {
    pods.iter().map(Pod::interfaces).collect()
}

async fn comes_to(agent: &Agent, wanted: State) {
    eventually("its state", async || {
        let now = agent.get("12").await.unwrap();
        holds(state(&now) == wanted, format!("{now:?}"))
    })
    .await;
}

async fn are_bare(pods: &[Pod]) {
    eventually("the interfaces are gone", async || {
        holds(pods.iter().all(|pod| pod.interfaces().is_empty()), format!("{:?}", names(pods)))
    })
    .await;
}

#[test]
fn a_restarted_agent_knows_the_pods_that_were_announced_and_removes_and_heals_what_is_in_them() {
    private(async |lab| {
        let (mut agent, pods, sandboxes) = wired(lab).await;
        agent.kill();
        let mut agent = running(lab).await;
        comes_to(&agent, State::Ready).await;
        pods[0].ip("link delete net1");
        comes_to(&agent, State::Ready).await;
        eventually("it is there again", async || holds(names(&pods) == [["net1"], ["net1"]], "not yet")).await;
        // What is withdrawn is forgotten by the next one too.
        call(lab, "DEL", Some(&sandboxes[1]), &config("1.0.0")).ok();
        comes_to(&agent, State::Pending).await;
        agent.kill();
        let agent = running(lab).await;
        comes_to(&agent, State::Pending).await;
        call(lab, "ADD", Some(&sandboxes[1]), &config("1.0.0")).ok();
        comes_to(&agent, State::Ready).await;
        agent.delete("12").await.unwrap();
        are_bare(&pods).await;
    });
}

#[test]
fn what_a_killed_agent_left_in_announced_pods_without_an_intent_is_removed() {
    private(async |lab| {
        let (mut agent, pods, _sandboxes) = wired(lab).await;
        // As the state was before the topology: what is in the pods is nobody's.
        let (state, before) = (lab.directory().join("state"), lab.directory().join("before"));
        agent.delete("12").await.unwrap();
        agent.terminate().await;
        fs::create_dir(&before).unwrap();
        copy(&state, &before);
        let mut agent = running(lab).await;
        agent.apply(direct()).await.unwrap();
        assert_eq!(names(&pods), [["net1"], ["net1"]], "without being announced again");
        agent.kill();
        copy(&before, &state);
        let _agent = running(lab).await;
        are_bare(&pods).await;
        eventually("its panel too", async || holds(lab.panels().is_empty(), format!("{:?}", lab.panels()))).await;
    });
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from.join("intents.redb"), to.join("intents.redb")).unwrap();
}

#[test]
fn a_namespace_that_was_made_anew_is_not_taken_for_the_one_that_was_announced() {
    private(async |lab| {
        let (mut agent, pods, _sandboxes) = wired(lab).await;
        agent.kill();
        lab.ip("netns delete cni-a");
        let anew = lab.pod("cni-a");
        let mut agent = running(lab).await;
        comes_to(&agent, State::Pending).await;
        agent.kill();
        assert!(anew.interfaces().is_empty(), "{:?}", anew.interfaces());
        lab.reboot();
        let anew = lab.pods(["cni-a", "cni-b"]);
        let agent = running(lab).await;
        comes_to(&agent, State::Pending).await;
        assert!(names(&anew).iter().all(Vec::is_empty), "{:?}", names(&anew));
        drop(pods);
    });
}

#[test]
fn purge_finds_what_is_in_announced_pods_and_says_where_it_cannot() {
    private(async |lab| {
        let (mut running_agent, pods, _sandboxes) = wired(lab).await;
        running_agent.kill();
        let kept = lab.directory().join("kept");
        fs::create_dir(&kept).unwrap();
        copy(&lab.directory().join("state"), &kept);
        lose_state(lab);
        let purge = |args: &[&str], code| said(&agent(lab).run("purge", args), code);
        for (args, code) in [(&[][..], 0), (&["--yes"], 1)] {
            let shown = purge(args, code);
            for words in ["2 pods unknown", "/run/netns/cni-a (net1)", "/run/netns/cni-b (net1)", "delete the pods"] {
                assert!(shown.contains(words), "`{words}` is not in\n{shown}");
            }
        }
        assert_eq!(names(&pods), [["net1"], ["net1"]], "whose they are nobody knows");
        fs::create_dir_all(lab.directory().join("state")).unwrap();
        copy(&kept, &lab.directory().join("state"));
        let done = purge(&["--yes"], 0);
        assert!(done.contains("Nothing of podwire's is left"), "{done}");
        assert!(names(&pods).iter().all(Vec::is_empty), "{:?}", names(&pods));
    });
}
