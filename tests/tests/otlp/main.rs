//! Spans for a collector of OpenTelemetry: an agent that is built with the feature `otlp`, in a private kernel.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]
#![allow(missing_docs, reason = "the names of the tests say what they prove")]

mod collector;

use std::{
    net::TcpListener,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind, status::StatusCode};
use podwire_agent::spans::CollectorError;
use podwire_proto::v1::{ApplyTopologyRequest, GetTopologyRequest};
use podwire_tests::{
    condition::{eventually, holds},
    elements::topology,
    lab::{Lab, agent::Agent},
    private::{self, User},
};
use tonic::{Request, metadata::MetadataValue};

use self::collector::{Collector, hex, text};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
const GET: &str = "podwire.v1.TopologyService/GetTopology";

fn private(test: impl AsyncFnOnce(&Lab)) {
    private::run(env!("CARGO_BIN_EXE_private"), User::Caller, test);
}

/// The agent refuses what the list of system calls lacks: see [`podwire_tests::lab::agent::seccomp`].
async fn agent(lab: &Lab, collector: &str) -> Agent {
    lab.agent().arg("--otlp-endpoint").arg(collector).arg("--log-format").arg("json").start().await
}

/// Asks for a topology that is not there, and returns the id of the call.
async fn ask(agent: &Agent, traceparent: Option<&str>) -> String {
    let mut request = Request::new(GetTopologyRequest { namespace: "lessons".into(), name: "no-such".into() });
    if let Some(value) = traceparent {
        request.metadata_mut().insert("traceparent", MetadataValue::try_from(value).unwrap());
    }
    let status = agent.topologies().get_topology(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound, "{status}");
    status.metadata().get("podwire-request-id").unwrap().to_str().unwrap().to_owned()
}

async fn arrived(collector: &Collector, id: &str) -> Span {
    eventually("the span of the call arrives", async || collector.span(id).ok_or("it is not there")).await
}

fn lines<'a>(log: &'a str, of: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(of)).collect()
}

#[test]
fn an_endpoint_is_a_host_and_a_port_without_tls() {
    type Endpoint = podwire_agent::spans::Collector;
    for good in ["http://127.0.0.1:4317", "http://[::1]:4317", "http://collector.monitoring:4317/"] {
        assert!(good.parse::<Endpoint>().is_ok(), "{good}");
    }
    for bad in ["http://", "http://:4317", "http://127.0.0.1", "http://a:4317/v1/traces", "http://a:0", "http://u@a:1"]
    {
        assert_eq!(bad.parse::<Endpoint>(), Err(CollectorError::Address), "{bad}");
    }
    for bad in ["", "127.0.0.1:4317", "https://127.0.0.1:4317", "tcp://127.0.0.1:4317"] {
        assert_eq!(bad.parse::<Endpoint>(), Err(CollectorError::Scheme), "{bad}");
    }
}

