//! Plain tables.

use std::io::{self, Write};

/// Writes rows under headings, columns as wide as their widest cell. A column that says nothing is left out.
pub(super) fn write<const N: usize>(
    out: &mut impl Write,
    headings: [&'static str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> =
        (0..N).map(|column| if width(column) == 0 { 0 } else { width(column).max(headings[column].len()) }).collect();
    let headings = headings.map(str::to_owned);
    for row in std::iter::once(&headings).chain(rows) {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let line: String = cells.map(|(cell, width)| format!("{cell:width$}  ")).collect();
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
