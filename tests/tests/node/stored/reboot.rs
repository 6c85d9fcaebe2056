//! The node is started anew.

use podwire_proto::v1::{State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{interfaces, state, states},
    lab::{Lab, agent::Agent},
};

use super::{create, lesson};
use crate::{ownership::attach, private};

/// What a caller was told was chosen.
fn chosen(topology: &Topology) -> Vec<String> {
    let of = |each: &podwire_proto::v1::Interface| {
        format!("{:?} {} {} {:?}", each.owner, each.name, each.mac, each.status.as_ref().unwrap().addresses)
    };
    interfaces(topology).map(of).collect()
}

async fn ready(agent: &Agent, name: &str) -> Topology {
    eventually("READY", async || {
        let now = agent.get(name).await.map_err(|status| status.to_string())?;
        if state(&now) == State::Ready { Ok(now) } else { Err(format!("{:?}", states(&now))) }
    })
    .await
}

async fn all_is_wired(lab: &Lab, before: &podwire_tests::lab::snapshot::Snapshot) {
    eventually("all is wired as before", async || {
        let now = lab.snapshot().without_indexes();
        holds(now == *before, before.difference(&now))
    })
    .await;
}

#[test]
fn a_node_that_was_started_anew_has_all_wires_again_when_its_pods_come() {
    private(async |lab| {
        lab.pods(["a", "b", "c"]);
        let mut agent = lab.agent().start().await;
        let made = agent.apply(lesson("12", 7)).await.unwrap();
        agent.bridges().create_bridge(create("lone")).await.unwrap();
        attach(&agent, podwire_tests::elements::plug("single", podwire_tests::elements::nic("a", ""), "lone"))
            .await
            .unwrap();
        let before = lab.snapshot().without_indexes();
        for round in 0..3 {
            if round == 1 {
                agent.terminate().await;
            } else {
                agent.kill();
            }
            lab.reboot();
            agent = lab.agent().start().await;
            let waiting = eventually("the panels stand", async || {
                let now = agent.get("12").await.map_err(|status| status.to_string())?;
                holds(lab.panels().len() == 2, format!("{:?}", lab.panels())).map(|()| now)
            })
            .await;
            assert!(states(&waiting).iter().all(|(_, state)| *state == State::Pending), "{:?}", states(&waiting));
            assert_eq!(chosen(&waiting), chosen(&made));
            // In another order each time.
            let order = [["a", "b", "c"], ["c", "a", "b"], ["b", "c", "a"]][round];
            for pod in order {
                lab.pod(pod);
            }
            assert_eq!(chosen(&ready(&agent, "12").await), chosen(&made));
            all_is_wired(lab, &before).await;
        }
    });
}

#[test]
fn pods_that_are_there_before_the_agent_are_plugged_after_a_reboot() {
    private(async |lab| {
        lab.pods(["a", "b", "c"]);
        let mut agent = lab.agent().start().await;
        let made = agent.apply(lesson("12", 7)).await.unwrap();
        let before = lab.snapshot().without_indexes();
        agent.kill();
        lab.reboot();
        lab.pods(["a", "b", "c"]);
        agent = lab.agent().start().await;
        assert_eq!(chosen(&ready(&agent, "12").await), chosen(&made));
        all_is_wired(lab, &before).await;
        assert!(agent.log().contains("started anew"), "the log says what happened: {}", agent.log());
    });
}
