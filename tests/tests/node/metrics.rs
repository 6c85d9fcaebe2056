//! What the agent tells Prometheus.

use std::net::SocketAddr;

use podwire_proto::v1::{State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{lan, nic, plug, state, topology},
    exposition::Exposition,
    lab::{Lab, agent::AgentBuilder},
    netns,
};

use crate::private;

/// Where agents tell it. Each test has a loopback of its own.
const ADDRESS: &str = "127.0.0.1:9464";

fn address() -> SocketAddr {
    ADDRESS.parse().unwrap()
}

async fn scrape() -> Exposition {
    Exposition::scrape(address()).await.unwrap()
}

fn told(lab: &Lab) -> AgentBuilder {
    lab.agent().arg("--metrics-listen").arg(format!("tcp://{ADDRESS}"))
}

/// A bridge with these pods at it.
fn of_pods(name: &str, pods: &[&str]) -> Topology {
    let mut wanted = topology(name);
    wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
    wanted.attachments = pods.iter().map(|pod| plug(pod, nic(pod, "net1"), "lan")).collect();
    wanted
}

#[test]
fn calls_are_counted_by_method_and_code_and_work_by_what_it_is() {
    private(async |lab| {
        let agent = told(lab).start().await;
        lab.pod("bb1");
        let made = agent.apply(of_pods("12", &["bb1", "bb2"])).await.unwrap();
        assert_eq!(state(&made), State::Pending);
        agent.apply(of_pods("12", &["bb1", "bb2"])).await.unwrap();
        agent.get("no-such").await.unwrap_err();
        let seen = scrape().await;
        let calls = |method: &str, code: &str| {
            let service = ("service", "podwire.v1.TopologyService");
            seen.sum("podwire_calls_total", &[service, ("method", method), ("code", code)])
        };
        let all = ["ApplyTopology", "GetTopology"].map(|method| [calls(method, "OK"), calls(method, "NOT_FOUND")]);
        assert_eq!(format!("{all:?}"), "[[2.0, 0.0], [0.0, 1.0]]");
        let applies = [("method", "ApplyTopology")];
        let count = seen.sum("podwire_call_duration_seconds_count", &applies);
        let (sum, last) = (
            seen.sum("podwire_call_duration_seconds_sum", &applies),
            seen.sum("podwire_call_duration_seconds_bucket", &[applies[0], ("le", "+Inf")]),
        );
        assert!(
            (count - 2.0).abs() < 0.1 && (last - 2.0).abs() < 0.1 && sum > 0.0001 && sum < 60.0,
            "{count} {sum} {last}"
        );
        for stage in ["find", "look", "plan", "execute", "settle", "store"] {
            let count = seen.sum("podwire_converge_duration_seconds_count", &[("stage", stage)]);
            assert!(count >= 1.0, "{stage}: {count}");
        }
        let parts = seen.sum("podwire_converge_duration_seconds_sum", &[]);
        assert!(parts > 0.0 && parts < 60.0, "{parts}");
        assert!(seen.sum("podwire_netlink_duration_seconds_count", &[("kind", "batch")]) >= 1.0);
        assert!(seen.sum("podwire_netlink_messages_total", &[]) >= 10.0);
        assert!(seen.sum("podwire_steps_total", &[("action", "create")]) >= 3.0);
        assert!(seen.sum("podwire_store_commit_duration_seconds_count", &[]) >= 1.0);
        assert!(seen.sum("podwire_connections_total", &[("way", "unix")]) >= 1.0);
    });
}

#[test]
fn states_follow_a_pod_that_comes_and_goes() {
    private(async |lab| {
        let agent = told(lab).start().await;
        agent.apply(of_pods("12", &["bb1", "bb2"])).await.unwrap();
        let counts = async |wanted: [f64; 4]| {
            eventually("the states", async || {
                let seen = scrape().await;
                let of = |state| seen.sum("podwire_interfaces", &[("state", state)]);
                let now = [of("ready"), of("pending"), of("degraded"), of("failed")];
                holds(format!("{now:?}") == format!("{wanted:?}"), format!("{now:?}"))
            })
            .await;
        };
        counts([0.0, 2.0, 0.0, 0.0]).await;
        lab.pod("bb1");
        counts([1.0, 1.0, 0.0, 0.0]).await;
        lab.pod("bb2");
        counts([2.0, 0.0, 0.0, 0.0]).await;
        let seen = scrape().await;
        assert!(seen.sum("podwire_topologies", &[("state", "ready")]) >= 1.0);
        assert!(seen.sum("podwire_heals_total", &[("cause", "appeared"), ("result", "ok")]) >= 2.0);
        netns::remove("bb2").unwrap();
        counts([1.0, 1.0, 0.0, 0.0]).await;
        agent.delete("12").await.unwrap();
        counts([0.0; 4]).await;
    });
}
