//! The file of the policy: YAML, checked to the last key.

use std::{collections::BTreeSet, num::NonZero, time::Duration};

use serde::Deserialize;

use crate::domain::{
    policy::{IdentityPattern, NamespacePattern, Policy, Rule, Verb},
    quota::{Quota, Rate},
};

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
    /// A quota for no namespace.
    #[error("quotas[{0}].namespaces is empty: the quota would hold for nobody; fill it or take the quota out")]
    QuotaForNobody(usize),
    /// A rate for no caller.
    #[error("callers[{0}].identities is empty: the rate would hold for nobody; fill it or take it out")]
    RateForNobody(usize),
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
    #[serde(default)]
    quotas: Vec<FileQuota>,
    #[serde(default)]
    callers: Vec<FileCallers>,
}

/// For each of these callers: calls that name no namespace.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileCallers {
    identities: Vec<IdentityPattern>,
    requests: FileRate,
}

/// For each of these namespaces.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileQuota {
    namespaces: Vec<NamespacePattern>,
    topologies: Option<usize>,
    interfaces: Option<usize>,
    bridges: Option<usize>,
    captures: Option<usize>,
    requests: Option<FileRate>,
    lease: Option<FileLease>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRate {
    per_second: NonZero<u32>,
    burst: NonZero<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileLease {
    required: bool,
    /// Whole seconds.
    longest_seconds: Option<u64>,
}

impl From<FileRate> for Rate {
    fn from(it: FileRate) -> Self {
        Self { per_second: it.per_second.get(), burst: it.burst.get() }
    }
}

impl From<FileQuota> for (Vec<NamespacePattern>, Quota) {
    fn from(it: FileQuota) -> Self {
        let lease = it.lease.as_ref();
        let quota = Quota {
            topologies: it.topologies,
            interfaces: it.interfaces,
            bridges: it.bridges,
            captures: it.captures,
            requests: it.requests.map(Rate::from),
            lease_required: lease.is_some_and(|lease| lease.required),
            longest_lease: lease.and_then(|lease| lease.longest_seconds).map(Duration::from_secs),
        };
        (it.namespaces, quota)
    }
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
        if let Some((field, _)) = lists.into_iter().find(|(_, empty)| *empty) {
            return Err(PolicyError::Empty { rule, field });
        }
        let verbs = it.verbs.into_iter().collect::<BTreeSet<_>>();
        Ok(Rule { identities: it.identities, namespaces: it.namespaces, verbs })
    };
    let rules = file.rules.into_iter().enumerate().map(rule).collect::<Result<_, _>>()?;
    if let Some(index) = file.quotas.iter().position(|quota| quota.namespaces.is_empty()) {
        return Err(PolicyError::QuotaForNobody(index));
    }
    if let Some(index) = file.callers.iter().position(|callers| callers.identities.is_empty()) {
        return Err(PolicyError::RateForNobody(index));
    }
    let rates = file.callers.into_iter().map(|callers| (callers.identities, callers.requests.into()));
    let quotas = file.quotas.into_iter().map(Into::into);
    Ok(Policy::new(rules).with_quotas(quotas.collect()).with_rates(rates.collect()))
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
    fn quotas_that_are_about_one_namespace_hold_together() {
        let text = "
rules: []
quotas:
- {namespaces: ['*'], topologies: 10, requests: {per_second: 5, burst: 9}, lease: {required: true}}
- {namespaces: ['team-*'], topologies: 3, captures: 1, lease: {required: false, longest_seconds: 60}}
";
        let policy = read_policy(text.as_bytes()).unwrap();
        let quota = |who: &str, place: &str| policy.quota(&who.parse().unwrap(), &place.parse().unwrap());
        let (team, other) = (quota("a", "team-a"), quota("a", "lessons"));
        assert_eq!((team.topologies, team.captures, other.topologies), (Some(3), Some(1), Some(10)));
        assert_eq!((team.longest_lease, other.longest_lease), (Some(Duration::from_secs(60)), None));
        assert!(team.lease_required && other.lease_required && team.requests == other.requests);
        assert_eq!(quota("uid:0", "team-a"), Quota::default());
        for bad in
            ["per_second: 0, burst: 1", "per_second: 1", "per_second: -1, burst: 1", "burst: 1, rate: 1, per_second: 1"]
        {
            let text = format!("rules: []\nquotas: [{{namespaces: [a], requests: {{{bad}}}}}]");
            assert!(read_policy(text.as_bytes()).is_err(), "{bad}");
        }
        assert!(read_policy(b"rules: []\nquotas: [{namespaces: []}]").is_err());
    }

    #[test]
    fn callers_have_the_least_rate_that_is_said_of_them() {
        let text = "
rules: []
callers:
- {identities: [a.example, '*.example'], requests: {per_second: 5, burst: 9}}
- {identities: [a.example, uid:0], requests: {per_second: 7, burst: 2}}
";
        let policy = read_policy(text.as_bytes()).unwrap();
        let rate = |who: &str| policy.rate(&who.parse().unwrap()).map(|rate| (rate.per_second, rate.burst));
        assert_eq!(rate("a.example"), Some((5, 2)));
        assert_eq!((rate("b.example"), rate("b.org"), rate("uid:0")), (Some((5, 9)), None, None));
        for bad in ["identities: []", "identities: ['*']", "namespaces: [a]", "identities: [a.example], captures: 1"] {
            let text = format!("rules: []\ncallers: [{{{bad}, requests: {{per_second: 1, burst: 1}}}}]");
            assert!(read_policy(text.as_bytes()).is_err(), "{bad}");
        }
        assert!(read_policy(b"rules: []\ncallers: [{identities: [a.example]}]").is_err());
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
        for bytes in [&b""[..], b"~", b"- a", b"\xff", b"rules: {}", b"rules: [1]", b"{", &vec![b' '; MOST_BYTES + 1]] {
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
