//! Names in which `*` stands for any characters of one part.

use std::{fmt, str::FromStr};

use serde::Deserialize;

use crate::domain::{
    identity::{ANONYMOUS, Identity, IdentityError, dns, number, spiffe},
    name::Namespace,
};

/// Why a text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It would be read as everybody, and means names of one label.
    #[error(
        "`*` alone is nobody's name: say which, as in `spiffe://cluster.local/ns/*/sa/*`, `*.example.org` or `uid:0`"
    )]
    Everybody,
    /// Not one of an identity.
    #[error("`{given}` is not an identity or a pattern of one: {why}")]
    Identity {
        /// The text.
        given: String,
        /// Why not.
        why: IdentityError,
    },
    /// Not one of a namespace.
    #[error("`{0}` is not a namespace or a pattern of one: 1 to 63 of [a-z0-9-] and `*`")]
    Namespace(String),
}

/// Identities: one, or all that a pattern matches.
///
/// `*` stands for any number of characters within a part: of a SPIFFE ID between two slashes, of a DNS name between two
/// dots. The trust domain of a SPIFFE ID stands there in full.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdentityPattern(Kind);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Uid(u32),
    Spiffe(String),
    Dns(String),
    Anonymous,
}

impl IdentityPattern {
    /// Whoever reaches a port without TLS.
    pub(super) fn anonymous() -> Self {
        Self(Kind::Anonymous)
    }

    /// Whether it means this identity.
    pub fn matches(&self, identity: &Identity) -> bool {
        match (&self.0, identity) {
            (Kind::Uid(wanted), Identity::Uid(uid)) => wanted == uid,
            (Kind::Spiffe(pattern), Identity::Spiffe(text)) => in_parts('/', pattern, text),
            (Kind::Dns(pattern), Identity::Dns(text)) => in_parts('.', pattern, text),
            (Kind::Anonymous, Identity::Anonymous) => true,
            _ => false,
        }
    }
}

impl FromStr for IdentityPattern {
    type Err = PatternError;

    fn from_str(given: &str) -> Result<Self, PatternError> {
        let star = |c: char| c == '*';
        let kind = if given == "*" {
            return Err(PatternError::Everybody);
        } else if given == ANONYMOUS {
            Ok(Kind::Anonymous)
        } else if let Some(uid) = given.strip_prefix("uid:") {
            number(uid).map(Kind::Uid)
        } else if let Some(rest) = given.strip_prefix("spiffe://") {
            spiffe(rest, star).map(|()| Kind::Spiffe(given.to_owned()))
        } else if given.contains("://") {
            Err(IdentityError::Scheme)
        } else {
            let name = given.to_ascii_lowercase();
            dns(&name, star).map(|()| Kind::Dns(name))
        };
        kind.map(Self).map_err(|why| PatternError::Identity { given: given.to_owned(), why })
    }
}

impl fmt::Display for IdentityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Uid(uid) => write!(f, "uid:{uid}"),
            Kind::Spiffe(text) | Kind::Dns(text) => f.write_str(text),
            Kind::Anonymous => f.write_str(ANONYMOUS),
        }
    }
}

/// Namespaces: one, or all that a pattern matches; `*` stands for any number of characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamespacePattern(String);

impl NamespacePattern {
    /// Every namespace.
    pub(super) fn all() -> Self {
        Self("*".to_owned())
    }

    /// Whether it means this namespace.
    pub fn matches(&self, namespace: &Namespace) -> bool {
        glob(self.0.as_bytes(), namespace.as_str().as_bytes())
    }

    /// Whether it means every one.
    pub fn is_all(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }
}

impl FromStr for NamespacePattern {
    type Err = PatternError;

    fn from_str(given: &str) -> Result<Self, PatternError> {
        let good = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '*');
        if (1..=63).contains(&given.len()) && given.chars().all(good) {
            Ok(Self(given.to_owned()))
        } else {
            Err(PatternError::Namespace(given.to_owned()))
        }
    }
}

impl fmt::Display for NamespacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! read_from_text {
    ($name:ident) => {
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
read_from_text!(IdentityPattern);
read_from_text!(NamespacePattern);

/// Part by part: a `*` never crosses the separator, so that whoever chooses one part cannot pass for more parts.
fn in_parts(separator: char, pattern: &str, text: &str) -> bool {
    let (mut patterns, mut parts) = (pattern.split(separator), text.split(separator));
    loop {
        match (patterns.next(), parts.next()) {
            (None, None) => return true,
            (Some(pattern), Some(part)) if glob(pattern.as_bytes(), part.as_bytes()) => {}
            _ => return false,
        }
    }
}

/// Whether a text is what a pattern says, in time of at most the product of their lengths: only the last `*` is ever tried
/// again, for what an earlier one could take, the later one can.
pub(super) fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(wanted) if text.get(t) == Some(wanted) => (p, t) = (p + 1, t + 1),
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (p, t) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}
