//! What the agent tells Prometheus.

mod hostile;
mod logs;

use std::net::SocketAddr;

use podwire_proto::v1::{State, Topology, WatchTopologiesRequest};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, lan, nic, nic_at, plug, state, topology},
    exposition::{Exposition, request},
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
        // An alert sees that a count grows, so faults are counted from none on: of what nobody has called too.
        let (_, all) = request(address(), "GET /metrics HTTP/1.1\r\nHost: agent\r\n\r\n").await.unwrap();
        for (service, method) in [("TopologyService", "ApplyTopology"), ("CaptureService", "Capture")] {
            let count = format!(
                "podwire_calls_total{{service=\"podwire.v1.{service}\",method=\"{method}\",code=\"INTERNAL\"}} 0\n"
            );
            assert!(all.contains(&count), "{count}{all}");
        }
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

#[test]
fn the_lag_of_a_watcher_that_does_not_read_is_told() {
    private(async |lab| {
        let agent = told(lab).start().await;
        let watched = async |fits: &dyn Fn(f64, f64) -> bool| {
            eventually("watchers and lag", async || {
                let seen = scrape().await;
                let now = (seen.sum("podwire_watchers", &[]), seen.sum("podwire_watch_lag_events", &[]));
                holds(fits(now.0, now.1), format!("{now:?}"))
            })
            .await;
        };
        let request = WatchTopologiesRequest { namespace: "lessons".into(), ..Default::default() };
        let mut events = agent.topologies().watch_topologies(request).await.unwrap().into_inner();
        watched(&|watchers, lag| watchers > 0.5 && lag < 0.5).await;
        // Nobody reads: what fits into the buffers on the way is sent, the rest waits in the agent.
        let mut last = 0;
        while scrape().await.sum("podwire_watch_lag_events", &[]) < 20.0 {
            assert!(last < 1000, "a watcher that does not read has no lag");
            for generation in last + 1..=last + 50 {
                let plugs = (1..=60).map(|n| {
                    let address = format!("10.0.{}.{n}/16", generation % 250);
                    plug(&format!("p{n}"), nic_at(&format!("absent-{n}"), "net1", &[&address]), "lan")
                });
                let (bridges, attachments) = (vec![bridge("lan")], plugs.collect());
                agent.apply(Topology { generation, bridges, attachments, ..topology("one") }).await.unwrap();
            }
            last += 50;
        }
        assert!(scrape().await.sum("podwire_events_total", &[]) > 49.5);
        loop {
            let event = events.message().await.unwrap().unwrap();
            if event.topology.is_some_and(|topology| topology.generation == last) {
                break;
            }
        }
        watched(&|watchers, lag| watchers > 0.5 && lag < 0.5).await;
        drop(events);
        watched(&|watchers, _| watchers < 0.5).await;
    });
}

#[test]
fn counters_of_interfaces_are_bounded_and_those_without_are_counted() {
    private(async |lab| {
        let agent = told(lab).arg("--metrics-interfaces").arg("3").start().await;
        for (name, pods) in [("a", ["a1", "a2"]), ("b", ["b1", "b2"])] {
            for pod in pods {
                lab.pod(pod);
            }
            agent.apply(of_pods(name, &pods)).await.unwrap();
        }
        let seen = scrape().await;
        let told: Vec<&str> = seen
            .samples
            .iter()
            .filter(|(name, ..)| name == "podwire_interface_sent_bytes_total")
            .map(|(_, labels, _)| labels["topology"].as_str())
            .collect();
        assert_eq!(told, ["a", "a"], "whole topologies, in order, and no more than there may be");
        assert!((seen.sum("podwire_interfaces_left_out", &[]) - 2.0).abs() < 0.1);
        agent.delete("a").await.unwrap();
        eventually("the other one is told", async || {
            let seen = scrape().await;
            holds(
                seen.labels("podwire_interface_sent_bytes").contains("topology")
                    && seen.sum("podwire_interfaces_left_out", &[]) < 0.5,
                "",
            )?;
            let gone = seen.samples.iter().all(|(_, labels, _)| labels.get("topology").is_none_or(|name| name != "a"));
            holds(gone, "what is gone is still told")
        })
        .await;
    });
}

#[test]
fn an_address_for_metrics_that_cannot_be_had_is_named() {
    private(async |lab| {
        for (address, words) in
            [("unix:///run/metrics.sock", "tcp://ip:port"), ("tcp://192.0.2.1:9464", "--metrics-listen")]
        {
            let mut agent = lab.agent().arg("--metrics-listen").arg(address).spawn();
            assert!(!agent.ended().await.success());
            assert!(
                agent.log().contains(words) && agent.log().contains("192.0.2.1") == address.starts_with("tcp"),
                "{}",
                agent.log()
            );
        }
    });
}
