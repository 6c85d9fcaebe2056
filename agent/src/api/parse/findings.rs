//! Everything that is wrong with a request, gathered while it is parsed.

use std::{fmt, str::FromStr};

use crate::{domain::violation::Violation, panel::ChangeError};

use super::place::Place;

/// Violations kept; the rest are counted. A person reads a few, and a request of 4 MiB can have a million.
const MOST: usize = 1000;

/// The violations found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    violations: Vec<Violation>,
    dropped: usize,
}

impl Findings {
    /// Adds a violation.
    pub(super) fn add(&mut self, at: Place<'_>, description: impl fmt::Display) {
        if self.violations.len() < MOST {
            self.violations.push(Violation::new(at.to_string(), description.to_string()));
        } else {
            self.dropped += 1;
        }
    }

    /// Whether anything is wrong.
    pub(super) fn any(&self) -> bool {
        !self.violations.is_empty()
    }

    /// Adds violations that were found elsewhere.
    pub(super) fn extend(&mut self, violations: Vec<Violation>) {
        let room = MOST.saturating_sub(self.violations.len());
        self.dropped += violations.len().saturating_sub(room);
        self.violations.extend(violations.into_iter().take(room));
    }

    /// Parses a text that has to be there; `kind` says what it should be, with its article.
    pub(super) fn text<T>(&mut self, at: Place<'_>, text: &str, kind: &str) -> Option<T>
    where
        T: FromStr<Err: fmt::Display>,
    {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) if text.is_empty() => {
                self.add(at, format_args!("{kind} is required: {error}"));
                None
            }
            Err(error) => {
                self.add(at, format_args!("{} is not {kind}: {error}", Quoted(text)));
                None
            }
        }
    }

    /// Parses a text that may be empty: `Some(None)`.
    #[allow(clippy::option_option, reason = "outside: whether it could be parsed; inside: whether it was there")]
    pub(super) fn optional<T>(&mut self, at: Place<'_>, text: &str, kind: &str) -> Option<Option<T>>
    where
        T: FromStr<Err: fmt::Display>,
    {
        if text.is_empty() { Some(None) } else { self.text(at, text, kind).map(Some) }
    }

    /// Reads an enum; `names` are those that may be sent.
    pub(super) fn choice<E: TryFrom<i32>>(&mut self, at: Place<'_>, number: i32, names: &str) -> Option<E> {
        let value = E::try_from(number).ok();
        if value.is_none() {
            self.add(at, format_args!("`{number}` is none of its values: {names} are"));
        }
        value
    }

    /// Complains where a repeated field is too long; nothing of it is then looked at.
    pub(super) fn most<T>(&mut self, at: Place<'_>, items: &mut Vec<T>, most: usize) {
        if items.len() > most {
            self.add(at, format_args!("it has {} elements, {most} are the most", items.len()));
            items.clear();
        }
    }

    /// The value, if nothing is wrong.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, ChangeError> {
        match value {
            Some(value) if self.violations.is_empty() => Ok(value),
            _ => {
                if self.dropped > 0 {
                    self.violations.push(Violation::new("", format!("and {} more violations", self.dropped)));
                }
                Err(ChangeError::Invalid(self.violations))
            }
        }
    }
}

/// A caller's text in backticks: shortened, and harmless in a log.
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 64;
        let (shown, rest) = match self.0.char_indices().nth(MOST) {
            Some((end, _)) => (&self.0[..end], "…"),
            None => (self.0, ""),
        };
        write!(f, "`{}{rest}`", shown.escape_debug())
    }
}
