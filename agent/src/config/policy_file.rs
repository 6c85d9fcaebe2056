//! The file of the policy: YAML, checked to the last key.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::domain::policy::{IdentityPattern, NamespacePattern, Policy, Rule, Verb};

/// Bytes of the longest policy that is read.
const MOST_BYTES: usize = 1024 * 1024;

/// Why a text is not a policy: where, with the lines around it.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// It cannot be read, has a key that there is none of, or a value that is none.
    #[error("it is not a policy: {0}")]
    Malformed(#[source] Box<serde_saphyr::Error>),
    /// A rule that says nothing.
    #[error("rules[{rule}].{field} is empty: the rule would allow nothing; fill it or take the rule out")]
    Empty {
        /// Which rule, from 0.
        rule: usize,
        /// Which list of it.
        field: &'static str,
    },
    /// Not text.
    #[error("it is not UTF-8")]
    NotText,
    /// More than is read.
    #[error("it has {0} bytes, {MOST_BYTES} are the most")]
    TooLong(usize),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<FileRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    identities: Vec<IdentityPattern>,
    namespaces: Vec<NamespacePattern>,
    verbs: Vec<Verb>,
}

/// The policy that a file has.
///
/// # Errors
///
/// It has none, or one with something in it that has no meaning.
pub fn read_policy(bytes: &[u8]) -> Result<Policy, PolicyError> {
    if bytes.len() > MOST_BYTES {
        return Err(PolicyError::TooLong(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| PolicyError::NotText)?;
    let file: File = serde_saphyr::from_str(text).map_err(|error| PolicyError::Malformed(Box::new(error)))?;
    let rule = |(rule, it): (usize, FileRule)| {
        let lists = [
            ("identities", it.identities.is_empty()),
            ("namespaces", it.namespaces.is_empty()),
            ("verbs", it.verbs.is_empty()),
        ];
        match lists.into_iter().find(|(_, empty)| *empty) {
            Some((field, _)) => Err(PolicyError::Empty { rule, field }),
            None => {
                let verbs = it.verbs.into_iter().collect::<BTreeSet<_>>();
                Ok(Rule { identities: it.identities, namespaces: it.namespaces, verbs })
            }
        }
    };
    file.rules.into_iter().enumerate().map(rule).collect::<Result<_, _>>().map(Policy::new)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "
# The scheduler of the lessons.
rules:
- identities: [spiffe://cluster.local/ns/antidote/sa/*, sched.example.org]
  namespaces: [lessons, 'team-*']
  verbs: [read, write, node-device]
- identities: [uid:1000]
  namespaces: ['*']
  verbs: [read]
";

    #[test]
    fn a_policy_says_who_may_do_what_where() {
        let policy = read_policy(GOOD.as_bytes()).unwrap();
        assert_eq!(policy.len(), 2);
        let (sched, lessons) = ("spiffe://cluster.local/ns/antidote/sa/s".parse().unwrap(), "lessons".parse().unwrap());
        assert!(policy.allows(&sched, Verb::NodeDevice, &lessons) && !policy.allows(&sched, Verb::Capture, &lessons));
        assert!(policy.allows_everywhere(&"uid:1000".parse().unwrap(), Verb::Read));
        assert!(read_policy(b"rules: []").unwrap().is_empty());
    }

    #[test]
    fn what_has_no_meaning_is_refused_with_its_line() {
        for (old, new, words) in [
            ("verbs: [read]", "verb: [read]", vec!["unknown field", "verb"]),
            ("verbs: [read]", "verbs: [reed]", vec!["reed", "node-device"]),
            ("verbs: [read]", "verbs: read", vec!["9"]),
            ("uid:1000", "'*'", vec!["nobody's name"]),
            ("uid:1000", "spiffe://*/x", vec!["trust domain"]),
            ("['*']", "[Lessons]", vec!["Lessons", "not a namespace"]),
            ("rules:\n", "rulez:\n", vec!["rulez"]),
            ("  verbs: [read]", "  verbs: [read]\n  verbs: [write]", vec!["duplicate", "verbs"]),
            ("namespaces: ['*']", "namespaces: []", vec!["rules[1].namespaces is empty"]),
            ("  verbs: [read]\n", "", vec!["verbs"]),
        ] {
            let text = GOOD.replacen(old, new, 1);
            assert_ne!(text, GOOD);
            let said = read_policy(text.as_bytes()).unwrap_err().to_string();
            for word in words {
                assert!(said.contains(word), "{new}: {said}");
            }
        }
        let said = read_policy(GOOD.replace("reed", "read").replace("uid:1000", "uid:x").as_bytes()).unwrap_err();
        assert!(said.to_string().contains("line 7") || said.to_string().contains(":7:"), "{said}");
        for bytes in [&b""[..], b"~", b"- a", b"\xff", b"rules: {}", b"rules: [1]", b"{", &[b' '; MOST_BYTES + 1]] {
            assert!(read_policy(bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_a_policy_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(read_policy(&bytes));
        }
    }
}
