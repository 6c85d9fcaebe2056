//! Every call of the contract, by everybody.

use podwire_proto::v1::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt;

use super::{
    Door,
    certificates::Authority,
    requests::{Takes, request},
    rules,
    wire::{call, channel},
};
use crate::private;

const VERBS: [&str; 6] = ["read", "write", "capture", "node-device", "netns", "admin"];

/// Path, and whether it streams.
fn calls() -> Vec<(String, bool)> {
    let sets = [
        FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let mut all = Vec::new();
    for set in sets {
        for file in FileDescriptorSet::decode(set).unwrap().file {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    all.push((path, method.server_streaming()));
                }
            }
        }
    }
    assert!(all.len() >= 36, "{all:?}");
    all
}

/// One who may do one thing in one place.
struct Caller {
    identity: String,
    verb: &'static str,
    namespace: &'static str,
    channel: Channel,
}

fn callers(door: &Door) -> Vec<Caller> {
    let mut all = Vec::new();
    for (namespace, place) in [("lessons", "there"), ("*", "everywhere")] {
        for verb in VERBS {
            let identity = format!("spiffe://lab/{place}/{verb}");
            let pair = door.authority.issue(&[&identity]);
            all.push(Caller { identity, verb, namespace, channel: channel(&door.authority, Some(&pair)) });
        }
    }
    all
}

/// A rule for each of them.
fn policy() -> String {
    let rule = |place: &str, namespace: &str, verb: &str| {
        super::rule(&format!("spiffe://lab/{place}/{verb}"), namespace, verb)
    };
    let lines = VERBS.map(|verb| rule("there", "lessons", verb) + &rule("everywhere", "*", verb));
    format!("rules:\n{}", lines.concat())
}

/// Asserts that the policy refused it, and said what it takes where.
fn assert_refused(status: &Status, identity: &str, verb: &str, namespace: &str, what: &str) {
    assert_eq!(status.code(), Code::PermissionDenied, "{what}: {status}");
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("{what}: {status}"));
    assert_eq!((info.reason.as_str(), info.domain.as_str()), ("POLICY", "podwire"), "{what}");
    let fact = |key: &str| info.metadata.get(key).map(String::as_str);
    assert_eq!((fact("identity"), fact("verb")), (Some(identity), Some(verb)), "{what}");
    assert_eq!(fact("namespace"), Some(namespace), "{what}");
    assert!(status.message().contains(identity) && status.message().contains(verb), "{what}: {status}");
}

#[test]
fn each_call_takes_its_verb_in_its_namespace_and_nothing_else_will_do() {
    private(async |lab| {
        let door = Door::open(lab, &policy()).await;
        let callers = callers(&door);
        let (mut granted, mut refused) = (0, 0);
        for (path, streams) in calls() {
            for namespace in ["lessons", "others"] {
                let Some((message, takes)) = request(&path, namespace) else {
                    panic!("{path} is new: write down in requests.rs what it takes, and in api/rights.rs of the agent")
                };
                for caller in &callers {
                    let what = format!("{path} in {namespace} by {}", caller.identity);
                    let may = match takes {
                        Takes::Nothing => true,
                        Takes::There(verb) => caller.verb == verb && [namespace, "*"].contains(&caller.namespace),
                        Takes::Somewhere(verb) => caller.verb == verb,
                        Takes::Everywhere(verb) => caller.verb == verb && caller.namespace == "*",
                    };
                    let answer = call(&caller.channel, &path, message.clone(), streams).await;
                    match (may, takes, answer) {
                        (true, _, answer) => {
                            let code = answer.err().map_or(Code::Ok, |status| status.code());
                            let shut =
                                [Code::PermissionDenied, Code::Unauthenticated, Code::Unavailable, Code::Internal];
                            assert!(!shut.contains(&code), "{what}: {code:?}");
                            // SandboxService is for unix sockets only.
                            assert_eq!(code == Code::Unimplemented, path.contains("SandboxService"), "{what}");
                            granted += 1;
                        }
                        (false, Takes::There(verb) | Takes::Somewhere(verb) | Takes::Everywhere(verb), answer) => {
                            let status = answer.err().unwrap_or_else(|| panic!("{what}: let in"));
                            let place = if matches!(takes, Takes::There(_)) { namespace } else { "*" };
                            assert_refused(&status, &caller.identity, verb, place, &what);
                            refused += 1;
                        }
                        (false, Takes::Nothing, _) => unreachable!(),
                    }
                }
            }
        }
        println!("{granted} granted, {refused} refused");
        assert!(granted > 150 && refused > 500, "{granted} {refused}");
    });
}

#[test]
fn without_a_right_every_call_is_refused_and_root_of_the_node_needs_none() {
    private(async |lab| {
        let door = Door::open(lab, "rules: []").await;
        let nobody = "nobody.example";
        let stranger = channel(&door.authority, Some(&door.authority.issue(&[nobody])));
        let root = door.agent.channel();
        for (path, streams) in calls() {
            let (message, takes) = request(&path, "lessons").unwrap();
            let answer = call(&stranger, &path, message.clone(), streams).await;
            match takes {
                Takes::Nothing => answer.unwrap_or_else(|status| panic!("{path}: {status}")),
                Takes::There(verb) | Takes::Somewhere(verb) | Takes::Everywhere(verb) => {
                    let status = answer.err().unwrap_or_else(|| panic!("{path}: let in"));
                    assert_refused(&status, nobody, verb, "*", &path);
                }
            }
            let by_root = call(&root, &path, message, streams).await;
            let code = by_root.err().map_or(Code::Ok, |status| status.code());
            assert!(![Code::PermissionDenied, Code::Unimplemented].contains(&code), "{path} by root: {code:?}");
        }
    });
}

#[test]
fn without_a_good_certificate_no_call_gets_in() {
    private(async |lab| {
        let door = Door::open(lab, &rules([("a.example", "*", "read, write, capture, netns, admin")])).await;
        let ours = &door.authority;
        for (kind, pair) in [
            ("no certificate", None),
            ("a wrong authority", Some(Authority::new().issue(&["a.example"]))),
            ("an expired one", Some(ours.expired("a.example"))),
            ("nobody's", Some(ours.issue(&[]))),
            ("two names", Some(ours.issue(&["a.example", "b.example"]))),
            ("a wildcard", Some(ours.issue(&["*.example"]))),
        ] {
            for (path, streams) in calls() {
                let (message, _) = request(&path, "lessons").unwrap();
                let stranger = channel(ours, pair.as_ref());
                let status = call(&stranger, &path, message, streams).await.err();
                let status = status.unwrap_or_else(|| panic!("{path} with {kind}: let in"));
                assert!(
                    [Code::Unavailable, Code::Unknown, Code::Cancelled].contains(&status.code()),
                    "{path} with {kind}: {status}"
                );
            }
        }
        let log = door.agent.log();
        assert!(log.contains("refused by TLS"), "{log}");
        let good = channel(ours, Some(&ours.issue(&["a.example"])));
        let (message, _) = request("/podwire.v1.NodeService/GetNode", "").unwrap();
        call(&good, "/podwire.v1.NodeService/GetNode", message, false).await.unwrap();
    });
}
