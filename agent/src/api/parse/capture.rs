//! What to capture.

use std::time::Duration;

use podwire_proto::v1::{self, capture_interface::Owner as Of, capture_request::Target, interface::Owner};

use crate::{
    api::limits::{LONGEST_CAPTURE, SNAP_LENGTH},
    domain::{
        bpf::{Instruction, Program},
        name::Namespace,
    },
    panel::{CaptureRequest, CaptureTarget, ChangeError},
};

use super::{findings::Findings, interface::owner, place::Place};

/// `Capture`.
///
/// # Errors
///
/// All violations.
pub(crate) fn capture(message: v1::CaptureRequest) -> Result<CaptureRequest, ChangeError> {
    let (at, mut found) = (Place::MESSAGE, Findings::default());
    let namespace: Option<Option<Namespace>> = found.optional(at.field("namespace"), &message.namespace, "a namespace");
    let topology = found.optional(at.field("topology"), &message.topology, "a topology name");
    let target = target(&mut found, message.target);
    let snap_length = match message.snap_length {
        0 => SNAP_LENGTH,
        bytes => bytes,
    };
    if snap_length > SNAP_LENGTH {
        found.add(at.field("snap_length"), format_args!("`{snap_length}` is more than {SNAP_LENGTH} bytes"));
    }
    let duration = message.duration.and_then(|duration| {
        let limits = (Duration::ZERO, LONGEST_CAPTURE);
        time(&mut found, at.field("duration"), duration, limits)
    });
    let filter = filter(&mut found, &message.filter);
    let request = || {
        Some(CaptureRequest {
            namespace: namespace?.unwrap_or_default(),
            topology: topology?,
            target: target?,
            snap_length,
            max_frames: Some(message.max_frames).filter(|frames| *frames > 0),
            duration: duration.filter(|duration| !duration.is_zero()),
            filter: filter?,
        })
    };
    let request = request();
    found.finish(request)
}

/// A time within limits.
pub(super) fn time(
    found: &mut Findings,
    at: Place<'_>,
    message: prost_types::Duration,
    (least, most): (Duration, Duration),
) -> Option<Duration> {
    let nanos = u32::try_from(message.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let time = u64::try_from(message.seconds).ok().zip(nanos).map(|(seconds, nanos)| Duration::new(seconds, nanos));
    match time {
        Some(time) if time >= least && time <= most => return Some(time),
        Some(time) => found.add(at, format_args!("`{time:?}` is not {least:?} to {most:?}")),
        None => found.add(at, format_args!("it is negative or not a duration: {least:?} to {most:?} may be asked for")),
    }
    None
}

fn target(found: &mut Findings, message: Option<Target>) -> Option<CaptureTarget> {
    let at = Place::MESSAGE;
    match message {
        None => {
            found.add(at.field("target"), "one of `interface`, `link` and `bridge` is required");
            None
        }
        Some(Target::Link(name)) => found.text(at.field("link"), &name, "a link name").map(CaptureTarget::Link),
        Some(Target::Bridge(name)) => found.text(at.field("bridge"), &name, "a bridge name").map(CaptureTarget::Bridge),
        Some(Target::Interface(interface)) => {
            let at = at.field("interface");
            let whose = interface.owner.map(|owner| match owner {
                Of::Pod(pod) => Owner::Pod(pod),
                Of::Netns(netns) => Owner::Netns(netns),
            });
            let owner = owner(found, at, whose);
            let name = found.text(at.field("name"), &interface.name, "an interface name");
            Some(CaptureTarget::Interface { owner: owner?, name: name? })
        }
    }
}

#[allow(clippy::option_option, reason = "outside: whether it could be parsed; inside: whether it was there")]
fn filter(found: &mut Findings, messages: &[v1::BpfInstruction]) -> Option<Option<Program>> {
    let at = Place::MESSAGE;
    let mut instructions = Vec::with_capacity(messages.len().min(4096));
    for (index, message) in messages.iter().enumerate() {
        let at = at.item("filter", index);
        let (code, jt, jf) = (u16::try_from(message.code), u8::try_from(message.jt), u8::try_from(message.jf));
        let (Ok(code), Ok(jt), Ok(jf)) = (code, jt, jf) else {
            found.add(at, "`code` is 0 to 65535, `jt` and `jf` are 0 to 255");
            return None;
        };
        instructions.push(Instruction { code, jt, jf, k: message.k });
    }
    Program::new(instructions).map_err(|error| found.add(at.item("filter", error.at), error)).ok()
}
