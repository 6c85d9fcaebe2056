//! Requests of callers: parse, check, assign, plan, store and show, one after the other on one node.
//!
//! An input is a line for each request, its name and the message as JSON, or one byte for its number and the message as
//! protobuf.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podwire_agent::{
    api::fuzzing::{Asked, Message, asked, shown},
    domain::{
        check::check,
        desired::{Desired, desired},
        edit::edit,
        intent::Intent,
        plan::fuzzing::Node,
        spec::TopologySpec,
    },
    store::{self, Record},
};
use podwire_fuzz::{
    intent::{decide, planned, view},
    message::message,
};
use podwire_proto::v1;
use tonic::Status;

/// Requests of one input.
const MOST: usize = 16;

/// Bytes of what the strictest client takes as headers.
const HEADER_BYTES: usize = 8192;

const NAMES: [&str; 16] = [
    "ApplyTopology",
    "CreateBridge",
    "CreateLink",
    "Attach",
    "UpdateLink",
    "UpdateAttachment",
    "DeleteBridge",
    "DeleteLink",
    "Detach",
    "Capture",
    "VerifyLink",
    "PlugSandbox",
    "RetainSandboxes",
    "WatchTopologies",
    "RenewLeases",
    "ListAttachments",
];

fuzz_target!(|data: &[u8]| {
    let mut topology = Topology::default();
    for message in messages(data) {
        let asked = match asked(message) {
            Ok(asked) => asked,
            Err(status) => {
                fits(&status);
                continue;
            }
        };
        let possible = match asked {
            Asked::Apply(apply) => topology.becomes(&apply.spec),
            Asked::Change(change) => {
                let empty = TopologySpec::empty(change.key.clone());
                let before = topology.intent.as_ref().map(|intent| &intent.spec).filter(|it| it.key == change.key);
                match edit(before.unwrap_or(&empty), &change.edit) {
                    Ok(Some(spec)) => topology.becomes(&spec),
                    Ok(None) => true,
                    Err(error) => !error.to_string().is_empty(),
                }
            }
            Asked::Capture(_) | Asked::Other => true,
        };
        if !possible {
            return;
        }
    }
});

/// A topology and the node that it is on.
#[derive(Default)]
struct Topology {
    intent: Option<Intent>,
    desired: Option<Desired>,
    node: Node,
}

impl Topology {
    /// Makes the node look like a spec, unless it is refused. False: of a sound spec the kernel refused what only a kernel
    /// can judge, so that what comes next would begin with a half of it.
    fn becomes(&mut self, spec: &TopologySpec) -> bool {
        let former = self.intent.as_ref().filter(|intent| intent.spec.key == spec.key);
        let Some(intent) = decide(spec, former) else { return true };
        let desired = desired(&intent);
        if former.is_none() {
            *self = Self::default();
        }
        stored(&intent, self.intent.as_ref());
        shows(&intent, &desired);
        self.node.start(desired.nics.iter().map(|nic| nic.key.pod.clone()));
        let plan = planned(&desired, self.desired.as_ref(), &self.node.observe());
        if let Err(refused) = self.node.execute(&plan.steps) {
            // Whether a gateway is reached, and what a device of the node can, is seen only there.
            assert!(refused.contains("ENETUNREACH") || refused.contains("EINVAL"), "{refused}");
            return false;
        }
        let again = planned(&desired, self.desired.as_ref(), &self.node.observe());
        assert!(again.steps.is_empty(), "{:#?}\nare left after\n{:#?}", again.steps, plan.steps);
        (self.intent, self.desired) = (Some(intent), Some(desired));
        true
    }
}

/// What is stored is read again as it was.
fn stored(intent: &Intent, former: Option<&Intent>) {
    let record = Record::Live { intent: intent.clone().into(), former: former.cloned().map(Into::into) };
    let bytes = store::fuzzing::record_bytes(&record).expect("it can be stored");
    let read = store::fuzzing::record(&intent.spec.key.to_string(), &bytes);
    assert_eq!(read, Ok((intent.spec.key.clone(), record)));
}

/// What a caller is shown can be applied, and changes nothing.
fn shows(intent: &Intent, desired: &Desired) {
    let topology = Some(shown(&view(intent)));
    let request = v1::ApplyTopologyRequest { topology, ..Default::default() };
    let apply = match asked(Message::ApplyTopology(request)) {
        Ok(Asked::Apply(apply)) => apply,
        other => panic!("what is shown is refused: {other:?}"),
    };
    let violations = check(&apply.spec);
    assert!(violations.is_empty(), "what is shown is refused: {violations:?}");
    let again = decide(&apply.spec, Some(intent)).expect("what is shown can be decided");
    assert_eq!(self::desired(&again), *desired);
}

/// A refusal says something, and every client takes its headers.
fn fits(status: &Status) {
    assert!(!status.message().is_empty());
    let response = status.clone().into_http::<()>();
    let bytes: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    assert!(bytes <= HEADER_BYTES, "{bytes} bytes of headers: {status:?}");
}

fn messages(data: &[u8]) -> Vec<Message> {
    match data.split_first() {
        Some((number, bytes)) if usize::from(*number) < NAMES.len() => {
            one(NAMES[usize::from(*number)], bytes).into_iter().collect()
        }
        _ => {
            let lines = data.split(|byte| *byte == b'\n').take(MOST);
            let request = |line: &[u8]| {
                let space = line.iter().position(|byte| *byte == b' ')?;
                one(std::str::from_utf8(&line[..space]).ok()?, &line[space + 1..])
            };
            lines.filter_map(request).collect()
        }
    }
}

fn one(name: &str, bytes: &[u8]) -> Option<Message> {
    let name = NAMES.iter().find(|it| **it == name)?;
    Some(match *name {
        "ApplyTopology" => Message::ApplyTopology(message("ApplyTopologyRequest", bytes)?),
        "CreateBridge" => Message::CreateBridge(message("CreateBridgeRequest", bytes)?),
        "CreateLink" => Message::CreateLink(message("CreateLinkRequest", bytes)?),
        "Attach" => Message::Attach(message("AttachRequest", bytes)?),
        "UpdateLink" => Message::UpdateLink(message("UpdateLinkRequest", bytes)?),
        "UpdateAttachment" => Message::UpdateAttachment(message("UpdateAttachmentRequest", bytes)?),
        "DeleteBridge" => Message::DeleteBridge(message("DeleteBridgeRequest", bytes)?),
        "DeleteLink" => Message::DeleteLink(message("DeleteLinkRequest", bytes)?),
        "Detach" => Message::Detach(message("DetachRequest", bytes)?),
        "Capture" => Message::Capture(message("CaptureRequest", bytes)?),
        "VerifyLink" => Message::VerifyLink(message("VerifyLinkRequest", bytes)?),
        "PlugSandbox" => Message::PlugSandbox(message("PlugSandboxRequest", bytes)?),
        "RetainSandboxes" => Message::RetainSandboxes(message("RetainSandboxesRequest", bytes)?),
        "WatchTopologies" => Message::WatchTopologies(message("WatchTopologiesRequest", bytes)?),
        "RenewLeases" => Message::RenewLeases(message("RenewLeasesRequest", bytes)?),
        _ => Message::ListAttachments(message("ListAttachmentsRequest", bytes)?),
    })
}
