//! Who may do what in which namespaces. What no rule allows is not allowed.

mod pattern;

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::Deserialize;

use super::{
    identity::Identity,
    name::Namespace,
    quota::{Quota, Rate},
};

pub use pattern::{IdentityPattern, NamespacePattern, PatternError};

/// What a rule allows. None contains another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// See topologies and what is in them, and pods.
    Read,
    /// Make, change, plan, try out and delete topologies and what is in them.
    Write,
    /// See the frames themselves.
    Capture,
    /// Plug onto devices of the node, together with `write`.
    NodeDevice,
    /// Plug network namespaces by their own name, together with `write`; in all namespaces: make and delete named ones.
    Netns,
    /// What concerns the node as a whole. It takes a rule for all namespaces.
    Admin,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Read, Self::Write, Self::Capture, Self::NodeDevice, Self::Netns, Self::Admin];

    /// As a policy has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Capture => "capture",
            Self::NodeDevice => "node-device",
            Self::Netns => "netns",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a verb.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a verb: there are read, write, capture, node-device, netns and admin")]
pub struct NoVerb(String);

impl FromStr for Verb {
    type Err = NoVerb;

    fn from_str(text: &str) -> Result<Self, NoVerb> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == text).ok_or_else(|| NoVerb(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Verb {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One rule: each of these may do each of that in each of those.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Who.
    pub identities: Vec<IdentityPattern>,
    /// Where.
    pub namespaces: Vec<NamespacePattern>,
    /// What.
    pub verbs: BTreeSet<Verb>,
}

/// All rules. The default has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    quotas: Vec<(Vec<NamespacePattern>, Quota)>,
    rates: Vec<(Vec<IdentityPattern>, Rate)>,
}

impl Policy {
    /// A policy of these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, quotas: Vec::new(), rates: Vec::new() }
    }

    /// The same with quotas for each namespace that one of the patterns matches, not for all of them together.
    pub fn with_quotas(self, quotas: Vec<(Vec<NamespacePattern>, Quota)>) -> Self {
        Self { quotas, ..self }
    }

    /// The same with a rate of calls that name no namespace, for each caller that one of the patterns matches.
    pub fn with_rates(self, rates: Vec<(Vec<IdentityPattern>, Rate)>) -> Self {
        Self { rates, ..self }
    }

    /// How many calls a caller may make that name no namespace: the least that is said of it. Root has no limit.
    pub fn rate(&self, who: &Identity) -> Option<Rate> {
        if who.is_root() {
            return None;
        }
        let about = self.rates.iter().filter(|(of, _)| of.iter().any(|pattern| pattern.matches(who)));
        about.map(|(_, rate)| *rate).reduce(Rate::and)
    }

    /// How much a namespace may have and ask for: what all quotas that are about it leave. Root has none.
    pub fn quota(&self, who: &Identity, namespace: &Namespace) -> Quota {
        if who.is_root() {
            return Quota::default();
        }
        let about = self.quotas.iter().filter(|(of, _)| of.iter().any(|pattern| pattern.matches(namespace)));
        about.fold(Quota::default(), |all, (_, quota)| all.and(*quota))
    }

    /// What holds without a policy file where the agent was told to listen without TLS: whoever comes may do everything.
    pub fn of_an_open_port() -> Self {
        let rule = Rule {
            identities: vec![IdentityPattern::anonymous()],
            namespaces: vec![NamespacePattern::all()],
            verbs: Verb::ALL.into(),
        };
        Self::new(vec![rule])
    }

    /// How many rules it has.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it has no rule: only root of the node may do anything.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether this identity may do this in this namespace.
    pub fn allows(&self, who: &Identity, verb: Verb, namespace: &Namespace) -> bool {
        who.is_root() || self.reach(who, verb).any(|pattern| pattern.matches(namespace))
    }

    /// Whether there may be a namespace in which it may.
    pub fn allows_somewhere(&self, who: &Identity, verb: Verb) -> bool {
        who.is_root() || self.reach(who, verb).next().is_some()
    }

    /// Whether it may in every namespace, also those that there are not yet: one rule says `*`.
    pub fn allows_everywhere(&self, who: &Identity, verb: Verb) -> bool {
        who.is_root() || self.reach(who, verb).any(NamespacePattern::is_all)
    }

    /// Whether any rule is about this identity.
    pub fn knows(&self, who: &Identity) -> bool {
        who.is_root() || Verb::ALL.into_iter().any(|verb| self.allows_somewhere(who, verb))
    }

    /// Whether another policy lets this identity do this in just the same namespaces, as far as the rules show it.
    pub fn is_same_for(&self, other: &Self, who: &Identity, verb: Verb) -> bool {
        let set = |policy: &Self| policy.reach(who, verb).cloned().collect::<BTreeSet<_>>();
        who.is_root() || set(self) == set(other)
    }

    /// The namespaces in which an identity that is not root may do this.
    fn reach(&self, who: &Identity, verb: Verb) -> impl Iterator<Item = &NamespacePattern> {
        let rules = self.rules.iter().filter(move |rule| rule.verbs.contains(&verb));
        let about = rules.filter(|rule| rule.identities.iter().any(|pattern| pattern.matches(who)));
        about.flat_map(|rule| &rule.namespaces)
    }
}

#[cfg(test)]
mod tests;
