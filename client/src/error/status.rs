//! From a gRPC status to an [`Error`].

use std::{error::Error as StdError, iter, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{Error, FieldViolation, Precondition, Resource, What};
use crate::{connect_error::ConnectError, target::Target};

/// What tonic's server says, with CANCELLED, of a handler that outlives the caller's deadline.
const TONIC_TIMEOUT: &str = "Timeout expired";

impl Error {
    /// What came of a call: what the agent said, or how the connection to it failed.
    pub(crate) fn from_status(status: Status, target: &Target) -> Self {
        if let Some(error) = cause::<ConnectError>(&status) {
            let text = error.to_string();
            let (message, hint) = text.split_once("\nhint: ").unzip();
            let hint = hint.map(ToOwned::to_owned);
            let message = message.unwrap_or(&text);
            What { hint, cause: Some(status.clone()), ..What::new(Code::Unavailable, message) }.into()
        } else if cause::<hyper::Error>(&status).is_some() {
            let message = format!("the agent at {target} hung up before its answer was complete");
            let hint = if target.is_unix() || target.is_tls() {
                "it may be restarting: repeat the call, repeats are free"
            } else {
                "it may be restarting: repeat the call, repeats are free; or does it speak TLS there? then write tls://"
            };
            let hint = Some(hint.to_owned());
            What { hint, cause: Some(status), ..What::new(Code::Unavailable, message) }.into()
        } else {
            Self::from(status)
        }
    }

    /// The same of a call with a deadline.
    pub(crate) fn from_call(status: Status, target: &Target, deadline: Duration) -> Self {
        if status.code() == Code::Cancelled && status.message() == TONIC_TIMEOUT {
            Self::no_answer(target, deadline)
        } else {
            Self::from_status(status, target)
        }
    }
}

impl From<Status> for Error {
    /// What an agent said, with all its details.
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let mut what = What::new(status.code(), status.message());
        what.reason = details.error_info().map(|info| info.reason.clone());
        if let Some(request) = details.bad_request() {
            what.violations.extend(request.field_violations.iter().map(|violation| FieldViolation {
                field: violation.field.clone(),
                description: violation.description.clone(),
            }));
        }
        if let Some(failure) = details.precondition_failure() {
            what.preconditions.extend(failure.violations.iter().map(|violation| Precondition {
                kind: violation.r#type.clone(),
                subject: violation.subject.clone(),
                description: violation.description.clone(),
            }));
        }
        what.resource = details.resource_info().map(|info| Resource {
            kind: info.resource_type.clone(),
            name: info.resource_name.clone(),
            owner: info.owner.clone(),
            description: info.description.clone(),
        });
        what.into()
    }
}

