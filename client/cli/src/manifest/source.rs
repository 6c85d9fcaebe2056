//! The text of a manifest and the places in it.

use super::problem::{Invalid, Problem, Spot};

/// Largest manifest that is read, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Characters of a source line that a problem shows at most.
const SHOWN: usize = 100;

/// One manifest as it was read: a file or the standard input.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
}

/// A byte of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Index of the source.
    pub(crate) source: usize,
    /// Byte offset in its text.
    pub(crate) offset: usize,
}

impl Source {
    /// Takes the bytes of the manifest `name`, which is what problems call it.
    ///
    /// # Errors
    ///
    /// The manifest is larger than [`MAX_BYTES`] or is not UTF-8.
    pub fn new(name: impl Into<String>, bytes: Vec<u8>) -> Result<Self, Invalid> {
        let name = name.into();
        if bytes.len() > MAX_BYTES {
            let mut problem = Problem::error(format!("`{name}` is larger than {} MiB", MAX_BYTES >> 20));
            problem.hint("split the topology, or take out what is not a network or a pod");
            return Err(Invalid { problems: vec![problem] });
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { name, text }),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let start = String::from_utf8_lossy(error.as_bytes().get(..valid).unwrap_or_default()).into_owned();
                let spot = Self { name, text: start }.spot(valid);
                Err(Invalid { problems: vec![Problem::error("not UTF-8").at(spot)] })
            }
        }
    }

    /// The text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte, with the line itself.
    pub(crate) fn spot(&self, offset: usize) -> Spot {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let (before, after) = self.text.split_at(offset);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let end = after.find('\n').map_or(self.text.len(), |at| offset + at);
        let column = before.get(start..).map_or(0, |line| line.chars().count()) + 1;
        let line = self.text.get(start..end).unwrap_or_default().trim_end_matches('\r');
        let (excerpt, caret) = window(line, column);
        Spot { file: self.name.clone(), line: before.matches('\n').count() + 1, column, excerpt, caret }
    }
}

/// The part of a line around a column (from 1) that fits a terminal, and how many characters of it are left of the column.
fn window(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    let before = (column - 1).min(length);
    let skip = if before > SHOWN * 3 / 4 { before - SHOWN / 2 } else { 0 };
    let shown = line.chars().skip(skip).take(SHOWN);
    let mut shown: String = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut caret = before - skip;
    if skip > 0 {
        shown.insert(0, '…');
        caret += 1;
    }
    if skip + SHOWN < length {
        shown.push('…');
    }
    (shown, caret)
}
