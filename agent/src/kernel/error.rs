//! Errors of the kernel room: operation, object, errno and the kernel's own sentence.

use std::io;

use nix::errno::Errno;

/// Why something that was asked of the kernel was not done.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A system call failed.
    #[error("{operation} {object}: {}", .errno.desc())]
    Call {
        /// The system call or what it was for.
        operation: &'static str,
        /// What it was done to.
        object: String,
        /// Why.
        errno: Errno,
    },
    /// The kernel refused a netlink request.
    #[error("{operation}: {}{}", .errno.desc(), in_brackets(.sentence))]
    Netlink {
        /// The request: `RTM_NEWLINK`.
        operation: &'static str,
        /// Why.
        errno: Errno,
        /// The kernel's own sentence (extended ack); may be empty.
        sentence: String,
    },
    /// The kernel did not answer a netlink request.
    #[error("{operation}: no answer within {seconds} s: another process may hold the RTNL lock")]
    Silent {
        /// The request.
        operation: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// A dump was interrupted by changes again and again.
    #[error("{operation}: the table changed under {tries} dumps in a row: try again")]
    Unsteady {
        /// The request.
        operation: &'static str,
        /// How often it was tried.
        tries: usize,
    },
    /// An answer of the kernel does not parse.
    #[error("{operation}: the kernel's answer does not parse: {problem}")]
    Garbled {
        /// The request.
        operation: &'static str,
        /// What the parser says.
        problem: String,
    },
    /// An interface did not become able to pass frames.
    #[error("it is configured but does not forward after {milliseconds} ms: {seen}")]
    NotForwarding {
        /// How long was waited.
        milliseconds: u64,
        /// What was seen.
        seen: String,
    },
    /// The thread that worked in a namespace died.
    #[error("a thread in namespace {0} panicked: this is a bug")]
    Panicked(String),
    /// A device that a step needs is not there any more.
    #[error("{0} is not there any more")]
    Vanished(String),
    /// A file that the kernel room writes or reads.
    #[error("{operation} {path}")]
    File {
        /// What was done.
        operation: &'static str,
        /// To which file.
        path: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The netns library's words.
    #[error("namespace {name}")]
    Netns {
        /// Which namespace.
        name: String,
        /// Why not.
        #[source]
        source: netns_rs::Error,
    },
}

impl KernelError {
    /// The thing is gone: deleted while it was worked on. Not a failure where it was to be removed.
    pub fn is_gone(&self) -> bool {
        match self {
            Self::Call { errno, .. } => matches!(errno, Errno::ENODEV | Errno::ENOENT | Errno::ESRCH),
            Self::Netlink { errno, operation, .. } => match errno {
                Errno::ENODEV | Errno::ENOENT | Errno::ESRCH => true,
                // Of an address that is to be removed; of one that is to be added it means that nobody can have it.
                Errno::EADDRNOTAVAIL => *operation == "RTM_DELADDR",
                _ => false,
            },
            Self::Vanished(_) => true,
            Self::File { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Silent { .. }
            | Self::Unsteady { .. }
            | Self::Garbled { .. }
            | Self::NotForwarding { .. }
            | Self::Panicked(_)
            | Self::Netns { .. } => false,
        }
    }

    /// The thing is there already.
    pub fn is_present(&self) -> bool {
        matches!(self, Self::Call { errno: Errno::EEXIST, .. } | Self::Netlink { errno: Errno::EEXIST, .. })
    }

    /// The kernel does not know how.
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::Netlink { errno: Errno::EOPNOTSUPP, .. } | Self::Call { errno: Errno::EOPNOTSUPP, .. })
    }

    /// The kernel answered, and the answer is no.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Netlink { .. })
    }

    /// The agent or the node has no more descriptors, threads or memory.
    pub fn is_exhausted(&self) -> bool {
        use Errno::{EAGAIN, EMFILE, ENFILE, ENOBUFS, ENOMEM};
        matches!(
            self,
            Self::Call { errno: EMFILE | ENFILE | ENOMEM | EAGAIN, .. } | Self::Netlink { errno: ENOMEM | ENOBUFS, .. }
        )
    }

    /// A filter that the kernel does not take.
    pub fn is_bad_filter(&self) -> bool {
        matches!(self, Self::Call { operation: "filter", errno: Errno::EINVAL, .. })
    }

    /// The kernel has no sockets of this kind.
    pub fn is_no_such_socket(&self) -> bool {
        matches!(self, Self::Call { operation: "open", errno: Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT, .. })
    }

    pub(crate) fn call(operation: &'static str, object: impl Into<String>, errno: Errno) -> Self {
        Self::Call { operation, object: object.into(), errno }
    }

    pub(crate) fn io(operation: &'static str, object: impl Into<String>, error: &io::Error) -> Self {
        Self::call(operation, object, Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)))
    }
}

fn in_brackets(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(" ({text})") }
}