/// The first error of this type below a status.
pub(super) fn cause<E: StdError + 'static>(status: &Status) -> Option<&E> {
    let mut chain = iter::successors(status.source(), |&error: &&(dyn StdError + 'static)| error.source());
    chain.find_map(|error| error.downcast_ref())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{io, sync::Arc};

    use tonic_types::ErrorDetails;

    use super::*;

    type Predicate = fn(&Error) -> bool;

    fn rich(code: Code, message: &str, details: ErrorDetails) -> Error {
        Status::with_error_details(code, message, details).into()
    }

    #[test]
    fn every_violation_has_a_line_of_its_own() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("links[2].a.addresses[0]", "`10.0.0.300/24` is not an address");
        details.add_bad_request_violation("bridges[0].name", "`br%d` is not a name");
        let error = rich(Code::InvalidArgument, "the request has 2 violations", details);
        assert!(error.is_invalid() && !error.is_retryable());
        assert_eq!(error.violations().len(), 2);
        assert_eq!(error.violations()[1].field, "bridges[0].name");
        assert_eq!(
            error.to_string(),
            "the request has 2 violations\n  \
             links[2].a.addresses[0]: `10.0.0.300/24` is not an address\n  \
             bridges[0].name: `br%d` is not a name"
        );
    }

    #[test]
    fn violations_that_the_message_lists_are_shown_once() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("a", "is wrong");
        details.add_bad_request_violation("b", "too");
        let error = rich(Code::InvalidArgument, "2 violations: a: is wrong; b: too", details);
        assert_eq!(error.message(), "2 violations: a: is wrong; b: too");
        assert_eq!(error.to_string(), "2 violations\n  a: is wrong\n  b: too");
    }

    #[test]
    fn a_message_that_is_one_violation_stays_readable() {
        let details = ErrorDetails::with_bad_request_violation("a", "is wrong");
        let error = rich(Code::InvalidArgument, "a: is wrong", details);
        assert_eq!(error.to_string(), "a: is wrong");
    }

    #[test]
    fn reason_preconditions_and_resource_come_through() {
        let mut details = ErrorDetails::with_error_info(
            "MANAGED_BY_APPLY",
            "podwire",
            [("a", "b")].map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        details.add_precondition_failure_violation("MANAGED_BY_APPLY", "lessons/12", "ApplyTopology owns it");
        details.set_resource_info("topology", "lessons/12", "", "change its document and apply it");
        let error = rich(Code::FailedPrecondition, "refused", details);
        assert!(error.is_precondition());
        assert_eq!(error.reason(), Some("MANAGED_BY_APPLY"));
        let precondition = &error.preconditions()[0];
        assert_eq!((precondition.kind.as_str(), precondition.subject.as_str()), ("MANAGED_BY_APPLY", "lessons/12"));
        assert_eq!(error.resource().unwrap().kind, "topology");
        assert_eq!(error.to_string(), "refused\n  lessons/12: ApplyTopology owns it");
    }

    #[test]
    fn garbage_in_the_details_loses_only_the_details() {
        let garbage = tonic::codegen::Bytes::from_static(b"\xff\xff\xff");
        let error = Error::from(Status::with_details(Code::NotFound, "gone", garbage));
        assert!(error.is_not_found());
        assert_eq!((error.to_string().as_str(), error.reason()), ("gone", None));
    }

    #[test]
    fn each_code_has_its_predicate() {
        let holds: [(Code, Predicate); 11] = [
            (Code::NotFound, Error::is_not_found),
            (Code::AlreadyExists, Error::is_already_exists),
            (Code::Aborted, Error::is_fenced),
            (Code::InvalidArgument, Error::is_invalid),
            (Code::Unavailable, Error::is_unavailable),
            (Code::DeadlineExceeded, Error::is_deadline),
            (Code::Unimplemented, Error::is_unimplemented),
            (Code::ResourceExhausted, Error::is_exhausted),
            (Code::FailedPrecondition, Error::is_precondition),
            (Code::PermissionDenied, Error::is_denied),
            (Code::OutOfRange, Error::is_token_expired),
        ];
        for (code, _) in &holds {
            let error = Error::from(Status::new(*code, "x"));
            let true_ones: Vec<_> = holds.iter().filter(|(_, holds)| holds(&error)).map(|(code, _)| *code).collect();
            assert_eq!(true_ones, [*code]);
            assert_eq!(error.is_retryable(), matches!(code, Code::Unavailable | Code::DeadlineExceeded));
        }
    }

    #[test]
    fn not_everything_that_is_aborted_is_fenced() {
        for (reason, fenced) in [("FENCED", true), ("GENERATION_REUSED", true), ("GONE", false), ("SUPERSEDED", false)]
        {
            let mut details = tonic_types::ErrorDetails::new();
            details.set_error_info(reason, "podwire", std::collections::HashMap::<String, String>::new());
            let error = Error::from(Status::with_error_details(Code::Aborted, "x", details));
            assert_eq!((error.is_fenced(), error.is_retryable()), (fenced, reason == "GONE"), "{reason}");
        }
    }

    #[test]
    fn an_agent_out_of_reach_says_it_once_with_a_hint() {
        let gone = io::Error::from(io::ErrorKind::NotFound);
        let connect = ConnectError::from_io(Target::default(), gone);
        let expected = connect.to_string();
        let mut status = Status::unavailable("unused");
        status.set_source(Arc::new(connect));
        let error = Error::from_status(status, &Target::default());
        assert!(error.is_unavailable());
        assert_eq!(error.to_string(), expected);
        assert!(matches!(error.connect_error(), Some(ConnectError::NoSocket { .. })));
        assert!(error.source().is_none());
        assert!(!error.message().contains('\n') && error.hint().unwrap().contains("is the agent running?"));
    }
}
