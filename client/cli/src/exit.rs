//! Why a command failed, and the exit status that says so.

use std::{io, path::PathBuf, process::ExitCode};

use podwire_client::{ConnectError, Error};

use crate::{manifest::Invalid, netlink::NetlinkError, wanted::Waited};

/// What `--help` says about exit statuses.
pub(crate) const HELP: &str = "\
Exit status:
  0  done
  1  the agent refused, or something failed
  2  the command line is wrong
  3  a manifest cannot be read or is invalid; nothing was sent
  4  the agent cannot be reached
  5  not done, or not READY, before the deadline; what was asked for stays
  6  the answer to the question was no
  7  `doctor` or `verify` found something";

/// Exit status of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// The agent refused, or something failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A manifest cannot be read or is invalid; nothing was sent.
    Manifest = 3,
    /// The agent cannot be reached.
    Unreachable = 4,
    /// Not done, or not READY, before the deadline.
    Deadline = 5,
    /// The answer to the question was no.
    Declined = 6,
    /// `doctor` or `verify` found something.
    Ailing = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The agent answered with an error, or not in time.
    #[error(transparent)]
    Call(#[from] Error),
    /// The agent cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A manifest is invalid.
    #[error(transparent)]
    Manifest(#[from] Invalid),
    /// A manifest cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Written {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The output cannot be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
    /// The contract has no such message.
    #[error("cannot write `{message}` as a document: {problem}")]
    Document {
        /// The message.
        message: &'static str,
        /// Why.
        problem: String,
    },
    /// There is no element of this name.
    #[error("there is no {kind} `{name}`")]
    Missing {
        /// What was looked for.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// What is asked for is asked for by name.
    #[error("which {0}? give its name")]
    Unnamed(&'static str),
    /// Interfaces of the own network namespace did not come in time.
    #[error(transparent)]
    Waited(#[from] Waited),
    /// The kernel does not show the own network namespace.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// The answer to the question was no.
    #[error("nothing was changed")]
    Declined,
    /// What was asked for cannot be done as it was written.
    #[error("{problem}\nhint: {hint}")]
    Usage {
        /// What is wrong.
        problem: String,
        /// What to do instead.
        hint: String,
    },
    /// `doctor` or `verify` found something.
    #[error("found {0}")]
    Ailing(String),
}

impl Failure {
    /// The exit status for it.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Call(error) if error.is_deadline() => Exit::Deadline,
            Self::Call(error) if error.is_unavailable() => Exit::Unreachable,
            Self::Connect(ConnectError::Target(_)) | Self::Usage { .. } | Self::Unnamed(_) => Exit::Usage,
            Self::Waited(_) => Exit::Deadline,
            Self::Connect(_) => Exit::Unreachable,
            Self::Manifest(_) | Self::File { .. } => Exit::Manifest,
            Self::Declined => Exit::Declined,
            Self::Ailing(_) => Exit::Ailing,
            Self::Call(_)
            | Self::Output(_)
            | Self::Written { .. }
            | Self::Netlink(_)
            | Self::Document { .. }
            | Self::Missing { .. } => Exit::Failed,
        }
    }
}
