//! Collects every problem of the manifests before anything is decided.

use super::{
    problem::{Invalid, Problem, Severity},
    source::{Place, Source},
};

/// Problems that are kept; a file with more is of another kind altogether.
const KEPT: usize = 50;

/// Characters of a message that are kept: it may quote a value of any length.
const LONGEST: usize = 300;

/// The problems found so far.
pub(crate) struct Findings<'a> {
    sources: &'a [Source],
    strict: bool,
    found: Vec<(Option<Place>, Problem)>,
    failed: bool,
    /// Takes what comes after the last one that is kept.
    surplus: Problem,
}

impl<'a> Findings<'a> {
    /// Nothing found yet. With `strict` every warning is an error.
    pub(crate) fn new(sources: &'a [Source], strict: bool) -> Self {
        Self { sources, strict, found: Vec::new(), failed: false, surplus: Problem::error("") }
    }

    /// Text of a source.
    pub(crate) fn text(&self, source: usize) -> &'a str {
        self.sources.get(source).map_or("", Source::text)
    }

    /// An error at a place.
    pub(crate) fn error(&mut self, place: impl Into<Option<Place>>, message: impl Into<String>) -> &mut Problem {
        self.failed = true;
        self.add(place.into(), message.into(), Severity::Error)
    }

    /// A warning at a place; an error when strict.
    pub(crate) fn warn(&mut self, place: impl Into<Option<Place>>, message: impl Into<String>) -> &mut Problem {
        if self.strict {
            return self.error(place, message);
        }
        self.add(place.into(), message.into(), Severity::Warning)
    }

    /// Whether there is an error.
    pub(crate) fn failed(&self) -> bool {
        self.failed
    }

    /// The warnings, or all problems when one is an error.
    pub(crate) fn finish(mut self) -> Result<Vec<Problem>, Invalid> {
        self.found.sort_by_key(|(place, _)| *place);
        let problems = self.found.into_iter().map(|(_, problem)| problem).collect();
        if self.failed { Err(Invalid { problems }) } else { Ok(problems) }
    }

    fn add(&mut self, place: Option<Place>, mut message: String, severity: Severity) -> &mut Problem {
        let full = self.found.len() >= KEPT && (severity == Severity::Warning || self.found.len() >= 2 * KEPT);
        if full {
            return &mut self.surplus;
        }
        if let Some((at, _)) = message.char_indices().nth(LONGEST) {
            message.truncate(at);
            message.push('…');
        }
        let spot = place.and_then(|place| Some(self.sources.get(place.source)?.spot(place.offset)));
        self.found.push((place, Problem { severity, message, spot, hint: None }));
        self.found.last_mut().map_or(&mut self.surplus, |(_, problem)| problem)
    }
}
