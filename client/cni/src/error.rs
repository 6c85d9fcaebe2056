//! Errors as the specification has them (section "Error").

use serde_json::json;

use crate::version::Version;

/// What kind of error it is, by the number that the specification gives it; from 100 on they are the plugin's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Code {
    /// The configuration is of a version that the plugin does not speak.
    IncompatibleVersion = 1,
    /// An environment variable is missing or wrong.
    InvalidEnvironment = 4,
    /// Standard input cannot be read.
    Io = 5,
    /// Standard input is not JSON.
    Undecodable = 6,
    /// The configuration is wrong.
    InvalidConfig = 7,
    /// It may succeed later.
    TryAgainLater = 11,
    /// STATUS: an ADD would fail.
    NotAvailable = 50,
    /// The agent refused.
    Refused = 100,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[error("{message}: {details}")]
pub(crate) struct CniError {
    pub(crate) code: Code,
    /// In a few words.
    pub(crate) message: String,
    /// In full.
    pub(crate) details: String,
}

impl CniError {
    pub(crate) fn new(code: Code, message: impl Into<String>, details: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: details.into() }
    }

    /// What goes to standard output.
    pub(crate) fn render(&self, version: Version) -> String {
        // Runtimes show both, in one line.
        json!({
            "cniVersion": version.as_str(),
            "code": self.code as u32,
            "msg": format!("podwire: {}", self.message),
            "details": self.details.replace('\n', "; "),
        })
        .to_string()
    }
}
