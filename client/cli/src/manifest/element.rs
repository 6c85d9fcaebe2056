//! Names of bridges, links and attachments: 1 to 63 of `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, no two alike.

use std::collections::{BTreeMap, BTreeSet};

/// Longest name of an element.
const MAX: usize = 63;

/// Whether a text is a valid name as it stands.
pub(crate) fn is_valid(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX && name == valid(name)
}

/// The nearest valid name: lower case, other characters as `-`, cut to its length. Empty becomes `x`.
pub(crate) fn valid(name: &str) -> String {
    let lower = name.chars().flat_map(char::to_lowercase);
    let kept = lower.map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' });
    let kept: String = kept.collect();
    let kept: String = kept.trim_matches('-').chars().take(MAX).collect();
    let kept = kept.trim_end_matches('-');
    if kept.is_empty() { "x".to_owned() } else { kept.to_owned() }
}

/// The names that are taken.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: BTreeSet<String>,
    /// The next number to try for a name.
    next: BTreeMap<String, u32>,
}

impl Names {
    /// The valid name nearest to `wanted` that is still free; a taken one gets `-2`, `-3`, …
    pub(crate) fn claim(&mut self, wanted: &str) -> String {
        let base = valid(wanted);
        let mut name = base.clone();
        let number = self.next.entry(base.clone()).or_insert(2);
        while !self.taken.insert(name.clone()) {
            let suffix = format!("-{number}");
            let kept: String = base.chars().take(MAX - suffix.len()).collect();
            name = format!("{}{suffix}", kept.trim_end_matches('-'));
            *number += 1;
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, is_valid, valid};

    #[test]
    fn names_are_bent_into_shape() {
        assert_eq!(valid("12-bridge"), "12-bridge");
        assert_eq!(valid("Br_0.x"), "br-0-x");
        assert_eq!(valid("--"), "x");
        assert_eq!(valid(&format!("{}-b", "a".repeat(62))), "a".repeat(62));
        assert!(is_valid("a-1") && !is_valid("-a") && !is_valid("A") && !is_valid(""));
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut names = Names::default();
        assert_eq!(names.claim("a-b"), "a-b");
        assert_eq!(names.claim("a-b"), "a-b-2");
        assert_eq!(names.claim("a_b"), "a-b-3");
        let long = "n".repeat(70);
        assert_eq!(names.claim(&long).len(), 63);
        assert_eq!(names.claim(&long), format!("{}-2", "n".repeat(61)));
    }
}
