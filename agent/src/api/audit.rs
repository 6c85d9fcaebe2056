//! What is written down of calls: each one that was refused for who made it, and each one that changes or films something.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    caller::Caller,
    pace::More,
    rights::{Need, need},
    trace::Trace,
};
use crate::domain::policy::Verb;

/// Keeps what is written down. It is asked before the caller has the answer.
pub trait Auditor: Send + Sync + std::fmt::Debug {
    /// Writes it down. What cannot be written is for the auditor to tell.
    fn note(&self, entry: &Entry);
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Always `audit`: other lines may go the same way.
    pub kind: &'static str,
    /// When it was answered, RFC 3339 in UTC.
    pub time: String,
    /// Its id in the log and in the answer.
    pub id: String,
    /// The trace that it belongs to, as its caller says. Empty: he says nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace: String,
    /// Who.
    pub who: String,
    /// From where.
    pub from: String,
    /// Service and method.
    pub call: String,
    /// What it is about: a namespace, a topology or an element. Empty: refused before it was read, or about the node.
    pub object: String,
    /// The status as gRPC calls it, or `CALLER_GONE`: it is not known whether what was asked was done.
    pub result: String,
    /// The reason of an error.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What the caller was told.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Of handshakes that were refused, and of calls of one caller that were refused for how many they are: they are not written
    /// down each, so many more there were since the last line of one.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
}

/// In the place of a code: the caller went away, and it is not known whether what was asked was done.
pub(super) const CALLER_GONE: &str = "CALLER_GONE";

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The longest message that a stranger has a part in.
const STRANGE_CHARS: usize = 512;

impl Entry {
    /// Somebody who did not get in, and `more` before him of whom nothing was written down.
    pub fn stranger(from: String, message: &str, more: u64) -> Self {
        Self {
            kind: "audit",
            time: now(),
            id: String::new(),
            trace: String::new(),
            who: String::new(),
            from,
            call: "TLS".to_owned(),
            object: String::new(),
            result: word(Code::Unauthenticated).to_owned(),
            reason: "TLS_HANDSHAKE".to_owned(),
            message: message.chars().take(STRANGE_CHARS).collect(),
            more,
        }
    }
}

fn now() -> String {
    prost_types::Timestamp::from(SystemTime::now()).to_string()
}

/// A call that may be written down.
#[derive(Debug)]
pub(super) struct Audited {
    auditor: Arc<dyn Auditor>,
    id: String,
    trace: String,
    path: String,
    who: String,
    from: String,
    /// What it turns out to be about, once its message is read.
    object: Mutex<String>,
}

impl Audited {
    /// A call that has come in.
    pub(super) fn new(auditor: Arc<dyn Auditor>, id: String, path: &str, caller: &Caller) -> Self {
        let (who, from) = (caller.identity().to_string(), caller.from().to_owned());
        Self { auditor, id, trace: String::new(), path: path.to_owned(), who, from, object: Mutex::default() }
    }

    /// The same, of this trace.
    pub(super) fn of(self, trace: Option<Trace<'_>>) -> Self {
        Self { trace: trace.map(|trace| trace.id.to_owned()).unwrap_or_default(), ..self }
    }

    /// It was answered; `None`: well, or as a stream. And so many before it were refused as this one is.
    pub(super) fn end(&self, status: Option<&Status>, more: More) {
        let code = status.map_or(Code::Ok, Status::code);
        let refused = matches!(code, Code::PermissionDenied | Code::Unauthenticated | Code::ResourceExhausted);
        if refused || changes(&self.path) {
            self.note(word(code), status, more);
        }
    }

    /// Its caller went away.
    pub(super) fn left(&self) {
        if changes(&self.path) {
            self.note(CALLER_GONE, None, More(0));
        }
    }

    /// It is about this, more exactly than was known.
    pub(super) fn is_about(&self, object: String) {
        *self.object.lock().unwrap_or_else(PoisonError::into_inner) = object;
    }

    /// Its answer, a stream, was cut off for who made it.
    pub(super) fn cut(&self, status: &Status) {
        self.note(word(status.code()), Some(status), More(0));
    }

    fn note(&self, result: &str, status: Option<&Status>, more: More) {
        let details = status.map(StatusExt::get_error_details);
        let reason = details.and_then(|details| details.error_info().map(|info| info.reason.clone()));
        self.auditor.note(&Entry {
            kind: "audit",
            time: now(),
            id: self.id.clone(),
            trace: self.trace.clone(),
            who: self.who.clone(),
            from: self.from.clone(),
            call: self.path.trim_start_matches('/').to_owned(),
            object: self.object.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            result: result.to_owned(),
            reason: reason.unwrap_or_default(),
            message: status.map(|status| status.message().to_owned()).unwrap_or_default(),
            more: more.0,
        });
    }
}

/// Whether a call changes something, or shows frames.
fn changes(path: &str) -> bool {
    let harmless = path.ends_with("/PlanTopology") || path.ends_with("/ListNetns") || path.ends_with("/CheckSandbox");
    match need(path) {
        Some(Need::Namespace(verb) | Need::Somewhere(verb) | Need::Everywhere(verb)) => verb != Verb::Read && !harmless,
        Some(Need::Nothing) | None => false,
    }
}

/// As <https://grpc.io/docs/guides/status-codes/> has them.
pub(super) fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
