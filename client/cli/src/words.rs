//! Text that fits: names come from others, and are cut, broken and made harmless here.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a text takes in a font whose letters are of one width.
pub(crate) fn columns(text: &str) -> usize {
    text.width()
}

/// The text without characters that a document must not have or that turn the order of the others: each becomes U+FFFD.
/// XML 1.0, production `Char`; Unicode Standard Annex 9, explicit directional formatting.
pub(crate) fn clean(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
            || c.width() == Some(0)
    };
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// The text in at most `most` columns; of a longer one both ends are left, for names often differ at the end.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(1);
    let tail = room / 3;
    let mut head = String::new();
    for c in text.chars() {
        if columns(&head) + c.width().unwrap_or(0) > room - tail {
            break;
        }
        head.push(c);
    }
    let mut end = Vec::new();
    let mut used = 0;
    for c in text.chars().rev() {
        used += c.width().unwrap_or(0);
        if used > tail {
            break;
        }
        end.push(c);
    }
    end.reverse();
    format!("{head}…{}", end.into_iter().collect::<String>())
}

/// The text in lines of at most `most` columns, broken at spaces; a word that is too long is broken where the line ends.
pub(crate) fn wrapped(text: &str, most: usize) -> Vec<String> {
    if !text.is_empty() && columns(text) <= most {
        return vec![text.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()).flat_map(|word| broken(word, most)) {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(&word) <= most => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

/// A word in pieces of at most `most` columns, at least one character each.
fn broken(word: &str, most: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in word.chars() {
        let width = c.width().unwrap_or(0);
        if used + width > most && used > 0 {
            pieces.push(String::new());
            used = 0;
        }
        used += width;
        pieces.last_mut().into_iter().for_each(|piece| piece.push(c));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_in_the_middle_or_broken() {
        assert_eq!(cut("router", 6), "router");
        assert_eq!(cut("deployment-x2x4z", 10), "deploy…x4z");
        assert_eq!(cut("漢字漢字", 6), "漢字…", "two columns each");
        assert_eq!(wrapped("no pod `late` is there", 10), ["no pod", "`late` is", "there"]);
        assert_eq!(wrapped("2001:db8::1/64", 8), ["2001:db8", "::1/64"]);
        assert_eq!(wrapped("", 8), Vec::<String>::new());
        assert_eq!(clean("a\u{1b}[31m\u{202e}b"), "a\u{fffd}[31m\u{fffd}b");
    }
}
