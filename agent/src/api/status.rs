//! Errors of the engine as gRPC statuses: the only place where a code is chosen.

mod bounded;

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, PreconditionViolation, StatusExt};

use crate::{
    causes::chain,
    domain::{assign::AssignError, name::Namespace, quota::Excess, status::State, violation::Violation},
    panel::{ChangeError, ResumeError, TopologyView, Unready},
};

use super::{
    door::{Place, Refusal},
    load::Full,
};

/// `domain` of every `ErrorInfo`.
const DOMAIN: &str = "podwire";
/// Reason of calls that are refused for how much there is to do already.
const OVERLOADED: &str = "OVERLOADED";
/// After this who was refused for that may try again.
const AGAIN: Duration = Duration::from_secs(1);

impl From<ChangeError> for Status {
    fn from(error: ChangeError) -> Self {
        let Verdict { code, reason, details } = verdict(&error);
        status(code, reason, &chain(&error), details)
    }
}

impl From<ResumeError> for Status {
    fn from(error: ResumeError) -> Self {
        let message = format!("resume_token: {error}");
        match error {
            ResumeError::Malformed => {
                let violation = Violation::new("resume_token", error.to_string());
                status(Code::InvalidArgument, "INVALID", &message, fields(std::slice::from_ref(&violation)))
            }
            ResumeError::TooSlow { token, .. } => {
                let mut details = ErrorDetails::new();
                let resume = HashMap::from([("resume_token".to_owned(), token.to_string())]);
                details.set_error_info("SLOW_WATCHER", DOMAIN, resume);
                Status::with_error_details(Code::Aborted, message, details)
            }
            ResumeError::TooOld => status(Code::OutOfRange, "RESUME_TOKEN_TOO_OLD", &message, ErrorDetails::new()),
        }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (identity, verb) = (refusal.identity, refusal.verb);
        let place = match &refusal.place {
            Place::One(namespace) => format!("namespace `{namespace}`"),
            Place::Any => "any namespace".to_owned(),
            Place::All => "all namespaces, as this call needs".to_owned(),
        };
        let message = format!("{identity} may not `{verb}` in {place}: no rule of this agent's policy allows it");
        let namespace = if let Place::One(namespace) = refusal.place { namespace.to_string() } else { "*".to_owned() };
        let mut details = ErrorDetails::new();
        let facts = [("identity", identity), ("verb", verb.to_string()), ("namespace", namespace)];
        let facts = facts.map(|(key, value)| (key.to_owned(), bounded::field(&value)));
        details.set_error_info("POLICY", DOMAIN, HashMap::from(facts));
        Status::with_error_details(Code::PermissionDenied, bounded::text(&message), details)
    }
}

/// An error of the engine for a caller who may not see every namespace: it does not say what is in the others.
pub(super) fn veiled(error: ChangeError, sees: impl Fn(&Namespace) -> bool) -> Status {
    let (field, reason, owner, taken) = match &error {
        ChangeError::Assign(AssignError::NameTaken { field, name, pod, owner }) => {
            let taken = format!("interface `{name}` of pod {pod} is taken: choose another name or none");
            (field, "NAME_TAKEN", owner, taken)
        }
        ChangeError::Assign(AssignError::AddressTaken { field, address, parent, owner }) => {
            let taken = format!("address {address} on device {parent} is taken: choose another one");
            (field, "ADDRESS_TAKEN", owner, taken)
        }
        ChangeError::Assign(AssignError::VlanTaken { field, vlan, parent, owner }) => {
            (field, "VLAN_TAKEN", owner, format!("VLAN {vlan} of device {parent} is taken: choose another one"))
        }
        _ => return error.into(),
    };
    if sees(&owner.namespace) {
        return error.into();
    }
    let message = format!("{field}: {taken}");
    let details = ErrorDetails::with_precondition_failure_violation(reason, field, bounded::item(&message));
    status(Code::FailedPrecondition, reason, &message, details)
}

