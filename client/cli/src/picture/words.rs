//! Text that fits: names come from others, and are cut, broken and made harmless here.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that a text takes in a font whose letters are of one width.
pub(super) fn columns(text: &str) -> usize {
    text.width()
}

/// The text without characters that a document must not have or that turn the order of the others: each becomes U+FFFD.
/// XML 1.0, production `Char`; Unicode Standard Annex 9, explicit directional formatting.
pub(super) fn clean(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
            || c.width() == Some(0)
    };
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// The text in at most `most` columns; of a longer one both ends are left, for names often differ at the end.
pub(super) fn cut(text: &str, most: usize) -> String {
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

/// The text in lines of at most `most` columns, broken at spaces; a word that is too long is cut.
pub(super) fn wrapped(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word = cut(word, most);
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
