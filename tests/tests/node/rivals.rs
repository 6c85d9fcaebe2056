//! Two clients at once on one topology: one wins, the other one is told, and it stays so over restarts of the agent.

use podwire_proto::v1::{AttachRequest, Bridge, CreateBridgeRequest, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, lan, nic, plug, state, topology},
    lab::{Lab, agent::Agent},
    verdict::reason,
};
use tonic::{Code, Status};

use crate::private;

/// Rounds of a test, each with an agent of its own.
const ROUNDS: u64 = 8;

fn wanted(generation: u64, mtu: u32) -> Topology {
    Topology {
        generation,
        bridges: vec![Bridge { mtu, ..lan("lan", "10.0.0.0/24") }],
        attachments: vec![plug("p", nic("a", "net1"), "lan")],
        ..topology("12")
    }
}

async fn again(lab: &Lab, mut agent: Agent, round: u64) -> Agent {
    if round.is_multiple_of(2) {
        agent.kill();
    } else {
        agent.terminate().await;
    }
    lab.agent().start().await
}

/// What the kernel and the agent show is what the winner asked for.
async fn stands(lab: &Lab, agent: &Agent, generation: u64, mtu: u32) {
    eventually("what the winner asked for stands", async || {
        let now = agent.get("12").await.map_err(|status| status.to_string())?;
        let seen = lab.links("podwire.lessons.12").into_iter().find(|link| link["ifname"] == "lan");
        let seen = seen.ok_or("no bridge")?["mtu"].clone();
        let right = (now.generation, now.bridges[0].mtu) == (generation, mtu) && seen == mtu;
        holds(right && state(&now) == podwire_proto::v1::State::Ready, format!("{seen} {now:?}"))
    })
    .await;
}

/// Which of two calls won; the other one must have been told so.
fn winner<T: std::fmt::Debug>(answers: [Result<T, Status>; 2], told: &[(Code, &str)]) -> usize {
    let lost = answers.iter().position(Result::is_err);
    let status = answers.into_iter().filter_map(Result::err).collect::<Vec<_>>();
    assert_eq!(status.len(), 1, "one wins, and only one: {status:?}");
    let (code, reason) = (status[0].code(), reason(&status[0]));
    assert!(told.contains(&(code, reason.as_str())), "{}", status[0]);
    1 - lost.unwrap()
}

#[test]
fn of_two_applies_with_the_same_generation_one_wins() {
    private(async |lab| {
        lab.pod("a");
        let mut agent = lab.agent().start().await;
        for round in 1..=ROUNDS {
            let mtus = [1400, 9000];
            let (one, other) = tokio::join!(agent.apply(wanted(round, mtus[0])), agent.apply(wanted(round, mtus[1])));
            let won = winner([one, other], &[(Code::Aborted, "GENERATION_REUSED")]);
            stands(lab, &agent, round, mtus[won]).await;
            agent = again(lab, agent, round).await;
            stands(lab, &agent, round, mtus[won]).await;
            // The loser's repeat is refused, the winner's is free.
            agent.apply(wanted(round, mtus[1 - won])).await.unwrap_err();
            agent.apply(wanted(round, mtus[won])).await.unwrap();
        }
    });
}

#[test]
fn of_two_schedulers_the_newer_one_wins_whoever_comes_first() {
    private(async |lab| {
        lab.pod("a");
        let mut agent = lab.agent().start().await;
        for round in 1..=ROUNDS {
            let (old, new) =
                tokio::join!(agent.apply(wanted(2 * round, 1400)), agent.apply(wanted(2 * round + 1, 9000)));
            new.unwrap();
            // It came before the newer one, or was told of it.
            if let Err(status) = old {
                assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "FENCED"), "{status}");
            }
            agent = again(lab, agent, round).await;
            stands(lab, &agent, 2 * round + 1, 9000).await;
            let late = agent.apply(wanted(2 * round, 1400)).await.unwrap_err();
            assert_eq!(late.code(), Code::Aborted, "{late}");
        }
    });
}

#[test]
fn of_two_single_calls_under_one_name_one_wins() {
    private(async |lab| {
        let pods = lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        let create = CreateBridgeRequest { bridge: Some(lan("lan", "10.0.0.0/24")), ..Default::default() };
        agent.bridges().create_bridge(create).await.unwrap();
        for round in 1..=ROUNDS {
            let name = format!("p{round}");
            let calls = ["a", "b"].map(|pod| {
                let attachment = Some(plug(&name, nic(pod, &format!("net{round}")), "lan"));
                let (mut service, generation) = (agent.attachments(), round);
                async move { service.attach(AttachRequest { attachment, generation, ..Default::default() }).await }
            });
            let [one, other] = calls;
            let (one, other) = tokio::join!(one, other);
            let won = winner([one, other], &[(Code::AlreadyExists, "ALREADY_EXISTS")]);
            agent = again(lab, agent, round).await;
            let there = pods.iter().map(|pod| pod.interfaces().contains(&format!("net{round}"))).collect::<Vec<_>>();
            assert_eq!(there, [won == 0, won == 1]);
        }
    });
}

#[test]
fn of_an_apply_and_a_single_call_one_makes_the_topology_and_the_other_one_is_told() {
    private(async |lab| {
        lab.pod("a");
        let mut agent = lab.agent().start().await;
        for round in 1..=ROUNDS {
            let single = CreateBridgeRequest {
                namespace: "lessons".into(),
                topology: "12".into(),
                bridge: Some(bridge("single")),
                ..CreateBridgeRequest::default()
            };
            let (mut bridges, apply) = (agent.bridges(), agent.apply(wanted(0, 1400)));
            let single = async { bridges.create_bridge(single).await.map(drop) };
            let (applied, made) = tokio::join!(async { apply.await.map(drop) }, single);
            let told = [(Code::FailedPrecondition, "MANAGED_BY_CALLS"), (Code::FailedPrecondition, "MANAGED_BY_APPLY")];
            let won = winner([applied, made], &told);
            agent = again(lab, agent, round).await;
            let names: Vec<String> = agent.get("12").await.unwrap().bridges.into_iter().map(|each| each.name).collect();
            assert_eq!(names, [["lan", "single"][won]]);
            agent.delete("12").await.unwrap();
        }
    });
}