/// Too many calls or captures of a namespace. With a time, the same call may succeed after it.
pub(super) fn over_quota(whose: &str, what: &str, again: Option<Duration>) -> Status {
    let again_in = again.map(|again| format!(": try again in {again:?}")).unwrap_or_default();
    let message = format!("the quota of {whose}: {what}{again_in}");
    let mut details = quota(whose, &message);
    details.set_retry_info(again);
    status(Code::ResourceExhausted, "QUOTA", &message, details)
}

/// The agent has enough to do: with this call it would be too many of something. The same call may succeed later.
pub(super) fn overloaded(full: Full, what: &str) -> Status {
    let whose = match full {
        Full::Own => "you have too many",
        Full::All => "this agent has too many",
    };
    let message = format!("{whose} {what} under way: try again in {AGAIN:?}, with fewer at a time");
    let mut details = quota("agent", &message);
    details.set_retry_info(Some(AGAIN));
    status(Code::ResourceExhausted, OVERLOADED, &message, details)
}

/// Whether a call was refused for how many there are, so that its caller is told when to come back.
pub(super) fn is_of_a_crowd(status: &Status) -> bool {
    let again = || status.get_details_retry_info().and_then(|info| info.retry_delay);
    status.code() == Code::ResourceExhausted && again().is_some()
}

/// The request did not arrive.
pub(super) fn slow_request(within: Duration) -> Status {
    let message = format!("the request was not there as a whole within {within:?}");
    status(Code::DeadlineExceeded, "SLOW_REQUEST", &message, ErrorDetails::new())
}

/// What a caller may see is not what a watch began with.
pub(super) fn policy_changed() -> Status {
    let message = "what you may see has changed: watch again without a resume token";
    status(Code::OutOfRange, "POLICY_CHANGED", message, ErrorDetails::new())
}

/// The connection takes no more calls.
pub(super) fn connection_age() -> Status {
    let message = "the connection is as old as it may become: watch again by a new one, with the last resume token";
    status(Code::Unavailable, "CONNECTION_AGE", message, ErrorDetails::new())
}

/// The caller has become nobody.
pub(super) fn certificate_expired(identity: &str) -> Status {
    let message = format!("the certificate of {identity} has expired while it was connected: connect with a new one");
    status(Code::Unauthenticated, "CERTIFICATE_EXPIRED", &message, ErrorDetails::new())
}

/// A call that came in by no door: our own mistake, and so nobody's call.
pub(super) fn without_access() -> Status {
    let message = "the call came in without an identity: this is a bug, please report it with the log";
    status(Code::Internal, "BUG", message, ErrorDetails::new())
}

/// A call that there is not.
pub(super) fn no_such_call() -> Status {
    status(
        Code::Unimplemented,
        "UNSUPPORTED",
        "this agent has no such call: is it older than its caller?",
        ErrorDetails::new(),
    )
}

