//! A configuration list as text: what is not podwire's stays byte for byte.

use std::ops::Range;

use serde_json::Value;

use crate::{NAME, version::Version};

/// What to do with a list.
pub(crate) enum Edit {
    /// This is the entry, behind all others.
    Add(Value),
    /// There is no entry.
    Remove,
}

/// What came of it.
pub(crate) enum Edited {
    /// The new text.
    To(String),
    /// It is so already.
    Same,
    /// It is no list that can be chained into, and why.
    Broken(String),
}

/// Changes the text of a list.
pub(crate) fn edited(text: &str, edit: &Edit) -> Edited {
    let list: Value = match serde_json::from_str(text) {
        Ok(list) => list,
        Err(error) => return Edited::Broken(format!("it is not JSON: {error}")),
    };
    let Some(plugins) = list.get("plugins").and_then(Value::as_array) else {
        return Edited::Broken("it has no list of `plugins`".to_owned());
    };
    let Some(spans) = spans(text).filter(|spans| spans.len() == plugins.len()) else {
        return Edited::Broken("it cannot be read a second time".to_owned());
    };
    let is_ours = |plugin: &Value| plugin.get("type").and_then(Value::as_str) == Some(NAME);
    let ours: Vec<usize> = (0..plugins.len()).filter(|&at| is_ours(&plugins[at])).collect();
    let entry = match edit {
        Edit::Remove if ours.is_empty() => return Edited::Same,
        Edit::Remove => return Edited::To(without(text, &spans, &ours)),
        Edit::Add(entry) => entry,
    };
    if ours.len() == plugins.len() {
        return Edited::Broken("it has no plugin to stand behind".to_owned());
    }
    if let Some(problem) = version_problem(&list) {
        return Edited::Broken(problem);
    }
    match ours.as_slice() {
        [only] if *only + 1 == plugins.len() && plugins[*only] == *entry => Edited::Same,
        // Another entry, or in another place.
        [_, ..] => match edited(&without(text, &spans, &ours), edit) {
            Edited::Same => Edited::Broken("it cannot be read a second time".to_owned()),
            other => other,
        },
        [] => {
            let Some(last) = spans.last() else { return Edited::Broken("it has no plugins".to_owned()) };
            let (head, tail) = text.split_at(last.end);
            Edited::To(format!("{head},{}{entry}{tail}", indentation(text, last.start)))
        }
    }
}

/// Every pod would fail in a list of a version that the plugin does not speak.
fn version_problem(list: &Value) -> Option<String> {
    match list.get("cniVersion").and_then(Value::as_str) {
        Some(version) if Version::parse(version).is_some() => None,
        Some(version) => Some(format!("its cniVersion `{}` is none of {}", version.escape_debug(), Version::list())),
        None => Some("it has no cniVersion".to_owned()),
    }
}

/// What stands between the comma and an element like this one: its line's beginning, or a space.
fn indentation(text: &str, start: usize) -> &str {
    let before = &text[..start];
    let blank = &before[before.trim_end().len()..];
    if blank.contains('\n') { blank } else { " " }
}

/// The text without some elements. One goes with the comma before it; the first goes with the one behind it.
fn without(text: &str, spans: &[Range<usize>], gone: &[usize]) -> String {
    let mut rest = text.to_owned();
    let mut kept: Vec<Range<usize>> = spans.to_vec();
    for &at in gone.iter().rev() {
        let range = match (at.checked_sub(1).and_then(|before| kept.get(before)), kept.get(at + 1), kept.get(at)) {
            (Some(before), _, Some(own)) => before.end..own.end,
            (None, Some(next), Some(own)) => own.start..next.start,
            (None, None, Some(own)) => own.clone(),
            (_, _, None) => continue,
        };
        rest.replace_range(range.clone(), "");
        kept.remove(at);
        for span in kept.iter_mut().skip(at) {
            *span = span.start - range.len()..span.end - range.len();
        }
    }
    rest
}

/// Where the elements of the list `plugins` stand in a JSON object that is known to be sound. Of several lists of that name
/// the last one counts, as for Go and for serde.
fn spans(text: &str) -> Option<Vec<Range<usize>>> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    let mut found = None;
    reader.items(b'{', b'}', |reader| {
        let name = reader.value()?;
        reader.expect(b':')?;
        // A name may be written with escapes.
        let is_plugins = serde_json::from_str::<String>(text.get(name)?).is_ok_and(|name| name == "plugins");
        if is_plugins && reader.peek()? == b'[' {
            let mut spans = Vec::new();
            reader.items(b'[', b']', |reader| {
                spans.push(reader.value()?);
                Some(())
            })?;
            found = Some(spans);
        } else {
            reader.value()?;
        }
        Some(())
    })?;
    found
}

/// Steps through sound JSON.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// The items between two brackets.
    fn items(&mut self, open: u8, close: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.expect(open)?;
        if self.peek()? == close {
            return self.expect(close);
        }
        loop {
            item(self)?;
            if self.peek()? == close {
                return self.expect(close);
            }
            self.expect(b',')?;
        }
    }

    /// Steps over a value: where it stands.
    fn value(&mut self) -> Option<Range<usize>> {
        let first = self.peek()?;
        let start = self.at;
        match first {
            b'"' => self.string()?,
            b'{' | b'[' => {
                let mut depth = 0_usize;
                loop {
                    match self.peek()? {
                        b'"' => {
                            self.string()?;
                            continue;
                        }
                        b'{' | b'[' => depth += 1,
                        b'}' | b']' => depth -= 1,
                        _ => {}
                    }
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
            }
            _ => {
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b':') || byte.is_ascii_whitespace();
                self.at += self.bytes.get(self.at..)?.iter().position(ends)?;
            }
        }
        Some(start..self.at)
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.bytes.get(self.at)? {
                b'\\' => self.at += 2,
                b'"' => break,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests;
