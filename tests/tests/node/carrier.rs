//! What a watch tells of carrier that comes and goes.

use podwire_proto::v1::{Link, Topology, WatchTopologiesResponse};
use podwire_tests::{
    elements::{attachment_cable, bridge, cable, ipam, link, nic, plug, topology},
    lab::{Lab, agent::Agent},
};
use tonic::Streaming;

use crate::{
    private,
    watch::{until, watch},
};

/// Pods a and b with a link, c on a bridge.
async fn wired(lab: &Lab) -> (Agent, Streaming<WatchTopologiesResponse>) {
    lab.pods(["a", "b", "c"]);
    let agent = lab.agent().start().await;
    let mut wanted = topology("12");
    wanted.links = vec![Link { ipam: ipam("10.1.0.0/24"), ..link("w1", nic("a", "net1"), nic("b", "net1")) }];
    wanted.bridges = vec![bridge("lan")];
    wanted.attachments = vec![plug("c-lan", nic("c", "net1"), "lan")];
    let mut events = watch(&agent, "").await;
    agent.apply(wanted).await.unwrap();
    until(&mut events, |event| event.topology.as_ref().is_some_and(|now| carriers(now) == [true; 3])).await;
    (agent, events)
}

/// Carrier of a, b and c.
fn carriers(now: &Topology) -> [bool; 3] {
    let wire = now.links.first();
    let a = wire.and_then(|wire| wire.a.as_ref());
    let b = wire.and_then(|wire| wire.far_end.as_ref()).map(|podwire_proto::v1::link::FarEnd::B(b)| b);
    let c = now.attachments.first().and_then(|plug| plug.interface.as_ref());
    [a, b, c].map(|end| end.and_then(|end| end.status.as_ref()).is_some_and(|status| status.carrier))
}

/// Causes of the events until carrier is as expected. Both ends may be told of by one event or by two.
async fn causes(events: &mut Streaming<WatchTopologiesResponse>, expected: [bool; 3]) -> String {
    let mut causes = Vec::new();
    loop {
        let event = until(events, |event| event.topology.is_some()).await;
        causes.push(event.cause.clone());
        if event.topology.is_some_and(|now| carriers(&now) == expected) {
            return causes.join("\n");
        }
    }
}

#[test]
fn a_watch_tells_of_a_cable_that_is_pulled_and_plugged() {
    private(async |lab| {
        let (agent, mut events) = wired(lab).await;
        for up in [false, true] {
            let request = cable("w1", up);
            agent.links().update_link(request).await.unwrap();
            let told = causes(&mut events, [up, up, true]).await;
            assert!(told.contains("update w1"), "{told}");
            for pod in ["a", "b"] {
                let words = if up { format!("{pod}/net1") } else { format!("{pod}/net1 (its cable is pulled)") };
                assert!(told.contains(&words), "{words}: {told}");
            }
            assert!(told.contains(if up { "carrier back: " } else { "carrier lost: " }), "{told}");
            assert!(!told.contains("c/net1"), "nobody else is named: {told}");
        }
    });
}

#[test]
fn a_watch_tells_of_the_cable_of_an_attachment() {
    private(async |lab| {
        let (agent, mut events) = wired(lab).await;
        for (up, words) in [(false, "carrier lost: c/net1 (its cable is pulled)"), (true, "carrier back: c/net1")] {
            let request = attachment_cable("c-lan", up);
            agent.attachments().update_attachment(request).await.unwrap();
            let told = causes(&mut events, [true, true, up]).await;
            assert!(told.contains("update c-lan") && told.contains(words), "{told}");
        }
    });
}

#[test]
fn a_watch_tells_which_pod_set_its_end_down_or_went() {
    private(async |lab| {
        let (_agent, mut events) = wired(lab).await;
        lab.ip("-n a link set net1 down");
        let told = causes(&mut events, [false, false, true]).await;
        assert!(told.contains("changed by somebody else; carrier lost: "), "{told}");
        for words in ["a/net1 (it is set down in its pod)", "b/net1 (a/net1 is set down in its pod)"] {
            assert!(told.contains(words), "{words}: {told}");
        }
        lab.ip("-n a link set net1 up");
        let told = causes(&mut events, [true; 3]).await;
        assert!(told.contains("carrier back: ") && told.contains("b/net1"), "{told}");
        lab.ip("netns del a");
        let told = causes(&mut events, [false, false, true]).await;
        assert!(told.contains("carrier lost: b/net1 (a/net1 is not there)"), "{told}");
    });
}

#[test]
fn a_cable_is_plugged_again_whatever_the_pod_made_of_its_interface() {
    private(async |lab| {
        let (agent, mut events) = wired(lab).await;
        // A port of the pod's own bridge, which is down and forwards nothing.
        lab.ip("-n a link add own type bridge");
        lab.ip("-n a link set net1 master own");
        for up in [false, true] {
            agent.client().await.update_link("lessons", "12", "w1").up(up).await.unwrap();
            causes(&mut events, [up, up, true]).await;
        }
    });
}
