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
    /// The target wants TLS, and this client was built without it.
    #[error(
        "cannot reach the agent at {target}: this client was built without TLS\n\
         hint: build podwire-client with its feature `tls`"
    )]
    NoTls {
        /// Where.
        target: Target,
    },
    /// The target wants TLS, and the client has no certificate.
    #[error(
        "cannot reach the agent at {target}: TLS takes a certificate, its key and the agents' authority\n\
         hint: give all three: --tls-cert, --tls-key and --tls-ca of the command, `Tls::new` in a program"
    )]
    NoCertificate {
        /// Where.
        target: Target,
    },
    /// The client has a certificate, and the target is not encrypted.
    #[error(
        "the agent at {target} was not asked: files of TLS are given, and there nothing would be encrypted\n\
         hint: write tls://, or leave the files out"
    )]
    Plaintext {
        /// Where.
        target: Target,
    },
    /// A file of the client cannot be used.
    #[error(
        "cannot reach the agent at {target}: {problem}\nhint: put the file right, it is read at each new connection"
    )]
    TlsFile {
        /// Where.
        target: Target,
        /// Which file, and what is wrong with it.
        problem: String,
    },
    /// The agent's certificate is not trusted.
    #[error("the agent at {target} is not trusted: {seen}\nhint: {hint}")]
    Untrusted {
        /// Where.
        target: Target,
        /// What is wrong with its certificate.
        seen: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The agent refused the client's certificate.
    #[error("the agent at {target} refused this client's certificate: {seen}\nhint: {hint}")]
    CertificateRefused {
        /// Where.
        target: Target,
        /// What it said.
        seen: io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The handshake broke.
    #[error(
        "what listens at {target} broke off the TLS handshake: {seen}\n\
         hint: is it the agent's address, does it speak TLS, and does its log say why?"
    )]
    TlsHandshake {
        /// Where.
        target: Target,
        /// What was seen.
        seen: io::Error,
    },
    /// What listens there does not speak HTTP/2.
    #[error(
        "what listens at {target} does not speak gRPC: {seen}\nhint: is it the agent's address, and does it speak TLS there (tls://)?"
    )]
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

#[cfg(feature = "tls")]
impl ConnectError {
    /// What rustls saw, in whichever of the two handshakes.
    pub(crate) fn from_tls(target: Target, seen: io::Error) -> Self {
        use rustls::{AlertDescription as Alert, CertificateError as Wrong, Error as Problem};
        let refused = |target, seen, hint| Self::CertificateRefused { target, seen, hint };
        let hint = match seen.get_ref().and_then(|cause| cause.downcast_ref::<Problem>()) {
            Some(Problem::InvalidCertificate(wrong)) => {
                let hint = match wrong {
                    Wrong::UnknownIssuer => "is --tls-ca the authority that signed the agent's certificate?",
                    Wrong::Expired | Wrong::ExpiredContext { .. } => "have the agent's certificate renewed",
                    Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                        "the certificate is for another name: is it the right host? --tls-server-name takes a DNS name \
                         or a SPIFFE ID to expect in its place"
                    }
                    _ => "look at the certificate that the agent was given",
                };
                return Self::Untrusted { target, seen, hint };
            }
            Some(Problem::AlertReceived(alert)) => match alert {
                Alert::UnknownCA | Alert::DecryptError => {
                    "it is signed by an authority that is not in the agent's --tls-client-ca"
                }
                Alert::CertificateExpired => "have it renewed; the new file is read at the next connection",
                Alert::CertificateRevoked => "its authority has revoked it: have another one issued",
                Alert::CertificateRequired => "the agent saw none: is the file of --tls-cert empty?",
                Alert::BadCertificate
                | Alert::CertificateUnknown
                | Alert::AccessDenied
                | Alert::UnsupportedCertificate => {
                    "it must name exactly one SPIFFE ID or DNS name in its subject alternative names; the agent's log says more"
                }
                _ => return Self::TlsHandshake { target, seen },
            },
            _ => return Self::TlsHandshake { target, seen },
        };
        refused(target, seen, hint)
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
