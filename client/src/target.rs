//! Where an agent listens.

use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use http::uri::Authority;

/// Where the agent of this node listens unless it was told otherwise.
pub const DEFAULT_TARGET: &str = "unix:///run/podwire/agent.sock";

/// Where an agent listens: `unix:///path/of/socket`, `tls://host:port`, or without encryption `tcp://host:port`.
///
/// `https://host:port` is read as `tls://host:port` and `http://host:port` as `tcp://host:port`. An IPv6 address stands in brackets: `tcp://[::1]:7411`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Place);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Unix(PathBuf),
    Tcp {
        /// Name or address, without brackets.
        host: String,
        port: u16,
        /// Whether TLS is spoken there.
        tls: bool,
    },
}

/// A target that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not a target: {problem}\nhint: {hint}", hint = TargetError::HINT)]
pub struct TargetError {
    given: String,
    problem: &'static str,
}

impl TargetError {
    const HINT: &str = "write unix:///run/podwire/agent.sock or tls://node-1:7411";
}

impl Target {
    /// A unix socket by its absolute path.
    ///
    /// # Errors
    ///
    /// The path is relative or not UTF-8.
    pub fn unix(path: impl Into<PathBuf>) -> Result<Self, TargetError> {
        let path = path.into();
        let problem = match path.to_str() {
            Some(text) if text.starts_with('/') => return Ok(Self(Place::Unix(path))),
            Some(_) => "the path of the socket must be absolute",
            None => "the path of the socket must be UTF-8",
        };
        Err(TargetError { given: path.display().to_string(), problem })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0
    }

    /// The same host and port, and TLS there. A unix socket stays what it is.
    pub fn with_tls(self) -> Self {
        match self.0 {
            Place::Tcp { host, port, .. } => Self(Place::Tcp { host, port, tls: true }),
            unix @ Place::Unix(_) => Self(unix),
        }
    }

    /// Whether TLS is spoken there.
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Place::Tcp { tls: true, .. })
    }

    /// Whether it is a socket of this node.
    pub fn is_unix(&self) -> bool {
        matches!(self.0, Place::Unix(_))
    }
}

impl Default for Target {
    /// [`DEFAULT_TARGET`].
    fn default() -> Self {
        Self(Place::Unix(DEFAULT_TARGET.trim_start_matches("unix://").into()))
    }
}

impl From<SocketAddr> for Target {
    /// TCP at this address and port, without encryption.
    fn from(address: SocketAddr) -> Self {
        Self(Place::Tcp { host: address.ip().to_string(), port: address.port(), tls: false })
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(given: &str) -> Result<Self, TargetError> {
        let refuse = |problem| TargetError { given: given.to_owned(), problem };
        let Some((scheme, rest)) = given.split_once("://") else {
            return Err(refuse("it has no scheme"));
        };
        match scheme {
            "unix" if rest.len() > 1 && rest.starts_with('/') => Ok(Self(Place::Unix(rest.into()))),
            "unix" => Err(refuse("the path of the socket must be absolute, so three slashes")),
            "tcp" | "http" => host_and_port(rest, false).map(Self).map_err(refuse),
            "tls" | "https" => host_and_port(rest, true).map(Self).map_err(refuse),
            _ => Err(refuse("the scheme is neither unix nor tls nor tcp")),
        }
    }
}

fn host_and_port(rest: &str, tls: bool) -> Result<Place, &'static str> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#', '@']) {
        return Err("only host and port may follow the scheme");
    }
    let authority: Authority = rest.parse().map_err(|_| "host and port cannot be read")?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err("the host is missing");
    }
    match authority.port_u16() {
        Some(port) if port > 0 => Ok(Place::Tcp { host: host.to_owned(), port, tls }),
        _ => Err("the port is missing or not one of 1 to 65535"),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Unix(path) => write!(f, "unix://{}", path.display()),
            Place::Tcp { host, port, tls } => {
                let scheme = if *tls { "tls" } else { "tcp" };
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}:{port}")
            }
        }
    }
}

impl TryFrom<&str> for Target {
    type Error = TargetError;

    fn try_from(given: &str) -> Result<Self, TargetError> {
        given.parse()
    }
}

impl TryFrom<String> for Target {
    type Error = TargetError;

    fn try_from(given: String) -> Result<Self, TargetError> {
        given.parse()
    }
}

impl TryFrom<&String> for Target {
    type Error = TargetError;

    fn try_from(given: &String) -> Result<Self, TargetError> {
        given.parse()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn targets_read_back_as_they_are_shown() {
        for given in [
            "unix:///run/podwire/agent.sock",
            "tcp://127.0.0.1:7411",
            "tcp://[::1]:7411",
            "tls://node-1:1",
            "tls://[::1]:1",
        ] {
            let target: Target = given.parse().unwrap();
            assert_eq!(target.to_string(), given);
            assert_eq!(target.to_string().parse(), Ok(target));
        }
    }

    #[test]
    fn http_is_tcp_and_https_is_tls() {
        assert_eq!(Target::try_from("http://10.0.0.1:7411/"), "tcp://10.0.0.1:7411".parse());
        assert_eq!(Target::try_from("https://10.0.0.1:7411/"), "tls://10.0.0.1:7411".parse());
        assert_eq!(Target::try_from("tcp://n:1").unwrap().with_tls(), "tls://n:1".parse().unwrap());
        assert_eq!(Target::default().with_tls(), Target::default());
    }

    #[test]
    fn an_address_is_tcp() {
        for address in ["10.0.0.1:7411", "[fd00::1]:7411"] {
            let target = Target::from(address.parse::<SocketAddr>().unwrap());
            assert_eq!(target.to_string(), format!("tcp://{address}"));
            assert_eq!(target.to_string().parse(), Ok(target));
        }
    }

    #[test]
    fn the_default_target_is_the_documented_one() {
        assert_eq!(Target::default().to_string(), DEFAULT_TARGET);
        assert_eq!(DEFAULT_TARGET.parse(), Ok(Target::default()));
    }

    #[test]
    fn what_is_no_target_is_refused_with_the_reason() {
        for (given, problem) in [
            ("", "no scheme"),
            ("/run/podwire/agent.sock", "no scheme"),
            ("127.0.0.1:7411", "no scheme"),
            ("unix://run/agent.sock", "absolute"),
            ("unix://", "absolute"),
            ("unix:///", "absolute"),
            ("https://10.0.0.1", "port"),
            ("ftp://10.0.0.1:7411", "neither unix nor tls"),
            ("tcp://10.0.0.1", "port"),
            ("tcp://10.0.0.1:0", "port"),
            ("tcp://10.0.0.1:70000", "port"),
            ("tcp://:7411", "host"),
            ("tcp://", "host"),
            ("tcp://::1:7411", "host"),
            ("tcp://user@host:1", "only host and port"),
            ("tcp://host:1/path", "only host and port"),
        ] {
            let error = given.parse::<Target>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{given}` is not a target")), "{error}");
            assert!(error.lines().next().unwrap().contains(problem), "{error}");
            assert!(error.contains("hint: write unix:///"), "{error}");
        }
        assert!(Target::unix("agent.sock").is_err());
    }
}
