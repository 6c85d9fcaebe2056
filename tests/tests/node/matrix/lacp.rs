//! The kernel's own LACP (802.3ad) between two pods, over links and over TRANSPARENT bridges.

use std::time::{Duration, Instant};

use podwire_proto::v1::Topology;
use podwire_tests::{
    condition::{holds, within},
    elements::{bridge, cable, link, nic, plug, topology},
    lab::{Lab, agent::Agent, pod::Pod},
};
use serde_json::Value;

use crate::private;

/// At the fast rate a partner is believed in for 3 s (IEEE Std 802.1AX, Short Timeout Time), and an aggregate forms within a few
/// exchanges; the machine is emulated.
const PATIENCE: Duration = Duration::from_secs(40);

/// Makes a bond of interfaces of a pod, as an administrator would.
fn bond(pod: &Pod, interfaces: &[&str]) {
    pod.ip("link add bond0 type bond mode 802.3ad miimon 100 lacp_rate fast");
    for interface in interfaces {
        pod.ip(&format!("link set {interface} down"));
        pod.ip(&format!("link set {interface} master bond0"));
    }
    pod.ip("link set bond0 up");
}

/// What the kernel says of the aggregate: ports in it, and the partner's MAC.
fn aggregate(pod: &Pod) -> (Value, Value) {
    let info = &pod.link("bond0")["linkinfo"]["info_data"]["ad_info"];
    (info["num_ports"].clone(), info["partner_mac"].clone())
}

/// Waits until both sides have so many ports in one aggregate with each other.
async fn agreed(pods: &[Pod; 2], ports: u64) -> Duration {
    let begun = Instant::now();
    within(PATIENCE, &format!("{ports} ports are aggregated"), async || {
        let seen = pods.each_ref().map(aggregate);
        let partners = [&seen[1].1, &seen[0].1];
        let own = pods.each_ref().map(|pod| pod.link("bond0")["address"].clone());
        let all = seen.iter().all(|(count, _)| *count == ports) && own.iter().eq(partners);
        holds(all, format!("{seen:?} of {own:?}"))
    })
    .await;
    begun.elapsed()
}

async fn wired(lab: &Lab, wanted: Topology) -> (Agent, [Pod; 2]) {
    let pods = lab.pods(["a", "b"]);
    let agent = lab.agent().start().await;
    agent.apply(wanted).await.unwrap();
    (agent, pods)
}

#[test]
#[ignore = "needs bonding: cargo kernel-matrix"]
fn two_links_are_one_aggregate_that_outlives_a_pulled_cable() {
    private(async |lab| {
        let mut wanted = topology("12");
        wanted.links =
            vec![link("w1", nic("a", "net1"), nic("b", "net1")), link("w2", nic("a", "net2"), nic("b", "net2"))];
        let (agent, pods) = wired(lab, wanted).await;
        for pod in &pods {
            bond(pod, &["net1", "net2"]);
        }
        println!("LACP over two links: aggregated after {:?}", agreed(&pods, 2).await);
        pods[0].ip("address add 10.9.0.1/24 dev bond0");
        pods[1].ip("address add 10.9.0.2/24 dev bond0");
        let reached = async || {
            within(PATIENCE, "the other end of the aggregate answers", async || {
                holds(pods[0].reaches("10.9.0.2".parse().unwrap()), "no answer")
            })
            .await;
        };
        reached().await;
        agent.links().update_link(cable("w1", false)).await.unwrap();
        println!("a cable is pulled: one port is left after {:?}", agreed(&pods, 1).await);
        reached().await;
        agent.links().update_link(cable("w1", true)).await.unwrap();
        println!("the cable is back: two ports after {:?}", agreed(&pods, 2).await);
        reached().await;
    });
}

#[test]
#[ignore = "needs bonding: cargo kernel-matrix"]
fn transparent_bridges_pass_lacp_and_standard_ones_do_not() {
    private(async |lab| {
        let mut wanted = topology("12");
        // Two ports on one bridge would hear each other: a bridge for each pair, as two switches would be.
        wanted.bridges = vec![bridge("lan1"), bridge("lan2")];
        for pod in ["a", "b"] {
            for (interface, lan) in [("net1", "lan1"), ("net2", "lan2")] {
                wanted.attachments.push(plug(&format!("{pod}-{lan}"), nic(pod, interface), lan));
            }
        }
        let (agent, pods) = wired(lab, wanted.clone()).await;
        for pod in &pods {
            bond(pod, &["net1", "net2"]);
        }
        println!("LACP over two TRANSPARENT bridges: aggregated after {:?}", agreed(&pods, 2).await);
        for bridge in &mut wanted.bridges {
            bridge.l2_profile = podwire_proto::v1::L2Profile::Standard.into();
        }
        let begun = Instant::now();
        agent.apply(wanted).await.unwrap();
        within(PATIENCE, "nobody hears a partner through a STANDARD bridge", async || {
            let seen = pods.each_ref().map(aggregate);
            holds(seen.iter().all(|(_, partner)| *partner == "00:00:00:00:00:00"), format!("{seen:?}"))
        })
        .await;
        println!("the bridges are STANDARD: the partner is forgotten after {:?}", begun.elapsed());
    });
}
