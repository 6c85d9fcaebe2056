//! JSON inside a YAML text: `spec.config` of a definition, the annotation of a pod. Its problems point into the manifest.

use serde::de::IgnoredAny;

use super::{
    findings::Findings,
    node::{Node, Scalar, Value},
    source::Place,
    syntax,
};

/// The JSON value in the scalar `node`; `what` names it in messages. Problems are reported at their place in the manifest.
pub(crate) fn json(node: &Node, what: &str, findings: &mut Findings<'_>) -> Option<Node> {
    let Some(scalar) = node.scalar().filter(|_| !node.is_null()) else {
        findings.error(node.place, format!("{what} is {}, not JSON in a text", node.kind()));
        return None;
    };
    let map = Map::new(scalar, findings.text(node.place.source), node.place);
    if let Err(error) = serde_json::from_str::<IgnoredAny>(&scalar.text) {
        let start: usize = scalar.text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let place = map.place(start + error.column().saturating_sub(1));
        let words = error.to_string();
        let words = words.split(" at line ").next().unwrap_or(&words).to_owned();
        findings
            .error(place, format!("{what} is not JSON: {words}"))
            .hint("it is JSON inside a YAML text: quotes, commas and brackets must match");
        return None;
    }
    let mut inner = Findings::new(&[], false);
    let parsed = syntax::parse(&scalar.text, node.place.source, &mut inner, |inner, error| {
        inner.error(None, error.message.clone());
    });
    if let Err(invalid) = inner.finish() {
        let words = invalid.problems.first().map_or("", |problem| problem.message.as_str());
        findings.error(node.place, format!("{what} cannot be read: {words}"));
        return None;
    }
    let mut root = parsed.documents.into_iter().next()?;
    map.replace(&mut root);
    Some(root)
}

/// From the bytes of a scalar's text to those of the manifest.
pub(crate) struct Map {
    place: Place,
    /// Manifest offset of each byte of the text.
    offsets: Vec<usize>,
}

impl Map {
    /// Walks text and source side by side. Folding, quotes and escapes only add to the source, so each character of the
    /// text is the next equal one of the source.
    pub(crate) fn new(scalar: &Scalar, source: &str, place: Place) -> Self {
        let raw = source.get(scalar.raw.clone()).unwrap_or_default();
        let mut rest = raw.char_indices().peekable();
        let mut offsets = Vec::with_capacity(scalar.text.len() + 1);
        let mut last = scalar.raw.start;
        for wanted in scalar.text.chars() {
            if !wanted.is_whitespace() {
                while let Some((at, seen)) = rest.next() {
                    if scalar.escaped && seen == '\\' {
                        if rest.next().is_some_and(|(_, escape)| escape == wanted) {
                            last = scalar.raw.start + at + 1;
                            break;
                        }
                    } else if seen == wanted {
                        last = scalar.raw.start + at;
                        break;
                    }
                }
            }
            offsets.extend(std::iter::repeat_n(last, wanted.len_utf8()));
        }
        Self { place, offsets }
    }

    /// The place of a byte of the text.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = self.offsets.get(offset).or(self.offsets.last()).copied().unwrap_or(self.place.offset);
        Place { offset, ..self.place }
    }

    fn replace(&self, node: &mut Node) {
        node.place = self.place(node.place.offset);
        match &mut node.value {
            Value::Scalar(scalar) => {
                let end = self.place(scalar.raw.end).offset;
                scalar.raw = node.place.offset..end.max(node.place.offset);
            }
            Value::List(items) => items.iter_mut().for_each(|item| self.replace(item)),
            Value::Map(entries) => {
                for (key, value) in entries {
                    key.place = self.place(key.place.offset);
                    self.replace(value);
                }
            }
        }
    }
}
