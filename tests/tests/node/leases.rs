//! Leases end what nobody wants.

use std::time::{Duration, Instant};

use podwire_proto::v1::{RenewLeasesRequest, RenewResult, Topology, renew_leases_request::Item, renew_leases_response};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{cable, lan, lease, link, nic, plug, topology},
};
use tonic::Code;

use crate::private;

fn leased(name: &str, time: Duration) -> Topology {
    Topology {
        lease: lease(time),
        bridges: vec![lan("lan", "10.0.0.0/24")],
        attachments: vec![plug("p", nic(name, "net1"), "lan")],
        ..topology(name)
    }
}

fn renewal(name: &str, generation: u64) -> Item {
    Item { namespace: "lessons".into(), name: name.into(), generation }
}

#[test]
fn a_lease_that_nobody_renews_deletes_its_topology() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        let (time, started) = (Duration::from_secs(2), Instant::now());
        let made = agent.apply(leased("a", time)).await.unwrap();
        assert!(made.status.unwrap().lease_expires.is_some());
        let seen = a.interfaces();
        assert!(seen == ["net1"] || started.elapsed() >= time, "{seen:?} after {:?}", started.elapsed());
        eventually("the topology is gone", async || {
            let gone = agent.get("a").await.err().map(|status| status.code());
            holds(gone == Some(Code::NotFound) && a.interfaces().is_empty(), "it is there")
        })
        .await;
        assert!(started.elapsed() >= time, "not before its time");
    });
}

#[test]
fn a_renewed_lease_runs_in_full_again() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        // A renewal that is late by less than this on a busy machine does no harm.
        let time = Duration::from_secs(6);
        let made = agent.apply(leased("a", time)).await.unwrap();
        let expires = made.status.unwrap().lease_expires.unwrap();
        // Renew until the first lease would have been over for a while.
        let started = Instant::now();
        while started.elapsed() < time + Duration::from_secs(2) {
            let request = RenewLeasesRequest { topologies: vec![renewal("a", 0)] };
            let answer = agent.topologies().renew_leases(request).await.unwrap().into_inner();
            assert_eq!(answer.topologies[0].result(), RenewResult::Renewed);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(a.interfaces(), ["net1"]);
        let now = agent.get("a").await.unwrap().status.unwrap().lease_expires.unwrap();
        assert!(now.seconds > expires.seconds, "{now:?} {expires:?}");
    });
}

#[test]
fn a_renewal_answers_for_each_topology() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        agent.apply(leased("with", Duration::from_secs(60))).await.unwrap();
        agent.apply(topology("without")).await.unwrap();
        agent.apply(Topology { generation: 5, ..leased("fenced", Duration::from_secs(60)) }).await.unwrap();
        let items = [
            ("with", 0),
            ("without", 0),
            ("absent", 0),
            ("fenced", 4),
            ("fenced", 5),
            ("fenced", 0),
            ("Not a name", 0),
        ];
        let request =
            RenewLeasesRequest { topologies: items.map(|(name, generation)| renewal(name, generation)).to_vec() };
        let answer = agent.topologies().renew_leases(request).await.unwrap().into_inner();
        let results: Vec<RenewResult> = answer.topologies.iter().map(renew_leases_response::Item::result).collect();
        assert_eq!(
            results,
            [
                RenewResult::Renewed,
                RenewResult::NoLease,
                RenewResult::NotFound,
                RenewResult::Fenced,
                RenewResult::Renewed,
                RenewResult::Renewed,
                RenewResult::Invalid,
            ]
        );
    });
}

#[test]
fn a_cable_that_is_pulled_again_and_again_keeps_no_lease_running() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.lease = lease(Duration::from_secs(1));
        wanted.links = vec![link("w", nic("a", "net1"), nic("b", "net1"))];
        agent.apply(wanted).await.unwrap();
        let mut up = false;
        eventually("the lease ends", async || {
            let update = cable("w", up);
            up = !up;
            let refused = agent.links().update_link(update).await.err().map(|status| status.code());
            holds(refused == Some(Code::NotFound), "it is there")
        })
        .await;
    });
}
