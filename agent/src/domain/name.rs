//! Names of topologies, elements, namespaces and pods: parsed once, at the edge.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a string is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
    /// Longer than names of its kind may be.
    #[error("it has {length} bytes, {most} are the most")]
    TooLong {
        /// Bytes that it has.
        length: usize,
        /// Bytes that it may have.
        most: usize,
    },
    /// A character that names of its kind do not have.
    #[error("character {character:?} at byte {at}, only {allowed} may be there")]
    Character {
        /// The character.
        character: char,
        /// Byte offset at which it stands.
        at: usize,
        /// What may stand there.
        allowed: &'static str,
    },
    /// The kernel gives the name another meaning.
    #[error("the kernel reserves this name")]
    Reserved,
}

/// Checks an RFC 1123 label: 1 to 63 of `[a-z0-9]([-a-z0-9]*[a-z0-9])?`.
fn label(text: &str) -> Result<(), NameError> {
    within(text, 63)?;
    letters(text)
}

fn within(text: &str, most: usize) -> Result<(), NameError> {
    if text.len() > most { Err(NameError::TooLong { length: text.len(), most }) } else { Ok(()) }
}

fn letters(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let last = text.len() - 1;
    for (at, character) in text.char_indices() {
        let inner = at > 0 && at < last;
        let allowed = match character {
            'a'..='z' | '0'..='9' => continue,
            '-' if inner => continue,
            _ if inner => "a-z, 0-9 and -",
            _ => "a-z and 0-9",
        };
        return Err(NameError::Character { character, at, allowed });
    }
    Ok(())
}

/// Checks an RFC 1123 subdomain as Kubernetes does (`IsDNS1123Subdomain`): parts like those of labels, of any length,
/// joined by dots, at most 253 bytes.
fn subdomain(text: &str) -> Result<(), NameError> {
    within(text, 253)?;
    text.split('.').try_for_each(letters)
}

/// Checks an id of a container as the CNI specification has it (section "Execution Protocol", `CNI_CONTAINERID`), at most
/// 256 bytes.
fn container_id(text: &str) -> Result<(), NameError> {
    within(text, 256)?;
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    let wrong = |(at, c): &(usize, char)| !(c.is_ascii_alphanumeric() || *at > 0 && matches!(c, '_' | '.' | '-'));
    match text.char_indices().find(wrong) {
        None => Ok(()),
        Some((0, character)) => Err(NameError::Character { character, at: 0, allowed: "letters and digits" }),
        Some((at, character)) => Err(NameError::Character { character, at, allowed: "letters, digits, _, . and -" }),
    }
}

/// Checks a Kubernetes UID: opaque, but short and printable.
fn uid(text: &str) -> Result<(), NameError> {
    within(text, 128)?;
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    match text.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || *c == '-')) {
        None => Ok(()),
        Some((at, character)) => Err(NameError::Character { character, at, allowed: "letters, digits and -" }),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident by $check:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// Name of a bridge, link or attachment within its topology: an RFC 1123 label.
    ElementName by label
}
name! {
    /// Name of a topology within its namespace: an RFC 1123 label.
    TopologyName by label
}
name! {
    /// A Kubernetes namespace: an RFC 1123 label.
    Namespace by label
}
name! {
    /// Name of a pod within its Kubernetes namespace: an RFC 1123 subdomain of at most 253 bytes.
    PodName by subdomain
}
name! {
    /// UID of a pod as Kubernetes gives it: at most 128 letters, digits and dashes.
    PodUid by uid
}
name! {
    /// Id of a sandbox as the container runtime gives it: at most 256 of `[a-zA-Z0-9_.-]`.
    ContainerId by container_id
}
name! {
    /// Name of a network namespace that `NetnsService` may make: an RFC 1123 label, so never that of a panel.
    NetnsName by label
}

impl Default for Namespace {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl Default for TopologyName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// Key of a topology on its node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopologyKey {
    /// Kubernetes namespace: the only one whose pods it plugs.
    pub namespace: Namespace,
    /// Name within the namespace.
    pub name: TopologyName,
}

impl fmt::Display for TopologyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn labels_are_those_of_kubernetes() {
        for good in ["a", "0", "lan1", "12-net", &"x".repeat(63)] {
            assert!(good.parse::<ElementName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a/b", "ä", "..", &"x".repeat(64)] {
            assert!(bad.parse::<ElementName>().is_err(), "{bad}");
        }
        assert!("web-0.lab".parse::<PodName>().is_ok());
        assert!("web..lab".parse::<PodName>().is_err());
        assert!("p".repeat(253).parse::<PodName>().is_ok());
        assert!("p".repeat(254).parse::<PodName>().is_err());
    }

    proptest! {
        #[test]
        fn any_string_is_a_name_or_an_error_that_can_be_read(text in any::<String>()) {
            match text.parse::<ElementName>() {
                Ok(name) => prop_assert_eq!(name.as_str(), text),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}
