//! Names of network interfaces, as the kernel takes them.

use std::{fmt, str::FromStr};

use super::name::NameError;

/// Name of a network interface: what `dev_valid_name` of net/core/dev.c takes, less what the kernel would bend
/// (`%d` templates) and what it reserves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName(String);

/// Bytes of the longest name: `IFNAMSIZ` less the final zero.
pub const IF_NAME_BYTES: usize = 15;

/// `lo` is in each namespace; the other two are directories of /proc/sys/net/ipv4/conf, and the kernel refuses them.
const RESERVED: [&str; 5] = [".", "..", "lo", "all", "default"];

impl IfName {
    /// Comes before every name, and is none: where a search through names begins.
    pub(crate) const BEFORE_ALL: Self = Self(String::new());

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `net1`, `net2`, …: the names that are given where none was asked for.
    pub fn numbered(number: usize) -> Self {
        Self(format!("net{number}"))
    }
}

impl FromStr for IfName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > IF_NAME_BYTES {
            return Err(NameError::TooLong { length: text.len(), most: IF_NAME_BYTES });
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved);
        }
        match text.char_indices().find(|(_, c)| is_bent(*c)) {
            None => Ok(Self(text.to_owned())),
            Some((at, character)) => Err(NameError::Character {
                character,
                at,
                allowed: "characters other than white space, controls, `/`, `:` and `%`",
            }),
        }
    }
}

/// Whether the kernel refuses a character or gives it a meaning. It sees bytes, and its isspace() counts 0xa0 as white
/// space, which also stands inside of longer characters.
fn is_bent(character: char) -> bool {
    let mut bytes = [0; 4];
    let mut has_nbsp = || character.encode_utf8(&mut bytes).bytes().any(|byte| byte == 0xa0);
    matches!(character, '/' | ':' | '%') || character.is_whitespace() || character.is_control() || has_nbsp()
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_kernel_would_bend_are_refused() {
        for good in ["eth0", "net1", "a", "ge-0.0.1", "fifteen-bytes-x", "ä", "äöüäöüä1"] {
            assert!(good.parse::<IfName>().is_ok(), "{good}");
        }
        for bad in ["", "br%d", "sixteen-bytes-xy", "a/b", "a:b", "a b", "a\tb", ".", "..", "lo", "all", "à", "\u{a0}"]
        {
            assert!(bad.parse::<IfName>().is_err(), "{bad}");
        }
    }
}
