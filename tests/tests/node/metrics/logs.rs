//! What the log says of a call: its id, and the trace that it belongs to.

use std::fs;

use podwire_proto::v1::{ApplyTopologyRequest, GetTopologyRequest};
use podwire_tests::elements::topology;
use serde_json::Value;
use tonic::{Request, metadata::MetadataValue};

use crate::private;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[test]
fn each_line_within_a_call_has_its_id_and_its_trace() {
    private(async |lab| {
        let audit = lab.directory().join("audit.log");
        let agent = lab.agent().arg("--log-format").arg("json").arg("--audit-log").arg(audit.display().to_string());
        let agent = agent.start().await;
        let traced = |value: &str| {
            let message = ApplyTopologyRequest { topology: Some(topology("12")), force: false, until_ready: false };
            let mut request = Request::new(message);
            request.metadata_mut().insert("traceparent", MetadataValue::try_from(value).unwrap());
            request
        };
        let good = traced(&format!("00-{TRACE}-b7ad6b7169203331-01"));
        let answer = agent.topologies().apply_topology(good).await.unwrap();
        let id = answer.metadata().get("podwire-request-id").unwrap().to_str().unwrap().to_owned();
        // No trace is no reason to refuse a call.
        for bad in [format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()), "nonsense".to_owned(), "é".repeat(20)]
        {
            let Ok(value) = MetadataValue::try_from(bad.as_str()) else { continue };
            let mut request = Request::new(GetTopologyRequest { namespace: "lessons".into(), name: "no-such".into() });
            request.metadata_mut().insert("traceparent", value);
            assert_eq!(
                agent.topologies().get_topology(request).await.unwrap_err().code(),
                tonic::Code::NotFound,
                "{bad}"
            );
        }
        let log = agent.log();
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
            .collect();
        let event =
            lines.iter().find(|line| line["fields"]["topology"] == "lessons/12").expect("the event of the change");
        assert_eq!((&event["span"]["id"], &event["span"]["trace_id"]), (&id.as_str().into(), &TRACE.into()), "{event}");
        assert_eq!(event["span"]["parent_id"], "b7ad6b7169203331");
        let refused: Vec<&Value> = lines.iter().filter(|line| line["fields"]["message"] == "refused").collect();
        assert!(refused.len() >= 2, "{log}");
        for line in refused {
            assert!(line["span"]["id"].is_string() && line["span"]["trace_id"].is_null(), "{line}");
        }
        let audited = fs::read_to_string(audit).unwrap();
        let first: Value = serde_json::from_str(audited.lines().next().unwrap()).unwrap();
        assert_eq!(first["id"], id.as_str(), "one id for the answer, the log and the audit");
        assert_eq!(first["trace"], TRACE);
    });
}
