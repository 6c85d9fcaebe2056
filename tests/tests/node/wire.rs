//! The wire does not notice what becomes of the agent.

use std::time::Duration;

use podwire_proto::v1::{Link, LinkMode, Topology};
use podwire_tests::{
    elements::{ipam, lan, link, nic, plug, topology},
    stream::Stream,
};

use crate::private;

/// How often the agent is killed.
const KILLS: usize = 20;

#[test]
fn no_packet_is_lost_while_the_agent_is_killed_and_started_again() {
    private(async |lab| {
        let [_, b] = lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        let stitched = Link { ipam: ipam("10.1.0.0/24"), ..link("s", nic("a", "net1"), nic("b", "net1")) };
        let mut direct = Link { ipam: ipam("10.2.0.0/24"), ..link("d", nic("a", "net2"), nic("b", "net2")) };
        direct.mode = LinkMode::Direct.into();
        let wanted = Topology {
            links: vec![stitched, direct],
            bridges: vec![lan("lan", "10.3.0.0/24")],
            attachments: vec![plug("pa", nic("a", "net3"), "lan"), plug("pb", nic("b", "net3"), "lan")],
            ..topology("12")
        };
        agent.apply(wanted.clone()).await.unwrap();
        let before = lab.snapshot();
        let streams = ["net1", "net2", "net3"].map(|name| (name, Stream::start("a", "b", b.address(name)).unwrap()));
        for round in 0..KILLS {
            match round % 4 {
                // An upgrade: it leaves in peace.
                3 => drop(agent.terminate().await),
                _ => agent.kill(),
            }
            agent = lab.agent().start().await;
            // What it sees is what it wants: it may say so, and touch nothing.
            let now = agent.apply_until_ready(wanted.clone(), Duration::from_secs(20)).await.unwrap();
            assert_eq!(now.links.len(), 2);
        }
        for (name, stream) in streams {
            let (sent, pause) = stream.finish().unwrap_or_else(|error| panic!("{name}: {error:#}"));
            println!("{name}: {sent} packets, none lost, the longest pause {pause:?}");
            assert!(sent > 1000, "{name}: {sent}");
        }
        before.assert_same(&lab.snapshot());
    });
}
