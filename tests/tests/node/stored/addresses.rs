//! Addresses: never handed out twice while in use, always free again.

use std::collections::BTreeSet;

use podwire_proto::v1::{DetachRequest, Topology};
use podwire_tests::{
    elements::{interfaces, lan, nic, plug, topology},
    lab::{
        Lab,
        agent::{Agent, refused},
    },
    random::Random,
};
use tonic::Code;

use super::again;
use crate::{ownership::attach, private};

/// A /29 has 5 addresses besides its gateway.
const PODS: [&str; 5] = ["p0", "p1", "p2", "p3", "p4"];

fn addresses(topology: &Topology) -> BTreeSet<String> {
    let all: Vec<String> = interfaces(topology).flat_map(|each| each.status.clone().unwrap().addresses).collect();
    let each_once: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(each_once.len(), all.len(), "handed out twice: {all:?}");
    each_once
}

async fn get(agent: &Agent) -> BTreeSet<String> {
    let request = podwire_proto::v1::GetTopologyRequest::default();
    agent.topologies().get_topology(request).await.unwrap().into_inner().topology.map(|now| addresses(&now)).unwrap()
}

/// A crash, a stop or a reboot.
async fn end(lab: &Lab, mut agent: Agent, random: &mut Random) -> Agent {
    if !random.once_in(3) {
        return again(lab, agent, random.once_in(2)).await;
    }
    agent.kill();
    lab.reboot();
    lab.pods(PODS);
    lab.agent().start().await
}

#[test]
fn a_subnet_that_is_exactly_full_is_full_again_after_any_end() {
    private(async |lab| {
        let mut random = Random::of(29);
        lab.pods(PODS);
        let mut agent = lab.agent().start().await;
        let full = |name: &str| Topology {
            bridges: vec![lan("lan", "10.0.0.0/29")],
            attachments: PODS.iter().map(|pod| plug(&format!("at-{pod}"), nic(pod, "lan"), "lan")).collect(),
            ..topology(name)
        };
        let all = addresses(&agent.apply(full("12")).await.unwrap());
        assert_eq!(all.len(), 5);
        for _ in 0..8 {
            // Some of it goes and comes back, or all of it.
            if random.once_in(3) {
                agent.delete("12").await.unwrap();
            } else {
                let mut fewer = full("12");
                fewer.attachments.retain(|_| random.once_in(2));
                agent.apply(fewer).await.unwrap();
            }
            agent = end(lab, agent, &mut random).await;
            assert_eq!(addresses(&agent.apply(full("12")).await.unwrap()), all);
            let mut one_more = full("12");
            one_more.attachments.push(plug("more", nic("p0", "more"), "lan"));
            let status = refused(agent.apply(one_more)).await;
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        }
    });
}

#[test]
fn single_calls_find_the_addresses_that_others_left() {
    private(async |lab| {
        let mut random = Random::of(30);
        lab.pods(PODS);
        let mut agent = lab.agent().start().await;
        let request =
            podwire_proto::v1::CreateBridgeRequest { bridge: Some(lan("lan", "10.0.0.0/29")), ..Default::default() };
        agent.bridges().create_bridge(request).await.unwrap();
        let plugged = |pod: &str| plug(&format!("at-{pod}"), nic(pod, "lan"), "lan");
        for pod in PODS {
            attach(&agent, plugged(pod)).await.unwrap();
        }
        let all = get(&agent).await;
        for _ in 0..8 {
            let gone: Vec<&str> = PODS.into_iter().filter(|_| random.once_in(2)).collect();
            for pod in &gone {
                let detach = DetachRequest { name: format!("at-{pod}"), ..DetachRequest::default() };
                agent.attachments().detach(detach).await.unwrap();
            }
            agent = end(lab, agent, &mut random).await;
            for pod in gone.iter().rev() {
                attach(&agent, plugged(pod)).await.unwrap();
            }
            assert_eq!(get(&agent).await, all);
            let status = refused(attach(&agent, plug("more", nic("p0", "more"), "lan"))).await;
            assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        }
    });
}
