//! Tables for people.

use comfy_table::{ContentArrangement, Table as Grid, presets::NOTHING};

/// Rows under headings, as wide as the terminal at most.
#[derive(Debug)]
pub(crate) struct Table {
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new<const N: usize>(headings: [&'static str; N]) -> Self {
        Self { headings: headings.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; an empty cell is shown as empty.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(Vec::from(cells));
    }

    /// Whether it has no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, without columns that say nothing. `width`: columns of the terminal.
    pub(crate) fn render(&self, width: Option<u16>) -> String {
        let used: Vec<_> = (0..self.headings.len())
            .filter(|column| {
                *column == 0 || self.rows.iter().any(|row| row.get(*column).is_some_and(|cell| !cell.is_empty()))
            })
            .collect();
        let pick = |row: &[String]| used.iter().filter_map(|column| row.get(*column).cloned()).collect::<Vec<_>>();
        let mut grid = Grid::new();
        grid.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        if let Some(width) = width {
            grid.set_width(width);
        }
        let headings: Vec<_> = self.headings.iter().map(ToString::to_string).collect();
        grid.set_header(pick(&headings));
        for row in &self.rows {
            grid.add_row(pick(row));
        }
        for column in grid.column_iter_mut() {
            column.set_padding((0, 2));
        }
        grid.trim_fmt()
    }
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
