//! Many things at once: callers that contradict each other, pods that come and go.

use podwire_proto::v1::{ApplyTopologyRequest, DeleteTopologyRequest, Link, State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{ipam, lan, link, nic, plug, state, states, topology},
};
use tonic::Code;

use crate::private;

/// Two LANs and a wire between two pods, or a part of it.
fn variant(number: usize) -> Topology {
    let mut wanted = topology("12");
    wanted.bridges = vec![lan("one", "10.0.1.0/24"), lan("two", "10.0.2.0/24")];
    wanted.links = vec![Link { ipam: ipam("10.1.0.0/24"), ..link("wire", nic("a", "wire"), nic("b", "wire")) }];
    wanted.attachments = ["one", "two"]
        .iter()
        .flat_map(|lan| ["a", "b"].map(|pod| plug(&format!("{pod}-{lan}"), nic(pod, lan), lan)))
        .collect();
    match number % 3 {
        0 => wanted,
        1 => Topology { links: vec![], ..wanted },
        _ => Topology { bridges: vec![], attachments: vec![], ..wanted },
    }
}

#[test]
fn callers_that_contradict_each_other_take_turns_and_the_last_one_holds() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let calls = (0..60).map(|number| {
            let mut client = agent.topologies();
            tokio::spawn(async move {
                if number % 7 == 6 {
                    let request = DeleteTopologyRequest {
                        namespace: "lessons".into(),
                        name: "12".into(),
                        ..DeleteTopologyRequest::default()
                    };
                    return client.delete_topology(request).await.map(drop);
                }
                let topology = Some(variant(number));
                client.apply_topology(ApplyTopologyRequest { topology, ..Default::default() }).await.map(drop)
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap().unwrap();
        }
        let made = agent.apply(variant(0)).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        for name in ["one", "two", "wire"] {
            a.ping(b.address(name));
        }
        assert_eq!(lab.link_names("podwire.lessons.12").len(), 2 + 4 + 2);
        agent.delete("12").await.unwrap();
        eventually("nothing is left", async || holds(lab.panels().is_empty(), format!("{:?}", lab.panels()))).await;
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn pods_that_come_and_go_end_up_plugged_once() {
    private(async |lab| {
        let a = lab.pod("a");
        lab.pod("b");
        let agent = lab.agent().start().await;
        agent.apply(variant(0)).await.unwrap();
        for _ in 0..10 {
            lab.ip("netns del b");
            lab.pod("b");
        }
        let settled = || async {
            eventually("all is READY", async || {
                let now = agent.get("12").await.map_err(|status| status.to_string())?;
                let there = lab.link_names("b").len() == 3 && lab.link_names("podwire.lessons.12").len() == 8;
                holds(state(&now) == State::Ready && there, format!("{:?}", states(&now)))
            })
            .await;
        };
        settled().await;
        let b = podwire_tests::lab::pod::Pod::new(lab, "b");
        for name in ["one", "two", "wire"] {
            a.ping(b.address(name));
        }
    });
}

#[test]
fn a_pod_that_goes_while_it_is_plugged_ends_up_pending() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        for round in 0..10 {
            lab.pod("b");
            let call = agent.apply(variant(round % 2));
            let going = async {
                tokio::task::yield_now().await;
                lab.ip("netns del b");
            };
            let (made, ()) = tokio::join!(call, going);
            // It may have lost a race, or seen the file between the unmount and its removal; and says so.
            if let Err(status) = made {
                assert!(matches!(status.code(), Code::Aborted | Code::FailedPrecondition), "{status}");
            }
            eventually("nothing of a pod that is gone is READY or FAILED", async || {
                let now = match agent.get("12").await {
                    Ok(now) => states(&now),
                    // The first one was refused.
                    Err(status) => return holds(status.code() == Code::NotFound, status),
                };
                let gone = now.iter().filter(|(interface, _)| interface.starts_with("b/"));
                holds(gone.into_iter().all(|(_, state)| *state == State::Pending), format!("{now:?}"))
            })
            .await;
        }
        lab.pod("b");
        let made = agent.apply(variant(0)).await.unwrap();
        eventually("all is READY", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(state(&now) == State::Ready, format!("{:?}", states(&now)))
        })
        .await;
        drop(made);
    });
}
