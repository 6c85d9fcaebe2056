//! What was acknowledged outlives the agent and the node: intents on disk.

mod addresses;
mod reboot;

use std::time::{Duration, Instant};

use podwire_proto::v1::{
    Bridge, CreateBridgeRequest, DeleteTopologyRequest, ListTopologiesRequest, RenewLeasesRequest, RenewResult, Toggle,
    Topology, UpdateLinkRequest, renew_leases_request::Item,
};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, lan, lease, link, nic, nic_at, plug, route, timeless, topology},
    lab::{
        Lab,
        agent::{Agent, refused},
    },
    verdict::reason,
};
use tonic::Code;

use crate::{ownership::attach, private};

/// All that the agent tells, once each topology has the state that it had.
async fn told(agent: &Agent) -> Vec<Topology> {
    let all = agent.topologies().list_topologies(ListTopologiesRequest::default()).await.unwrap().into_inner();
    all.topologies.into_iter().map(timeless).collect()
}

async fn tells(agent: &Agent, before: &[Topology]) {
    eventually("the agent tells what it told before", async || {
        let now = told(agent).await;
        let differ = before.iter().zip(&now).find(|(before, now)| before != now);
        holds(now == before, format!("{} topologies, and {differ:#?}", now.len()))
    })
    .await;
}

/// A link, a bridge with chosen names and addresses, a pod that is not there.
fn lesson(name: &str, generation: u64) -> Topology {
    let mut far = nic_at("b", "", &["10.7.0.2/30"]);
    far.routes = vec![route("10.77.0.0/16", "10.7.0.1", 7)];
    Topology {
        generation,
        lease: lease(Duration::from_secs(600)),
        bridges: vec![lan("lan", "10.0.0.0/24")],
        links: vec![link("w", nic_at("a", "", &["10.7.0.1/30", "fd07::1/64"]), far)],
        attachments: vec![plug("pa", nic("a", ""), "lan"), plug("pc", nic("c", &format!("of{name}")), "lan")],
        ..topology(name)
    }
}

fn create(name: &str) -> CreateBridgeRequest {
    CreateBridgeRequest { bridge: Some(lan(name, "10.5.0.0/24")), ..CreateBridgeRequest::default() }
}

fn pull(generation: u64) -> UpdateLinkRequest {
    UpdateLinkRequest {
        namespace: "lessons".into(),
        topology: "12".into(),
        name: "w".into(),
        up: Some(false),
        generation,
        ..UpdateLinkRequest::default()
    }
}

async fn delete(agent: &Agent, name: &str, generation: u64) {
    let request = DeleteTopologyRequest { namespace: "lessons".into(), name: name.into(), generation, force: false };
    agent.topologies().delete_topology(request).await.unwrap();
}

/// Ends the agent in one of two ways, and starts another one.
async fn again(lab: &Lab, mut agent: Agent, in_peace: bool) -> Agent {
    if in_peace {
        assert!(agent.terminate().await.success());
    } else {
        agent.kill();
    }
    lab.agent().start().await
}

#[test]
fn everything_that_was_acknowledged_is_told_and_wired_as_before_after_any_end_of_the_agent() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        agent.apply(lesson("12", 7)).await.unwrap();
        agent.apply(Topology { links: vec![], ..lesson("13", 0) }).await.unwrap();
        agent.bridges().create_bridge(create("lone")).await.unwrap();
        attach(&agent, plug("single", nic("a", ""), "lone")).await.unwrap();
        let (before, kernel) = (told(&agent).await, lab.snapshot());
        for round in 0..6 {
            agent = again(lab, agent, round % 2 == 1).await;
            tells(&agent, &before).await;
            kernel.assert_same(&lab.snapshot());
        }
        // A repeat chooses nothing anew.
        agent.apply(lesson("12", 7)).await.unwrap();
        attach(&agent, plug("single", nic("a", ""), "lone")).await.unwrap();
        tells(&agent, &before).await;
        kernel.assert_same(&lab.snapshot());
    });
}

#[test]
fn who_owns_a_topology_and_how_it_was_changed_outlives_the_agent() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        agent.apply(lesson("12", 7)).await.unwrap();
        agent.links().update_link(pull(8)).await.unwrap();
        agent.bridges().create_bridge(create("lone")).await.unwrap();
        let before = told(&agent).await;
        for in_peace in [false, true] {
            agent = again(lab, agent, in_peace).await;
            tells(&agent, &before).await;
            let single = CreateBridgeRequest {
                namespace: "lessons".into(),
                topology: "12".into(),
                bridge: Some(bridge("more")),
                generation: 9,
                ..CreateBridgeRequest::default()
            };
            let status = refused(agent.bridges().create_bridge(single)).await;
            assert_eq!(reason(&status), "MANAGED_BY_APPLY", "{status}");
            let differs =
                CreateBridgeRequest { bridge: Some(Bridge { mtu: 1400, ..bridge("lone") }), ..create("lone") };
            assert_eq!(refused(agent.bridges().create_bridge(differs)).await.code(), Code::AlreadyExists);
            // The body of generation 7 is known, although the single call came after it with a higher one.
            assert_eq!(refused(agent.apply(lesson("12", 7))).await.code(), Code::Aborted, "the fence is 8");
        }
        let made = agent.apply(lesson("12", 9)).await.unwrap();
        assert_eq!(made.links[0].up(), Toggle::On);
        agent = again(lab, agent, false).await;
        let other = Topology { bridges: vec![], attachments: vec![], ..lesson("12", 9) };
        let status = refused(agent.apply(other)).await;
        assert_eq!(reason(&status), "GENERATION_REUSED", "{status}");
    });
}

