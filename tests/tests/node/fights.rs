//! Fights that outlast the agent.

use std::time::Duration;

use podwire_proto::v1::{State, Topology};
use podwire_tests::{
    condition::{eventually, holds, within},
    elements::{interfaces, link, nic_at, state, topology},
    lab::{agent::Agent, pod::Pod},
};

use crate::private;

/// Repairs of one interface that make a fight, as `panel/fight.rs` has it, and one that a look in between may add.
const REPAIRS: usize = 5 + 1;

fn wire() -> Topology {
    let ends = (nic_at("a", "net1", &["10.7.0.1/30"]), nic_at("b", "net1", &["10.7.0.2/30"]));
    Topology { links: vec![link("w", ends.0, ends.1)], ..topology("12") }
}

/// Takes the address away whenever it is there, until the agent calls it a fight.
async fn fight(agent: &Agent, pod: &Pod) {
    within(Duration::from_secs(40), "DEGRADED", async || {
        if pod.addresses("net1").contains(&"10.7.0.1/30".to_owned()) {
            pod.ip("address del 10.7.0.1/30 dev net1");
        }
        let now = agent.get("12").await.map_err(|status| status.to_string())?;
        let fought = interfaces(&now).any(|each| each.status.as_ref().unwrap().reason.contains("keeps changing"));
        holds(fought && state(&now) == State::Degraded, format!("{:?}", now.status))
    })
    .await;
}

#[test]
fn an_agent_that_is_killed_in_a_fight_tries_anew_finds_it_again_and_ends_it() {
    private(async |lab| {
        let [a, _] = lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        agent.apply(wire()).await.unwrap();
        for in_peace in [false, true] {
            fight(&agent, &a).await;
            // It is left alone for now; the next run does not know that, and puts it right at once.
            if in_peace {
                agent.terminate().await;
            } else {
                agent.kill();
            }
            agent = lab.agent().start().await;
            eventually("put right by the start", async || {
                let addresses = a.addresses("net1");
                holds(addresses == ["10.7.0.1/30"], addresses.join(" "))
            })
            .await;
            fight(&agent, &a).await;
            // It backs off as the run before it did: a restart makes it no busier.
            let repairs = agent.log().matches("put right: ").count();
            println!("{repairs} repairs by an agent that was started in a fight");
            assert!(repairs <= 2 * REPAIRS, "{repairs} repairs");
        }
        // He gives up.
        within(Duration::from_secs(60), "READY", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(state(&now) == State::Ready, format!("{:?}", now.status))
        })
        .await;
        assert_eq!(a.addresses("net1"), ["10.7.0.1/30"]);
    });
}
