//! What the door tells Prometheus, and that the alerts, the dashboard and the documentation name nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use podwire_client::Client;
use podwire_tests::{
    condition::{eventually, holds},
    elements::{lan, nic, plug, topology},
    exposition::Exposition,
    manifest,
};
use serde_json::Value;

use super::{ADDRESS, Door, rules, wire};
use crate::private;

const TOLD: &str = "127.0.0.1:9464";

async fn open(lab: &podwire_tests::lab::Lab, policy: &str, audit: &str) -> Door {
    Door::open_with(lab, policy, |agent| {
        let agent = agent.arg("--metrics-listen").arg(format!("tcp://{TOLD}")).arg("--metrics-interfaces").arg("10");
        agent.arg("--audit-log").arg(audit)
    })
    .await
}

async fn scrape() -> Exposition {
    Exposition::scrape(TOLD.parse().unwrap()).await.unwrap()
}

#[test]
fn refused_connections_bad_files_and_lost_lines_are_counted() {
    private(async |lab| {
        let policy = rules([("a.example", "*", "read, write")]);
        let door = open(lab, &policy, "/dev/full").await;
        door.client("a.example").await.apply(topology("12")).await.unwrap();
        let nobody = door.authority.issue(&["a.example", "b.example"]);
        for pair in [Some(&nobody), None] {
            wire::call(&wire::channel(&door.authority, pair), "/x/y", Vec::new(), false).await.unwrap_err();
        }
        super::write(&super::policy_file(lab), "rules: nonsense");
        eventually("it is told", async || {
            let seen = scrape().await;
            let is = |name: &str, labels: &[(&str, &str)], least: f64| {
                let sum = seen.sum(name, labels);
                holds(sum >= least, format!("{name} {labels:?}: {sum}"))
            };
            is("podwire_connections_refused_total", &[("reason", "handshake")], 1.0)?;
            is("podwire_connections_refused_total", &[("reason", "identity")], 1.0)?;
            is("podwire_connections_total", &[("way", "tls")], 1.0)?;
            is("podwire_audit_lines_lost_total", &[], 1.0)?;
            is("podwire_reloads_total", &[("files", "policy"), ("result", "refused")], 1.0)?;
            is("podwire_files_sound", &[("files", "tls")], 1.0)?;
            holds(seen.sum("podwire_files_sound", &[("files", "policy")]) < 0.5, "the policy is sound")
        })
        .await;
        let log = door.agent.log();
        assert!(log.contains("refused by TLS") && log.contains("the certificate has 2 URIs and DNS names"), "{log}");
        let seen = scrape().await;
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!(seen.sum("podwire_certificate_expiry_timestamp_seconds", &[]) > now);
        let taken = seen.sum("podwire_files_taken_timestamp_seconds", &[("files", "policy")]);
        assert!(taken > now - 600.0 && taken <= now + 1.0, "{taken} {now}");
        door.change_policy(&policy).await;
        eventually("it is sound", async || {
            holds(scrape().await.sum("podwire_files_sound", &[("files", "policy")]) > 0.5, "not sound")
        })
        .await;
    });
}

#[test]
fn names_that_a_caller_makes_up_are_no_labels() {
    private(async |lab| {
        let door = open(lab, &rules([("a.example", "*", "read, write")]), "-").await;
        let channel = wire::channel(&door.authority, Some(&door.authority.issue(&["a.example"])));
        let ask = async |n: usize| {
            let path = format!("/podwire.v1.TopologyService/Evil{n}");
            wire::call(&channel, &path, Vec::new(), false).await.unwrap_err();
            let client = door.client("a.example").await;
            client.get_topology(&format!("namespace-{n}"), "x").await.unwrap_err();
        };
        ask(0).await;
        let before = scrape().await.samples.len();
        for n in 1..50 {
            ask(n).await;
        }
        let seen = eventually("all are counted", async || {
            let seen = scrape().await;
            let other = seen.sum("podwire_calls_total", &[("service", "other"), ("method", "other")]);
            holds(other >= 49.5, other).map(|()| seen)
        })
        .await;
        assert_eq!(seen.samples.len(), before);
        let named = seen.samples.iter().find(|(_, labels, _)| labels.values().any(|value| value.contains("vil")));
        assert_eq!(named, None);
    });
}

/// Labels that Prometheus adds.
const ADDED: [&str; 4] = ["instance", "job", "le", "__rate_interval"];

/// Metrics that Prometheus makes itself.
const ITS_OWN: [&str; 1] = ["up"];

