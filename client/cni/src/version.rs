//! Versions of the specification.

use std::fmt;

/// A version that the plugin speaks. They differ in what a result may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// 0.3.0
    V030,
    /// 0.3.1, which flannel's lists still say.
    V031,
    /// 0.4.0: CHECK.
    V040,
    /// 1.0.0: no `version` in `ips`.
    V100,
    /// 1.1.0: GC, STATUS, and `mtu` in `interfaces`.
    V110,
}

impl Version {
    /// All of them, oldest first.
    pub(crate) const ALL: [Self; 5] = [Self::V030, Self::V031, Self::V040, Self::V100, Self::V110];

    /// The newest.
    pub(crate) const NEWEST: Self = Self::V110;

    /// `None`: the plugin does not speak it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V030 => "0.3.0",
            Self::V031 => "0.3.1",
            Self::V040 => "0.4.0",
            Self::V100 => "1.0.0",
            Self::V110 => "1.1.0",
        }
    }

    /// All of them for a person.
    pub(crate) fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