#[test]
fn the_generation_of_a_delete_outlives_the_agent_and_the_node() {
    private(async |lab| {
        let mut agent = lab.agent().start().await;
        agent.apply(lesson("12", 7)).await.unwrap();
        delete(&agent, "12", 9).await;
        delete(&agent, "never-there", 4).await;
        for round in 0..4 {
            agent = again(lab, agent, round % 2 == 1).await;
            if round == 2 {
                agent.kill();
                lab.reboot();
                agent = lab.agent().start().await;
            }
            assert_eq!(refused(agent.get("12")).await.code(), Code::NotFound);
            assert_eq!(refused(agent.apply(lesson("12", 8))).await.code(), Code::Aborted);
            assert_eq!(refused(agent.apply(lesson("12", 9))).await.code(), Code::Aborted, "it was deleted at 9");
            assert_eq!(refused(agent.apply(lesson("never-there", 3))).await.code(), Code::Aborted);
        }
        agent.apply(lesson("12", 10)).await.unwrap();
    });
}

#[test]
fn after_a_start_every_lease_runs_in_full_again() {
    private(async |lab| {
        let a = lab.pod("a");
        let mut agent = lab.agent().start().await;
        let time = Duration::from_secs(8);
        let leased = Topology {
            lease: lease(time),
            bridges: vec![lan("lan", "10.0.0.0/24")],
            attachments: vec![plug("p", nic("a", "net1"), "lan")],
            ..topology("12")
        };
        let began = Instant::now();
        agent.apply(leased).await.unwrap();
        // Half of the lease is over, and the agent is not there.
        tokio::time::sleep(time / 2).await;
        agent.kill();
        let started = Instant::now();
        agent = lab.agent().start().await;
        tokio::time::sleep(time.saturating_sub(began.elapsed()) + Duration::from_millis(500)).await;
        let seen = a.interfaces();
        assert!(seen == ["net1"] || started.elapsed() >= time, "the first lease would be over, and {seen:?} is there");
        eventually("the topology is gone", async || {
            let gone = agent.get("12").await.err().map(|status| status.code());
            holds(gone == Some(Code::NotFound) && a.interfaces().is_empty(), "it is there")
        })
        .await;
        assert!(started.elapsed() >= time, "not before the lease of the start: {:?}", started.elapsed());
        agent = again(lab, agent, false).await;
        assert_eq!(refused(agent.get("12")).await.code(), Code::NotFound, "an end of a lease is stored");
    });
}

#[test]
fn three_thousand_leases_are_renewed_in_one_call() {
    const MANY: usize = 3000;
    private(async |lab| {
        let agent = lab.agent().start().await;
        let began = Instant::now();
        let made = (0..8).map(|part| {
            let agent = agent.topologies();
            tokio::spawn(async move {
                for number in (part..MANY).step_by(8) {
                    let wanted = Topology { lease: lease(Duration::from_secs(600)), ..topology(&format!("t{number}")) };
                    let request =
                        podwire_proto::v1::ApplyTopologyRequest { topology: Some(wanted), ..Default::default() };
                    agent.clone().apply_topology(request).await.unwrap();
                }
            })
        });
        for part in made.collect::<Vec<_>>() {
            part.await.unwrap();
        }
        let made = began.elapsed();
        let item = |name: String| Item { namespace: "lessons".into(), name, generation: 0 };
        let mut topologies: Vec<Item> = (0..MANY).map(|number| item(format!("t{number}"))).collect();
        topologies.push(item("absent".into()));
        let began = Instant::now();
        let answer =
            agent.topologies().renew_leases(RenewLeasesRequest { topologies: topologies.clone() }).await.unwrap();
        let took = began.elapsed();
        eprintln!("{MANY} topologies made in {made:?}, renewed in {took:?}");
        let answer = answer.into_inner().topologies;
        assert_eq!(answer.len(), MANY + 1);
        for (asked, answered) in topologies.iter().zip(&answer) {
            let wanted = if asked.name == "absent" { RenewResult::NotFound } else { RenewResult::Renewed };
            assert_eq!((&asked.name, wanted), (&answered.name, answered.result()));
        }
        // One by one they would take as long as they took to be made.
        assert!(took < made / 2, "{took:?}, and made in {made:?}");
    });
}
