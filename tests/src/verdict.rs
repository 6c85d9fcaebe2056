//! What an answer of the API says besides its code.

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The stable reason of an error, such as `MANAGED_BY_APPLY`. Empty: it has none.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// The fields that a request was refused for, in order.
pub fn fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().map(|details| details.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

/// Checks code and fields of a refusal. Each of `expected` must be a field that is named, or have one below it.
///
/// # Panics
///
/// Another code, or a field is not named.
#[track_caller]
pub fn assert_refused(status: &Status, code: Code, expected: &[&str]) {
    assert_eq!(status.code(), code, "{status}");
    let fields = fields(status);
    for field in expected {
        assert!(fields.iter().any(|each| each.starts_with(field)), "`{field}` is not among {fields:?}: {status}");
    }
}
