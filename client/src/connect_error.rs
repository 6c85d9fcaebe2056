//! Why an agent could not be reached.

use std::{convert::Infallible, io, time::Duration};

use crate::target::{Target, TargetError};

/// Why an agent could not be reached: the target, what was seen and what to do.
///
/// `Display` says all of it, so what was seen is a field and not a source, which reports would print again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The target cannot be read.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no such socket file.
    #[error(
        "cannot reach the agent at {target}: there is no such socket\n\
         hint: is the agent running? it listens on unix:///run/podwire/agent.sock by default"
    )]
    NoSocket {
        /// Where.
        target: Target,
        /// What the kernel said.
        seen: io::Error,
    },
    /// The socket is for another user.
    #[error(
        "cannot reach the agent at {target}: permission denied\n\
         hint: the socket is for root: mode 0600"
    )]
    Denied {
        /// Where.
        target: Target,
        /// What the kernel said.
        seen: io::Error,
    },
    /// Nobody listens there.
    #[error("cannot reach the agent at {target}: nobody listens there\nhint: {hint}", hint = refused_hint(.target))]
    Refused {
        /// Where.
        target: Target,
        /// What the kernel said.
        seen: io::Error,
    },
    /// The connection was not made in time.
    #[error(
        "cannot reach the agent at {target}: no connection within {after:?}\n\
         hint: is the node up, and does a firewall drop the packets?"
    )]
    TimedOut {
        /// Where.
        target: Target,
        /// How long was tried.
        after: Duration,
    },
    /// Connecting failed in another way.
    #[error("cannot reach the agent at {target}: {seen}\nhint: {hint}", hint = unreachable_hint(.target))]
    Io {
        /// Where.
        target: Target,
        /// What the kernel said.
        seen: io::Error,
    },
    /// What listens there does not speak HTTP/2.
    #[error("what listens at {target} does not speak gRPC: {seen}\nhint: is it the agent's address, and without TLS?")]
    Handshake {
        /// Where.
        target: Target,
        /// What went wrong.
        seen: hyper::Error,
    },
}

impl ConnectError {
    pub(crate) fn from_io(target: Target, seen: io::Error) -> Self {
        match seen.kind() {
            io::ErrorKind::NotFound if target.is_unix() => Self::NoSocket { target, seen },
            io::ErrorKind::PermissionDenied if target.is_unix() => Self::Denied { target, seen },
            io::ErrorKind::ConnectionRefused => Self::Refused { target, seen },
            _ => Self::Io { target, seen },
        }
    }
}

impl From<Infallible> for ConnectError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

fn refused_hint(target: &Target) -> &'static str {
    if target.is_unix() {
        "the socket file is there but its agent is gone: start the agent, it takes the file over"
    } else {
        "is the agent running, and was it told to listen there with --listen?"
    }
}

fn unreachable_hint(target: &Target) -> &'static str {
    if target.is_unix() {
        "it must be the agent's socket: unix:///run/podwire/agent.sock by default"
    } else {
        "is the host's name right, and is there a route to it?"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_of_root_says_so() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let error = ConnectError::from_io(Target::default(), denied());
        assert_eq!(
            error.to_string(),
            "cannot reach the agent at unix:///run/podwire/agent.sock: permission denied\n\
             hint: the socket is for root: mode 0600"
        );
    }

    #[test]
    fn any_other_failure_says_what_was_seen() {
        let target: Result<Target, _> = "tcp://node-1:7411".parse();
        let seen = io::Error::new(io::ErrorKind::HostUnreachable, "no route to host");
        let text = ConnectError::from_io(target.unwrap_or_default(), seen).to_string();
        assert!(text.starts_with("cannot reach the agent at tcp://node-1:7411: no route to host\nhint: "), "{text}");
    }
}
