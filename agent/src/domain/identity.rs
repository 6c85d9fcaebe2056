//! Who calls.

use std::{fmt, str::FromStr};

/// Bytes of the longest SPIFFE ID, as in "The SPIFFE Identity and Verifiable Identity Document", section 2.3.
const SPIFFE_BYTES: usize = 2048;
/// Bytes of the longest trust domain, of the longest DNS name (RFC 1035, less the final dot).
const TRUST_DOMAIN_BYTES: usize = 255;
const DNS_BYTES: usize = 253;

/// What an identity of plain TCP is called.
pub const ANONYMOUS: &str = "anonymous";

/// Who calls, as the connection proves it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A process of this node: its user id, told by the kernel.
    Uid(u32),
    /// The holder of a certificate with this SPIFFE ID.
    Spiffe(String),
    /// The holder of a certificate with this DNS name, in lower case.
    Dns(String),
    /// Whoever reaches a port without TLS.
    Anonymous,
}

/// Why a text is not an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// After `uid:` comes something else than a number.
    #[error("after `uid:` comes a user id, as in `uid:0`")]
    Uid,
    /// A SPIFFE ID without a trust domain, or with a bad one.
    #[error("after `spiffe://` comes a trust domain of 1 to 255 of [a-z0-9._-]")]
    TrustDomain,
    /// A bad path of a SPIFFE ID.
    #[error("each part of the path of a SPIFFE ID is one or more of [A-Za-z0-9._-], and neither `.` nor `..`")]
    Path,
    /// Another scheme.
    #[error("of URIs only `spiffe://…` is an identity")]
    Scheme,
    /// Not a DNS name.
    #[error("a DNS name is labels of 1 to 63 of [a-z0-9-] with dots between them, 253 bytes at the most")]
    Dns,
    /// Longer than may be.
    #[error("it has {0} bytes, {SPIFFE_BYTES} are the most")]
    TooLong(usize),
}

impl Identity {
    /// Whether it may do everything, whatever a policy says: root of this node could stop the agent and do its work.
    pub fn is_root(&self) -> bool {
        *self == Self::Uid(0)
    }

    /// The identity of a URI in a certificate.
    ///
    /// # Errors
    ///
    /// It is no SPIFFE ID.
    pub fn of_uri(uri: &str) -> Result<Self, IdentityError> {
        let rest = uri.strip_prefix("spiffe://").ok_or(IdentityError::Scheme)?;
        spiffe(rest, |_| false)?;
        Ok(Self::Spiffe(uri.to_owned()))
    }

    /// The identity of a DNS name in a certificate.
    ///
    /// # Errors
    ///
    /// It is no name of one host: a wildcard, say.
    pub fn of_dns(name: &str) -> Result<Self, IdentityError> {
        let name = name.to_ascii_lowercase();
        dns(&name, |_| false)?;
        // It would read as another one.
        if name == ANONYMOUS { Err(IdentityError::Dns) } else { Ok(Self::Dns(name)) }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        if text == ANONYMOUS {
            Ok(Self::Anonymous)
        } else if let Some(uid) = text.strip_prefix("uid:") {
            number(uid).map(Self::Uid)
        } else if text.contains("://") {
            Self::of_uri(text)
        } else {
            Self::of_dns(text)
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid:{uid}"),
            Self::Spiffe(text) | Self::Dns(text) => f.write_str(text),
            Self::Anonymous => f.write_str(ANONYMOUS),
        }
    }
}

/// A user id in decimal, without a sign or needless zeros.
pub(super) fn number(text: &str) -> Result<u32, IdentityError> {
    let number: u32 = text.parse().map_err(|_| IdentityError::Uid)?;
    if number.to_string() == text { Ok(number) } else { Err(IdentityError::Uid) }
}

/// Checks what comes after `spiffe://`. `more` are characters that its path may have besides.
pub(super) fn spiffe(rest: &str, more: fn(char) -> bool) -> Result<(), IdentityError> {
    if rest.len() + "spiffe://".len() > SPIFFE_BYTES {
        return Err(IdentityError::TooLong(rest.len() + "spiffe://".len()));
    }
    let (domain, path) = rest.split_once('/').map_or((rest, None), |(domain, path)| (domain, Some(path)));
    let of_domain = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-');
    if domain.is_empty() || domain.len() > TRUST_DOMAIN_BYTES || !domain.chars().all(of_domain) {
        return Err(IdentityError::TrustDomain);
    }
    let of_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') || more(c);
    let good = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(of_path);
    if path.is_none_or(|path| path.split('/').all(good)) { Ok(()) } else { Err(IdentityError::Path) }
}

/// Checks a DNS name in lower case. `more` are characters that its labels may have besides.
pub(super) fn dns(name: &str, more: fn(char) -> bool) -> Result<(), IdentityError> {
    let of_label = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-') || more(c);
    let edge = |label: &str| label.starts_with('-') || label.ends_with('-');
    let good = |label: &str| (1..=63).contains(&label.len()) && label.chars().all(of_label) && !edge(label);
    if name.len() <= DNS_BYTES && name.split('.').all(good) { Ok(()) } else { Err(IdentityError::Dns) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_identity_reads_back() {
        for text in ["uid:0", "uid:4294967295", "anonymous", "spiffe://cluster.local", "spiffe://td/ns/a/sa/b", "a.b-c"]
        {
            assert_eq!(text.parse::<Identity>().unwrap().to_string(), text);
        }
        assert_eq!("Sched.Example".parse(), Ok(Identity::Dns("sched.example".to_owned())));
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        for text in [
            "",
            "uid:",
            "uid:-1",
            "uid:+1",
            "uid:00",
            "uid:4294967296",
            "spiffe://",
            "spiffe:///a",
            "spiffe://TD/a",
            "spiffe://td/",
            "spiffe://td//a",
            "spiffe://td/../a",
            "spiffe://td/a?b",
            "spiffe://td:1/a",
            "spiffe://td/*",
            "https://td/a",
            "*.example",
            "a..b",
            "-a",
            "a-",
            ".",
            "ä",
            "a b",
            &"x".repeat(64),
        ] {
            assert!(text.parse::<Identity>().is_err(), "{text}");
        }
        assert!(Identity::of_dns("anonymous").is_err(), "a certificate is not nobody");
        assert!(Identity::of_uri(&format!("spiffe://td/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn root_is_user_0_of_this_node_and_nobody_else() {
        assert!(Identity::Uid(0).is_root());
        for text in ["uid:1", "anonymous", "root", "spiffe://root"] {
            assert!(!text.parse::<Identity>().unwrap().is_root(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_string_is_an_identity_that_reads_back_or_an_error(text in ".{0,40}|(uid:|spiffe://)[a-z0-9./*]{0,20}") {
            if let Ok(identity) = text.parse::<Identity>() {
                prop_assert_eq!(identity.to_string().parse(), Ok(identity));
            }
        }
    }
}