#[test]
fn the_span_of_a_call_goes_on_from_its_caller() {
    private(async |lab| {
        let collector = Collector::start().await;
        let agent = agent(lab, &collector.address("127.0.0.1")).await;

        let id = ask(&agent, Some(&format!("00-{TRACE}-{PARENT}-01"))).await;
        let span = arrived(&collector, &id).await;
        assert_eq!((hex(&span.trace_id).as_str(), hex(&span.parent_span_id).as_str()), (TRACE, PARENT), "{span:?}");
        assert_eq!((span.name.as_str(), span.kind), (GET, SpanKind::Server as i32));
        assert_eq!(text(&span.attributes, "method").as_deref(), Some(GET));
        assert_eq!(text(&span.attributes, "rpc.method").as_deref(), Some("GetTopology"));
        assert!(text(&span.attributes, "who").unwrap().starts_with("uid:"), "{span:?}");
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
        assert!(span.events.iter().any(|event| event.name == "refused"), "what the log says of it: {span:?}");
        let failed = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
        assert!(!failed, "it is no fault of ours: {span:?}");

        let message = ApplyTopologyRequest { topology: Some(topology("12")), force: false, until_ready: false };
        let mut request = Request::new(message);
        let value = MetadataValue::try_from(format!("00-{TRACE}-{PARENT}-01")).unwrap();
        request.metadata_mut().insert("traceparent", value);
        let answer = agent.topologies().apply_topology(request).await.unwrap();
        let span = arrived(&collector, answer.metadata().get("podwire-request-id").unwrap().to_str().unwrap()).await;
        assert_eq!((hex(&span.trace_id).as_str(), hex(&span.parent_span_id).as_str()), (TRACE, PARENT), "{span:?}");

        let resource = collector.resource();
        assert_eq!(text(&resource, "service.name").as_deref(), Some("podwire-agent"));
        assert_eq!(text(&resource, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert_eq!(text(&resource, "host.name").as_deref(), Some("lab"));
    });
}

#[test]
fn a_call_without_a_good_trace_is_a_root_and_one_that_is_not_recorded_is_not_sent() {
    private(async |lab| {
        let collector = Collector::start().await;
        let agent = agent(lab, &collector.address("127.0.0.1")).await;
        let unrecorded = ask(&agent, Some(&format!("00-{TRACE}-{PARENT}-00"))).await;
        let upper = format!("00-{}-{PARENT}-01", TRACE.to_uppercase());
        let mut seen = Vec::new();
        for bad in [None, Some("nonsense"), Some(upper.as_str()), Some("00-0af7651916cd43dd8448eb211c80319c-01")] {
            let id = ask(&agent, bad).await;
            let span = arrived(&collector, &id).await;
            assert_eq!((span.parent_span_id.len(), span.trace_id.len()), (0, 16), "{bad:?}: {span:?}");
            assert_ne!(hex(&span.trace_id), TRACE, "{bad:?}");
            assert!(!seen.contains(&span.trace_id), "each a trace of its own");
            seen.push(span.trace_id);
        }
        // Spans keep their order, so it would be there.
        assert_eq!(collector.span(&unrecorded), None, "the caller said that nobody records it");
    });
}

#[test]
fn the_last_spans_are_sent_when_the_agent_leaves() {
    private(async |lab| {
        let collector = Collector::start().await;
        let mut agent = agent(lab, &collector.address("localhost")).await;
        let id = ask(&agent, None).await;
        assert!(agent.terminate().await.success(), "{}", agent.log());
        assert!(collector.span(&id).is_some(), "it is there when the agent is not: {}", agent.log());
    });
}

#[test]
fn a_collector_that_is_away_costs_a_line_and_is_found_when_it_comes() {
    private(async |lab| {
        // A port that nobody has.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let agent = agent(lab, &format!("http://127.0.0.1:{port}")).await;
        for _ in 0..20 {
            ask(&agent, None).await;
        }
        let away = "spans do not reach the collector";
        eventually("the log says so", async || holds(!lines(&agent.log(), away).is_empty(), agent.log())).await;
        let collector = Collector::start_at(port).await;
        // More than one batch, and each may be the first that arrives.
        eventually("a span arrives", async || {
            let id = ask(&agent, None).await;
            holds(collector.span(&id).is_some() || collector.any(), agent.log())
        })
        .await;
        let log = agent.log();
        assert_eq!(lines(&log, away).len(), 1, "{log}");
        eventually("the log says so", async || {
            holds(lines(&agent.log(), "spans reach the collector again").len() == 1, agent.log())
        })
        .await;
    });
}

#[test]
fn a_collector_that_says_nothing_holds_nobody_up() {
    private(async |lab| {
        // Connections to it are made by the kernel, and nobody takes them.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut agent = agent(lab, &format!("http://{}", silent.local_addr().unwrap())).await;
        // More than the queue takes.
        for _ in 0..2500 {
            ask(&agent, None).await;
        }
        let begun = Instant::now();
        assert!(agent.terminate().await.success(), "{}", agent.log());
        let took = begun.elapsed();
        // Four batches are in the queue, each of which would be tried for 5 s.
        assert!(took < Duration::from_secs(15), "2 s for the last spans, and not {took:?}");
        assert_eq!(lines(&agent.log(), "the last spans did not reach the collector").len(), 1, "{}", agent.log());
    });
}