/// A request message that is larger than may be.
pub(super) fn too_large(message: &str) -> Status {
    let details = quota("request message", message);
    status(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", message, details)
}

/// Bytes that are not the request message.
pub(super) fn no_message(message: &str) -> Status {
    let violation = Violation::new("", message);
    status(Code::InvalidArgument, "INVALID", message, fields(std::slice::from_ref(&violation)))
}

/// What a caller is told besides the message.
struct Verdict {
    code: Code,
    /// Stable word of the `ErrorInfo`.
    reason: &'static str,
    details: ErrorDetails,
}

/// Without a wildcard: a new kind of error does not compile until somebody decides here.
fn verdict(error: &ChangeError) -> Verdict {
    let say = |code, reason, details| Verdict { code, reason, details };
    let refuse = |reason, subject: &str| {
        let (subject, description) = (bounded::field(subject), bounded::item(&chain(error)));
        let details = ErrorDetails::with_precondition_failure_violation(reason, subject, description);
        Verdict { code: Code::FailedPrecondition, reason, details }
    };
    match error {
        ChangeError::Invalid(violations) | ChangeError::Assign(AssignError::Invalid(violations)) => {
            say(Code::InvalidArgument, "INVALID", fields(violations))
        }
        ChangeError::NotFound { kind, name } => say(Code::NotFound, "NOT_FOUND", resource(kind, name, error)),
        ChangeError::AlreadyExists { kind, name, .. } => {
            say(Code::AlreadyExists, "ALREADY_EXISTS", resource(kind, name, error))
        }
        ChangeError::Fenced { key, .. } | ChangeError::Buried { key, .. } => {
            say(Code::Aborted, "FENCED", resource("topology", &key.to_string(), error))
        }
        ChangeError::GenerationReused { key, .. } => {
            say(Code::Aborted, "GENERATION_REUSED", resource("topology", &key.to_string(), error))
        }
        ChangeError::Limit { subject, .. } => say(Code::ResourceExhausted, "LIMIT", quota(subject, &error.to_string())),
        ChangeError::Quota { namespace, excess: Excess::Count { .. } } => {
            say(Code::ResourceExhausted, "QUOTA", quota(&format!("namespace {namespace}"), &error.to_string()))
        }
        ChangeError::Quota { namespace, excess: Excess::NoLease(_) } => refuse("LEASE_REQUIRED", namespace.as_str()),
        ChangeError::Quota { namespace, excess: Excess::LongLease { .. } } => {
            refuse("LEASE_TOO_LONG", namespace.as_str())
        }
        ChangeError::Assign(AssignError::AddressesExhausted { field, .. }) => {
            say(Code::ResourceExhausted, "ADDRESSES_EXHAUSTED", quota(field, &error.to_string()))
        }
        ChangeError::Assign(AssignError::NameTaken { field, .. }) => refuse("NAME_TAKEN", field),
        ChangeError::Assign(AssignError::AddressTaken { field, .. }) => refuse("ADDRESS_TAKEN", field),
        ChangeError::Assign(AssignError::VlanTaken { field, .. }) => refuse("VLAN_TAKEN", field),
        ChangeError::NoDevice { interface, .. } => refuse("NO_DEVICE", &interface.to_string()),
        ChangeError::ManagedByApply(key) => refuse("MANAGED_BY_APPLY", &key.to_string()),
        ChangeError::ManagedByCalls(key) => refuse("MANAGED_BY_CALLS", &key.to_string()),
        ChangeError::DefaultIsForCalls => refuse("MANAGED_BY_CALLS", "default"),
        ChangeError::BridgeInUse { bridge, .. } => refuse("BRIDGE_IN_USE", bridge),
        ChangeError::Impossible { name, .. } => refuse("IMPOSSIBLE", name),
        ChangeError::PodRefused { interface, reason, .. } | ChangeError::InTheWay { interface, reason, .. } => {
            refuse(reason, &interface.to_string())
        }
        ChangeError::Uplink { bridge, reason, .. } => refuse(reason, &bridge.to_string()),
        ChangeError::NotPlugged { what, .. } => refuse("NOT_PLUGGED", what),
        ChangeError::Ended { what, .. } => say(Code::Aborted, "GONE", resource("call", what, error)),
        ChangeError::NotAllowed { field, what, .. } => {
            say(Code::PermissionDenied, "NOT_ALLOWED", resource(field, what, error))
        }
        ChangeError::Unsupported { feature, .. } => {
            say(Code::Unimplemented, "UNSUPPORTED", resource("kernel feature", feature, error))
        }
        ChangeError::NotReady(view) => say(Code::DeadlineExceeded, "NOT_READY", waiting(view)),
        ChangeError::SandboxRefused { pod, reason, .. } => refuse(reason, pod),
        ChangeError::SandboxFailed { waiting, .. } => {
            say(Code::FailedPrecondition, "INTERFACE_FAILED", unready(waiting.iter().map(preconditions)))
        }
        ChangeError::SandboxNotReady { waiting, .. } => {
            say(Code::DeadlineExceeded, "NOT_READY", unready(waiting.iter().map(preconditions)))
        }
        // A device or a namespace went away under the work: a pod ended meanwhile. A new try sees what is there now.
        ChangeError::Step { source, .. } if source.is_gone() => say(Code::Aborted, "GONE", ErrorDetails::new()),
        ChangeError::Step { source, .. } if source.is_unsupported() => {
            say(Code::Unimplemented, "UNSUPPORTED", ErrorDetails::new())
        }
        ChangeError::Step { source, .. } | ChangeError::Look { source, .. } if source.is_exhausted() => {
            say(Code::ResourceExhausted, "EXHAUSTED", ErrorDetails::new())
        }
        // What only the kernel can judge: a next hop that is not reachable, IPv6 that the pod has turned off.
        ChangeError::Step { source, step, .. } if source.is_refusal() => refuse("KERNEL_REFUSED", step),
        ChangeError::Step { .. } | ChangeError::Look { .. } | ChangeError::Listen { .. } | ChangeError::Open(_) => {
            say(Code::Internal, "KERNEL", ErrorDetails::new())
        }
        ChangeError::Store { source, .. } | ChangeError::State(source) if source.is_full() => {
            say(Code::ResourceExhausted, "STORE_FULL", quota("store", &chain(error)))
        }
        // The change was undone: the same request may succeed once the disk does, so a caller may try again.
        ChangeError::Store { .. } | ChangeError::State(_) => say(Code::Unavailable, "STORE", ErrorDetails::new()),
        ChangeError::Pods(_) | ChangeError::PodsUnknown(_) => say(Code::Unavailable, "PODS", ErrorDetails::new()),
        ChangeError::Superseded(_) => say(Code::Aborted, "SUPERSEDED", ErrorDetails::new()),
        ChangeError::StoreUnreadable(_) => refuse("STORE_UNREADABLE", "store"),
        ChangeError::ShuttingDown => say(Code::Unavailable, "SHUTTING_DOWN", ErrorDetails::new()),
        ChangeError::Bug(_) => say(Code::Internal, "BUG", ErrorDetails::new()),
    }
}

fn status(code: Code, reason: &'static str, message: &str, mut details: ErrorDetails) -> Status {
    details.set_error_info(reason, DOMAIN, HashMap::<String, String>::new());
    Status::with_error_details(code, bounded::text(message), details)
}

fn fields(violations: &[Violation]) -> ErrorDetails {
    let details =
        violations.iter().map(|v| FieldViolation::new(bounded::field(&v.field), bounded::item(&v.description)));
    let size = |v: &FieldViolation| v.field.len() + v.description.len();
    let rest = |count| FieldViolation::new("", format!("and {count} more violations"));
    ErrorDetails::with_bad_request(bounded::list(details, size, rest))
}

/// One precondition for each interface that is not READY.
fn waiting(view: &TopologyView) -> ErrorDetails {
    unready(
        view.interfaces.iter().filter(|(_, seen)| seen.state != State::Ready).map(|(id, seen)| {
            PreconditionViolation::new(word(seen.state), id.to_string(), bounded::item(&seen.reason))
        }),
    )
}

fn preconditions(each: &Unready) -> PreconditionViolation {
    PreconditionViolation::new(word(each.state), each.interface.clone(), bounded::item(&each.reason))
}

fn word(state: State) -> &'static str {
    match state {
        State::Ready => "READY",
        State::Degraded => "DEGRADED",
        State::Pending => "PENDING",
        State::Failed => "FAILED",
    }
}

fn unready(details: impl Iterator<Item = PreconditionViolation>) -> ErrorDetails {
    let size = |v: &PreconditionViolation| v.r#type.len() + v.subject.len() + v.description.len();
    let rest = |count| PreconditionViolation::new("", "", format!("and {count} more interfaces"));
    ErrorDetails::with_precondition_failure(bounded::list(details, size, rest))
}

fn resource(kind: &str, name: &str, error: &ChangeError) -> ErrorDetails {
    let description = bounded::item(&error.to_string());
    ErrorDetails::with_resource_info(bounded::field(kind), bounded::field(name), "", description)
}

fn quota(subject: &str, description: &str) -> ErrorDetails {
    ErrorDetails::with_quota_failure_violation(bounded::field(subject), bounded::item(description))
}

#[cfg(test)]
mod tests;
