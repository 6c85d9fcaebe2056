//! Indents what YAML 1.2 wants indented and every Kubernetes tool accepts: the lines of JSON in a quoted text.
//!
//! A line of a quoted text must be indented deeper than its key (YAML 1.2.2, 6.3 and 7.3). libyaml, and with it `kubectl`, does
//! not insist, and published manifests close the JSON of `spec.config` with a `}'` below its key. White space at the
//! start of such a line is no part of the text, so more of it changes nothing.

use serde_saphyr::granit_parser::ScanError;

/// How far a line is pushed in.
const PUSH: usize = 80;

/// Bytes that are read again at most, all patches together; moving a byte costs a part of reading it.
const BUDGET: usize = 16 * 1024 * 1024;

/// A text from the start of a document to its end, with more white space than the original.
pub(super) struct Patch {
    text: String,
    /// Byte of the original at which the text starts.
    start: usize,
    /// Where in the text white space was added, ascending.
    pushed: Vec<usize>,
    /// Bytes that may still be read again.
    budget: usize,
}

impl Patch {
    /// The text as it is.
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), start: 0, pushed: Vec::new(), budget: BUDGET }
    }

    /// What is to be read.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The byte of the original for one of the text.
    pub(super) fn original(&self, offset: usize) -> usize {
        let before = self.pushed.partition_point(|at| *at < offset);
        let Some((last, passed)) = self.pushed.get(..before).and_then(<[usize]>::split_last) else {
            return self.start + offset;
        };
        self.start + offset - passed.len() * PUSH - (offset - last).min(PUSH)
    }

    /// The byte of the text at which an error is.
    pub(super) fn offset(&self, error: &ScanError) -> usize {
        let marker = error.marker();
        let line: usize = self.text.split_inclusive('\n').take(marker.line().saturating_sub(1)).map(str::len).sum();
        let rest = self.text.get(line..).unwrap_or_default();
        line + rest.char_indices().nth(marker.col()).map_or(rest.len(), |(at, _)| at)
    }

    /// Pushes the line at `offset` in, if it is one of JSON, and starts at the byte `document` of the original. Returns
    /// whether it is worth reading again.
    pub(super) fn indent(&mut self, offset: usize, document: usize) -> bool {
        let json = self.text.get(offset..).is_some_and(|rest| rest.starts_with(['{', '}', '[', ']', '"', ',']));
        if !json {
            return false;
        }
        // Documents before this one were read for good; none of them lies in the patched text.
        let mut skip = document.saturating_sub(self.start);
        for at in &self.pushed {
            skip += if *at < skip { PUSH } else { 0 };
        }
        let skip = skip.min(offset);
        let cost = offset - skip + self.text.len() / 32 + PUSH;
        if cost > self.budget || !self.text.is_char_boundary(skip) {
            return false;
        }
        self.budget -= cost;
        if skip > 0 {
            self.text.drain(..skip);
            self.start = document;
            self.pushed.retain(|at| *at >= skip);
            self.pushed.iter_mut().for_each(|at| *at -= skip);
        }
        let line = self.text.get(..offset - skip).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        self.text.insert_str(line, &" ".repeat(PUSH));
        let index = self.pushed.partition_point(|at| *at < line);
        self.pushed.iter_mut().skip(index).for_each(|at| *at += PUSH);
        self.pushed.insert(index, line);
        true
    }
}
