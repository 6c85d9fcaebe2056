#![allow(clippy::unwrap_used)]

use std::time::Instant;

use proptest::prelude::*;

use super::*;

const POD: &str = "K8S_POD_NAMESPACE=lessons;K8S_POD_NAME=bb1";

fn environment(command: &str) -> impl Fn(&str) -> Option<OsString> {
    move |name: &str| {
        Some(OsString::from(match name {
            "CNI_COMMAND" => command,
            "CNI_CONTAINERID" => "0f",
            "CNI_NETNS" => "/run/netns/x",
            "CNI_IFNAME" => "eth0",
            "CNI_ARGS" => POD,
            _ => return None,
        }))
    }
}

fn run(environment: &dyn Fn(&str) -> Option<OsString>, input: &[u8]) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(plugin(environment, input))
}

fn call(command: &str, more: &str) -> (Value, bool) {
    let input = format!(
        r#"{{"cniVersion": "1.1.0", "name": "n", "agent": "unix:///nowhere/agent.sock", "prevResult": {{"x": 1}} {more}}}"#
    );
    let outcome = run(&environment(command), input.as_bytes());
    let said = if outcome.stdout.is_empty() { Value::Null } else { serde_json::from_str(&outcome.stdout).unwrap() };
    (said, outcome.failed)
}

#[test]
fn versions_are_listed() {
    let outcome = run(&environment("VERSION"), b"");
    let said: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(said["cniVersion"], "1.1.0");
    assert_eq!(said["supportedVersions"], json!(["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
    let outcome = run(&environment("VERSION"), br#"{"cniVersion": "0.4.0"}"#);
    assert!(outcome.stdout.contains(r#""cniVersion":"0.4.0""#), "{}", outcome.stdout);
}

#[test]
fn without_an_agent_the_configuration_decides() {
    let started = Instant::now();
    assert_eq!(call("ADD", ""), (json!({"cniVersion": "1.1.0", "x": 1}), false));
    for command in ["CHECK", "STATUS"] {
        assert_eq!(call(command, ""), (Value::Null, false), "{command}");
    }
    for (command, code) in [("ADD", 11), ("CHECK", 11), ("STATUS", 50)] {
        let (said, failed) = call(command, r#", "agentAway": "closed""#);
        assert!(failed && said["code"] == code, "{command}: {said}");
        assert!(said["details"].as_str().unwrap().contains("/nowhere/agent.sock"), "{said}");
    }
    for more in ["", r#", "agentAway": "closed""#] {
        assert_eq!(call("DEL", more), (Value::Null, false));
        assert_eq!(call("GC", &format!(r#"{more}, "cni.dev/valid-attachments": []"#)), (Value::Null, false));
    }
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn gc_without_a_list_removes_nothing() {
    let (said, failed) = call("GC", "");
    assert!(failed && said["code"] == 7, "{said}");
}

#[test]
fn a_target_that_is_none_is_the_configurations_mistake() {
    let input = br#"{"cniVersion": "1.0.0", "agent": "agent.sock", "prevResult": {}}"#;
    for command in ["ADD", "CHECK", "STATUS"] {
        let outcome = run(&environment(command), input);
        assert!(outcome.failed && outcome.stdout.contains(r#""code":7"#), "{command}: {}", outcome.stdout);
    }
    assert!(!run(&environment("DEL"), input).failed, "a pod that goes is not held up");
}

fn any_input() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        Just(r#""cniVersion": "1.1.0""#.to_owned()),
        Just(r#""cniVersion": "0.4.0""#.to_owned()),
        Just(r#""agent": "unix:///nowhere/agent.sock""#.to_owned()),
        Just(r#""prevResult": {"interfaces": 1, "ips": {}}"#.to_owned()),
        Just(r#""prevResult": {}"#.to_owned()),
        Just(r#""cni.dev/valid-attachments": [{"containerID": "ä"}]"#.to_owned()),
        Just(r#""agentAway": "closed""#.to_owned()),
        "\"[a-zA-Z./-]{0,20}\": (null|1|\\[\\]|\\{\\}|\"x\")",
    ];
    let config = proptest::collection::vec(field, 0..6)
        .prop_map(|fields| format!("{{{}, \"agent\": \"unix:///nowhere/a\"}}", fields.join(",")).into_bytes());
    prop_oneof![config, proptest::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn whatever_is_said_the_answer_is_json(
        command in prop_oneof![Just("ADD"), Just("DEL"), Just("CHECK"), Just("GC"), Just("STATUS"), Just("VERSION"), Just("x")],
        id in proptest::option::of("\\PC{0,20}"),
        args in proptest::option::of(prop_oneof![Just(POD.to_owned()), "\\PC{0,40}"]),
        input in any_input(),
    ) {
        let get = |name: &str| match name {
            "CNI_COMMAND" => Some(command.into()),
            "CNI_CONTAINERID" | "CNI_NETNS" | "CNI_IFNAME" => id.clone().map(OsString::from),
            "CNI_ARGS" => args.clone().map(OsString::from),
            _ => None,
        };
        let outcome = run(&get, &input);
        if outcome.failed {
            let said: Value = serde_json::from_str(&outcome.stdout).unwrap();
            prop_assert!(said["code"].as_u64().unwrap() > 0 && said["cniVersion"].is_string(), "{}", said);
        } else if !outcome.stdout.is_empty() {
            prop_assert!(serde_json::from_str::<Value>(&outcome.stdout).unwrap().is_object());
        }
    }
}
