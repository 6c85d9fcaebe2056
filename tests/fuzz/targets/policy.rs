//! Policy files, and the patterns in them.
//!
//! The first line of an input is a comment with two patterns and what they may match: an identity and a namespace.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podwire_agent::{
    config::read_policy,
    domain::{
        identity::Identity,
        name::Namespace,
        policy::{IdentityPattern, NamespacePattern, Policy, Verb},
    },
};

fuzz_target!(|data: &[u8]| {
    let line = data.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.and_then(|line| line.strip_prefix('#')).unwrap_or_default().split_whitespace();
    let mut next = || words.next().unwrap_or_default();
    let patterns: (Option<IdentityPattern>, Option<NamespacePattern>) = (next().parse().ok(), next().parse().ok());
    let (who, namespace): (Option<Identity>, Option<Namespace>) = (next().parse().ok(), next().parse().ok());
    if let (Some(pattern), Some(who)) = (&patterns.0, &who) {
        identities(pattern, who);
    }
    if let (Some(pattern), Some(namespace)) = (&patterns.1, &namespace) {
        assert_eq!(
            pattern.matches(namespace),
            matches(&pattern.to_string(), namespace.as_str()),
            "{pattern} {namespace}"
        );
    }
    let policy = match read_policy(data) {
        Ok(policy) => policy,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let who = who.unwrap_or(Identity::Anonymous);
    rights(&policy, &who, &namespace.unwrap_or_default());
});

/// A pattern is what it says, and matches what it says: no `*` stands for a separator.
fn identities(pattern: &IdentityPattern, who: &Identity) {
    assert_eq!(pattern.to_string().parse().as_ref(), Ok(pattern));
    assert_eq!(who.to_string().parse().as_ref(), Ok(who));
    let (text, name) = (pattern.to_string(), who.to_string());
    let (is_spiffe, is_uid) = (|text: &str| text.starts_with("spiffe://"), |text: &str| text.starts_with("uid:"));
    let alike = is_spiffe(&text) == is_spiffe(&name) && is_uid(&text) == is_uid(&name);
    let separator = if is_spiffe(&text) { '/' } else { '.' };
    let (parts, names): (Vec<_>, Vec<_>) = (text.split(separator).collect(), name.split(separator).collect());
    let all = parts.len() == names.len() && parts.iter().zip(&names).all(|(part, name)| matches(part, name));
    // A DNS pattern does not mean who has no name.
    let nobody = (*who == Identity::Anonymous) != (text == Identity::Anonymous.to_string());
    assert_eq!(pattern.matches(who), alike && all && !nobody, "{pattern} {who}");
}

/// The slow way: whether each character has its place.
fn matches(pattern: &str, text: &str) -> bool {
    // After each character of the pattern, where in the text it may have come to.
    let mut at = vec![false; text.len() + 1];
    at[0] = true;
    for wanted in pattern.bytes() {
        let mut after = vec![false; text.len() + 1];
        for (place, _) in at.iter().enumerate().filter(|(_, there)| **there) {
            if wanted == b'*' {
                after[place..].fill(true);
            } else if text.as_bytes().get(place) == Some(&wanted) {
                after[place + 1] = true;
            }
        }
        at = after;
    }
    at[text.len()]
}

/// The answers of a policy do not contradict each other.
fn rights(policy: &Policy, who: &Identity, namespace: &Namespace) {
    assert_eq!(policy.is_empty(), policy.len() == 0);
    for verb in Verb::ALL {
        let here = policy.allows(who, verb, namespace);
        let (somewhere, everywhere) = (policy.allows_somewhere(who, verb), policy.allows_everywhere(who, verb));
        assert!(!here || somewhere, "{who} may {verb} in {namespace} and nowhere");
        assert!(!everywhere || here, "{who} may {verb} everywhere and not in {namespace}");
        assert!(!somewhere || policy.knows(who));
        assert!(!here || who.is_root() || !policy.is_empty(), "what no rule allows is not allowed");
        assert!(policy.is_same_for(policy, who, verb));
        assert!(policy.allows(&Identity::Uid(0), verb, namespace), "root of the node may do everything");
    }
    let _ = policy.quota(who, namespace);
    assert_eq!(policy.quota(&Identity::Uid(0), namespace), Default::default());
}
