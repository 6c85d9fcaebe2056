//! Tables for people.

use crate::words::{columns, cut, wrapped};

/// Between two columns.
const BETWEEN: usize = 2;

/// A column becomes no narrower than this, however narrow the terminal is.
const NARROWEST: usize = 6;

/// Rows under headings, as wide as the terminal at most.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    spare: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new<const N: usize>(headings: [&'static str; N]) -> Self {
        Self { headings: headings.to_vec(), spare: Vec::new(), rows: Vec::new() }
    }

    /// Columns that are left out where the terminal is too narrow, the first one first.
    pub(crate) fn spare<const N: usize>(mut self, headings: [&'static str; N]) -> Self {
        self.spare = headings.to_vec();
        self
    }

    /// Adds a row; an empty cell is shown as empty.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(Vec::from(cells));
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, without columns that say nothing. `width`: columns of the terminal. Where that is too narrow, spare
    /// columns go; then names, in the first column, are cut in the middle, and all else is broken into lines.
    pub(crate) fn render(&self, width: Option<u16>) -> String {
        let says = |column: &usize| self.rows.iter().any(|row| row.get(*column).is_some_and(|cell| !cell.is_empty()));
        let mut used: Vec<_> = (0..self.headings.len()).filter(|column| *column == 0 || says(column)).collect();
        let room = width.map_or(usize::MAX, usize::from);
        for spare in &self.spare {
            if whole(&self.widths(&used)) <= room {
                break;
            }
            used.retain(|column| self.headings[*column] != *spare);
        }
        let mut widths = self.widths(&used);
        while whole(&widths) > room {
            let widest = widths.iter_mut().filter(|width| **width > NARROWEST).max();
            let Some(widest) = widest else { break };
            *widest -= 1;
        }
        let mut lines = Vec::new();
        let headings: Vec<_> = self.headings.iter().map(ToString::to_string).collect();
        for row in std::iter::once(&headings).chain(&self.rows) {
            let cells: Vec<_> =
                used.iter().zip(&widths).map(|(column, width)| cell(row.get(*column), *column, *width)).collect();
            for at in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let mut line = String::new();
                for (cell, width) in cells.iter().zip(&widths) {
                    let text = cell.get(at).map_or("", String::as_str);
                    line.push_str(text);
                    line.extend(std::iter::repeat_n(' ', (width + BETWEEN).saturating_sub(columns(text))));
                }
                lines.push(line.trim_end().to_owned());
            }
        }
        lines.join("\n")
    }

    /// How wide each of these columns would like to be.
    fn widths(&self, used: &[usize]) -> Vec<usize> {
        let cells = |column: usize| self.rows.iter().filter_map(move |row| row.get(column));
        let widest = |column: usize| cells(column).flat_map(|cell| cell.lines()).map(columns).max().unwrap_or(0);
        used.iter().map(|column| widest(*column).max(columns(self.headings[*column]))).collect()
    }
}

fn whole(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + BETWEEN * widths.len().saturating_sub(1)
}

/// The lines of a cell.
fn cell(text: Option<&String>, column: usize, width: usize) -> Vec<String> {
    let fit = |line: &str| match () {
        () if columns(line) <= width => vec![line.to_owned()],
        () if column == 0 => vec![cut(line, width)],
        () => wrapped(line, width),
    };
    text.map(String::as_str).unwrap_or_default().lines().flat_map(fit).collect()
}

/// Words with a colour.
const COLOURS: [(&str, &str); 5] = [
    ("READY", "\x1b[32m"),
    ("PENDING", "\x1b[33m"),
    ("DEGRADED", "\x1b[33m"),
    ("FAILED", "\x1b[31m"),
    ("missing", "\x1b[33m"),
];

/// The same text with colours for states. The stream takes them out where they are not wanted.
pub(crate) fn paint(text: &str) -> String {
    let mut painted = String::with_capacity(text.len() + 64);
    let mut word = String::new();
    let flush = |word: &mut String, painted: &mut String| {
        match COLOURS.iter().find(|(name, _)| name == word) {
            Some((_, colour)) => painted.extend([colour, word.as_str(), "\x1b[0m"]),
            None => painted.push_str(word),
        }
        word.clear();
    };
    for c in text.chars() {
        // A terminal obeys control characters: none of a name or of a reason reaches it.
        let c = if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
        if c.is_alphanumeric() || c == '-' || c == '_' || c == '`' {
            word.push(c);
        } else {
            flush(&mut word, &mut painted);
            painted.push(c);
        }
    }
    flush(&mut word, &mut painted);
    painted
}
