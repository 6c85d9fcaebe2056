//! Why a call failed.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use tonic::{Code, Status};

use crate::{connect_error::ConnectError, target::Target};

mod detail;
mod status;

pub use detail::{FieldViolation, Precondition, Resource};

/// Why a call failed: what the agent said, or that it did not answer.
///
/// `Display` is for a person: the message, then each violation on a line of its own, then a hint where there is one.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error {
    // Behind a pointer: it is large, and every call returns one.
    what: Arc<What>,
}

#[derive(Clone, Debug)]
struct What {
    code: Code,
    message: String,
    reason: Option<String>,
    violations: Vec<FieldViolation>,
    preconditions: Vec<Precondition>,
    resource: Option<Resource>,
    hint: Option<String>,
    /// The status of a connection that was not made or broke.
    cause: Option<Status>,
}

impl Error {
    /// The agent kept silent beyond the deadline.
    pub(crate) fn no_answer(target: &Target, deadline: Duration) -> Self {
        let message = format!("the agent at {target} did not answer within {deadline:?}");
        let hint = "the change may have been made all the same: repeat the call, repeats are free";
        What { hint: Some(hint.to_owned()), ..What::new(Code::DeadlineExceeded, message) }.into()
    }

    /// The agent broke the contract.
    pub(crate) fn incomplete(what: &str) -> Self {
        let hint = "are agent and client of one version?";
        let message = format!("the agent's answer has no {what}");
        What { hint: Some(hint.to_owned()), ..What::new(Code::Internal, message) }.into()
    }

    /// The gRPC status code.
    pub fn code(&self) -> Code {
        self.what.code
    }

    /// The message alone, on one line, as the agent wrote it.
    pub fn message(&self) -> &str {
        &self.what.message
    }

    /// A stable word for the cause, such as `MANAGED_BY_APPLY` or `GENERATION_REUSED`.
    pub fn reason(&self) -> Option<&str> {
        self.what.reason.as_deref()
    }

    /// Every field of the request that is wrong.
    pub fn violations(&self) -> &[FieldViolation] {
        &self.what.violations
    }

    /// Everything on the node that forbids the change.
    pub fn preconditions(&self) -> &[Precondition] {
        &self.what.preconditions
    }

    /// What the call was about.
    pub fn resource(&self) -> Option<&Resource> {
        self.what.resource.as_ref()
    }

    /// What to do next, where the client knows.
    pub fn hint(&self) -> Option<&str> {
        self.what.hint.as_deref()
    }

    /// Why the agent could not be reached, where that is why the call failed.
    pub fn connect_error(&self) -> Option<&ConnectError> {
        self.what.cause.as_ref().and_then(status::cause)
    }

    /// There is no such thing (NOT_FOUND).
    pub fn is_not_found(&self) -> bool {
        self.code() == Code::NotFound
    }

    /// It exists, but differs (ALREADY_EXISTS).
    pub fn is_already_exists(&self) -> bool {
        self.code() == Code::AlreadyExists
    }

    /// A newer scheduler owns the topology, or the generation was used for something else (ABORTED).
    pub fn is_fenced(&self) -> bool {
        self.code() == Code::Aborted && !self.is_gone() && self.reason() != Some("SUPERSEDED")
    }

    /// A pod went away while it was plugged (ABORTED with reason GONE): a new try sees what is there now.
    pub fn is_gone(&self) -> bool {
        self.code() == Code::Aborted && self.reason() == Some("GONE")
    }

    /// The request is wrong (INVALID_ARGUMENT): see [`violations`](Self::violations).
    pub fn is_invalid(&self) -> bool {
        self.code() == Code::InvalidArgument
    }

    /// The agent is away or going (UNAVAILABLE).
    pub fn is_unavailable(&self) -> bool {
        self.code() == Code::Unavailable
    }

    /// The same call may succeed later: the agent was away or not done in time, or a pod went meanwhile. Every call of the contract may be
    /// repeated safely.
    pub fn is_retryable(&self) -> bool {
        self.is_unavailable() || self.is_deadline() || self.is_gone()
    }

    /// The deadline passed (DEADLINE_EXCEEDED). What was asked may have been done, and stays.
    pub fn is_deadline(&self) -> bool {
        self.code() == Code::DeadlineExceeded
    }

    /// The node's kernel or the agent lacks it (UNIMPLEMENTED).
    pub fn is_unimplemented(&self) -> bool {
        self.code() == Code::Unimplemented
    }

    /// A limit or an address range is used up (RESOURCE_EXHAUSTED).
    pub fn is_exhausted(&self) -> bool {
        self.code() == Code::ResourceExhausted
    }

    /// The state of the node forbids it (FAILED_PRECONDITION): see [`preconditions`](Self::preconditions).
    pub fn is_precondition(&self) -> bool {
        self.code() == Code::FailedPrecondition
    }

    /// The caller or the agent's configuration does not allow it (PERMISSION_DENIED).
    pub fn is_denied(&self) -> bool {
        self.code() == Code::PermissionDenied
    }

    /// The resume token of a watch is too old or of another run of the agent (OUT_OF_RANGE): watch without one.
    pub fn is_token_expired(&self) -> bool {
        self.code() == Code::OutOfRange
    }
}

impl From<What> for Error {
    fn from(what: What) -> Self {
        Self { what: Arc::new(what) }
    }
}

impl What {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            reason: None,
            violations: Vec::new(),
            preconditions: Vec::new(),
            resource: None,
            hint: None,
            cause: None,
        }
    }

    /// The message without the violations that it repeats: they follow on lines of their own.
    fn headline(&self) -> &str {
        let first = self.violations.first().map(ToString::to_string);
        match first.and_then(|violation| self.message.find(&violation)) {
            Some(start) if start > 0 => self.message[..start].trim_end_matches([':', ' ']),
            _ => &self.message,
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headline = self.headline();
        f.write_str(headline)?;
        for violation in self.violations.iter().map(ToString::to_string) {
            if violation != headline {
                write!(f, "\n  {violation}")?;
            }
        }
        for precondition in &self.preconditions {
            if !headline.contains(&precondition.description) {
                write!(f, "\n  {precondition}")?;
            }
        }
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl StdError for What {
    /// How the connection broke. A connect error is no source: its words are the message already.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let status = self.cause.as_ref()?;
        status::cause::<ConnectError>(status).is_none().then(|| status.source())?
    }
}