#[test]
fn alerts_dashboard_and_documentation_name_what_the_agent_tells() {
    private(async |lab| {
        let door = open(lab, &rules([("a.example", "*", "read, write")]), "-").await;
        lab.pod("bb1");
        let mut wanted = topology("12");
        wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
        wanted.attachments = vec![plug("p", nic("bb1", "net1"), "lan")];
        Client::connect(door.agent.address()).await.unwrap().apply(wanted).await.unwrap();
        let _tls = door.client("a.example").await;
        let seen = scrape().await;
        assert!(ADDRESS != TOLD && seen.has("podwire_interface_sent_bytes_total"));

        let mut wrong = Vec::new();
        for (place, expression) in expressions() {
            wrong.extend(check(&expression, &seen).into_iter().map(|wrong| format!("{place}: {wrong}")));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");

        let (table, documented) = (table(&seen), fs::read_to_string(root().join("docs/metrics.md")).unwrap());
        assert!(documented.contains(&table), "docs/metrics.md has not this table:\n{table}");
    });
}

#[test]
fn each_alert_has_a_section_that_says_what_to_do_and_each_section_an_alert() {
    let operations = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let sections: BTreeSet<&str> = operations.lines().filter_map(|line| line.strip_prefix("### Alert: ")).collect();
    let mut alerts = BTreeSet::new();
    for rule in rules_of_alerts() {
        let name = rule["alert"].as_str().unwrap().to_owned();
        let anchor = format!("docs/operations.md#alert-{}", name.to_lowercase());
        assert_eq!(rule["annotations"]["runbook_url"], anchor.as_str(), "{name}");
        assert!(rule["annotations"]["summary"].as_str().is_some_and(|summary| summary.len() > 20), "{name}");
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        alerts.insert(name);
    }
    assert_eq!(sections, alerts.iter().map(String::as_str).collect());
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn rules_of_alerts() -> Vec<Value> {
    let file = manifest::file("monitoring/alerts.yaml").unwrap();
    let groups = file[0]["groups"].as_array().unwrap();
    let rules: Vec<Value> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
    assert!(rules.len() > 10);
    rules
}

/// All expressions, and where they stand.
fn expressions() -> Vec<(String, String)> {
    fn walk(value: &Value, place: &str, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value.as_str().filter(|_| key == "expr" || key == "query" && value != "prometheus") {
                        Some(text) => found.push((place.to_owned(), text.to_owned())),
                        None => walk(value, &format!("{place}.{key}"), found),
                    }
                }
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(at, item)| walk(item, &format!("{place}[{at}]"), found));
            }
            _ => {}
        }
    }
    let text = fs::read_to_string(manifest::folder().join("monitoring/dashboard.json")).unwrap();
    let mut found = Vec::new();
    walk(&serde_json::from_str(&text).unwrap(), "dashboard", &mut found);
    assert!(found.len() > 20, "{found:?}");
    let rules = rules_of_alerts();
    found.extend(rules.iter().map(|rule| (rule["alert"].to_string(), rule["expr"].as_str().unwrap().to_owned())));
    found
}

/// What is wrong with an expression: metrics that are not told, labels that they do not have, values that no sample has.
fn check(expression: &str, seen: &Exposition) -> Vec<String> {
    let (mut wrong, mut named) = (Vec::new(), BTreeSet::new());
    let mut metrics = 0;
    let word = |character: char| character.is_alphanumeric() || character == '_';
    let mut rest = expression;
    while let Some(at) = rest.find("podwire_") {
        let name: String = rest[at..].chars().take_while(|character| word(*character)).collect();
        rest = &rest[at + name.len()..];
        metrics += 1;
        if !seen.has(&name) {
            wrong.push(format!("`{name}` is not told"));
            continue;
        }
        named.extend(seen.labels(seen.family(&name).unwrap()));
        let Some((matchers, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else { continue };
        for matcher in matchers.split(',') {
            let label: String = matcher.chars().take_while(|character| word(*character)).collect();
            let (operator, value) = matcher[label.len()..].split_once('"').unwrap();
            let value = value.trim_end_matches('"');
            let values: BTreeSet<&str> = seen
                .samples
                .iter()
                .filter(|(of, ..)| *of == name)
                .filter_map(|(_, labels, _)| labels.get(&label))
                .map(String::as_str)
                .collect();
            if values.is_empty() && !ADDED.contains(&label.as_str()) {
                wrong.push(format!("`{name}` has no label `{label}`"));
            } else if operator == "=" && !values.contains(value) {
                wrong.push(format!("no `{name}` has {label}=\"{value}\": {values:?}"));
            }
        }
    }
    if metrics == 0 && !ITS_OWN.iter().any(|own| expression.starts_with(own)) {
        wrong.push(format!("no metric: {expression}"));
    }
    let mut rest = expression;
    while let Some((_, after)) = rest.split_once("by (") {
        let (labels, after) = after.split_once(')').unwrap();
        for label in labels.split(',').map(str::trim) {
            if !named.contains(label) && !ADDED.contains(&label) {
                wrong.push(format!("none of its metrics has the label `{label}`"));
            }
        }
        rest = after;
    }
    wrong
}

/// The table of the documentation.
fn table(seen: &Exposition) -> String {
    let mut rows = BTreeMap::new();
    for (name, family) in &seen.families {
        let suffix = match family.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels: Vec<String> = seen.labels(name).iter().map(|label| format!("`{label}`")).collect();
        let row = format!("| `{name}{suffix}` | {} | {} | {} |\n", family.kind, labels.join(", "), family.help);
        rows.insert(name, row);
    }
    format!("| name | kind | labels | meaning |\n|---|---|---|---|\n{}", rows.into_values().collect::<String>())
}
