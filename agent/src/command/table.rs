//! Plain tables.

use std::io::{self, Write};

/// Writes rows under headings, columns as wide as their widest cell. A column that says nothing is left out.
pub(super) fn write<const N: usize>(
    out: &mut impl Write,
    headings: [&'static str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let mut lines: Vec<[String; N]> = vec![headings.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| row.each_ref().map(|cell| harmless(cell))));
    let length = |line: &[String; N], column: usize| line[column].chars().count();
    let widths: Vec<usize> = (0..N)
        .map(|column| match lines[1..].iter().map(|line| length(line, column)).max() {
            None | Some(0) => 0,
            Some(widest) => widest.max(length(&lines[0], column)),
        })
        .collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

/// Names of devices are what their pods chose: what would steer the terminal is written out.
fn harmless(cell: &str) -> String {
    let written_out = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    cell.chars().map(written_out).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_say_nothing_are_left_out_and_names_do_not_steer_the_terminal() {
        let mut out = Vec::new();
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        write(&mut out, ["ONE", "TWO", "THREE"], &[row(["a\u{1b}[2J", "", "x"]), row(["b", "", ""])]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "ONE         THREE\na\\u{1b}[2J  x\nb\n");
    }
}
