//! YAML (and so JSON) text to nodes, within a budget, up to the first syntax error.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use serde_saphyr::granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, options};

use super::{
    findings::Findings,
    node::{Key, Node, Scalar, Value},
    patch::Patch,
    source::Place,
};

/// Values of one text, aliases resolved.
const MAX_VALUES: usize = 500_000;

/// Keys of one mapping.
const MAX_KEYS: usize = 2048;

/// Nested collections.
const MAX_DEPTH: usize = 64;

/// What a text holds.
pub(crate) struct Parsed {
    /// The roots of its documents; empty ones are left out.
    pub(crate) documents: Vec<Node>,
    /// Whether all of the text was read.
    pub(crate) complete: bool,
    /// The root mapping of the document with the syntax error, as far as it goes.
    pub(crate) broken: Option<Node>,
}

/// A syntax error: where in the text, and in which words.
pub(crate) struct SyntaxError {
    /// Byte of the text.
    pub(crate) offset: usize,
    /// What the parser says.
    pub(crate) message: String,
}

/// Parses a text of a source. A syntax error goes to `report`.
pub(crate) fn parse(
    text: &str,
    source: usize,
    findings: &mut Findings<'_>,
    report: impl FnOnce(&mut Findings<'_>, &SyntaxError),
) -> Parsed {
    let mut builder = Builder { source, ..Builder::default() };
    let mut patch = Patch::new(text);
    // Once for the text, and again from the start of each document that is patched.
    loop {
        let start = patch.original(0);
        let stopped = builder.read(&patch);
        let error = match stopped {
            None => {
                return Parsed { documents: builder.documents, complete: true, broken: None };
            }
            Some(Stop::Value { place, message }) => {
                findings.error(place, message);
                return Parsed { documents: builder.documents, complete: false, broken: None };
            }
            Some(Stop::Syntax(error)) => error,
        };
        let document = builder.document.unwrap_or(start);
        let offset = patch.offset(&error);
        let again = matches!(error.kind(), ErrorKind::InvalidQuotedScalarIndent) && patch.indent(offset, document);
        if !again {
            let offset = patch.original(offset);
            report(findings, &SyntaxError { offset, message: error.info() });
            return builder.broken();
        }
        builder.again();
    }
}

/// Why reading stopped.
enum Stop {
    /// At the syntax.
    Syntax(ScanError),
    /// At a value.
    Value { place: Place, message: String },
}

fn stop(place: Place, message: impl Into<String>) -> Result<(), Stop> {
    Err(Stop::Value { place, message: message.into() })
}

/// A collection that is not closed yet.
struct Open {
    node: Node,
    key: Option<Key>,
    anchor: usize,
}

#[derive(Default)]
struct Builder {
    source: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    documents: Vec<Node>,
    values: usize,
    /// Values of the documents before the one that is being read.
    done: usize,
    /// Where the document that is being read starts.
    document: Option<usize>,
}

impl Builder {
    /// Reads from where the patch starts, to the end or to the first error.
    fn read(&mut self, patch: &Patch) -> Option<Stop> {
        let options = options! {
            emit_comments: false,
            flow_nesting_limit: MAX_DEPTH,
            block_nesting_limit: MAX_DEPTH,
        };
        for event in Parser::new_from_str_with_options(patch.text(), options) {
            let taken = event.map_err(Stop::Syntax).and_then(|(event, span)| {
                let raw = span.byte_range().unwrap_or_default();
                self.take(event, patch.original(raw.start)..patch.original(raw.end))
            });
            if let Err(stop) = taken {
                return Some(stop);
            }
        }
        None
    }

    fn take(&mut self, event: Event<'_>, raw: Range<usize>) -> Result<(), Stop> {
        let place = Place { source: self.source, offset: raw.start };
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let escaped = style == ScalarStyle::DoubleQuoted;
                let scalar = Scalar { text: text.into_owned(), plain, escaped, raw };
                self.close(Node { place, value: Value::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.start(place, Value::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.start(place, Value::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open { node, anchor, .. }) => self.close(merged(node)?, anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor) else {
                    return stop(place, "an alias to what holds it");
                };
                self.values += node.size();
                let node = Node { place, ..node.clone() };
                self.close(node, 0)
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                self.done = self.values;
                self.document = Some(raw.end);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn start(&mut self, place: Place, value: Value, anchor: usize) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            return stop(place, format!("nested deeper than {MAX_DEPTH} levels"));
        }
        if matches!(self.open.last(), Some(Open { node, key: None, .. }) if node.is_map()) {
            return stop(place, "a key that is not a text");
        }
        self.open.push(Open { node: Node { place, value }, key: None, anchor });
        Ok(())
    }

    /// Gives a finished value to the collection that it belongs to.
    fn close(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        self.values += 1;
        let place = node.place;
        if self.values > MAX_VALUES {
            return stop(place, format!("more than {MAX_VALUES} values"));
        }
        if anchor > 0 {
            self.values += node.size();
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        match (&mut open.node.value, open.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some(key)) => entries.push((key, node)),
            (Value::Map(entries), None) => {
                let Value::Scalar(scalar) = node.value else {
                    return stop(place, "a key that is not a text");
                };
                if entries.len() >= MAX_KEYS {
                    return stop(place, format!("more than {MAX_KEYS} keys"));
                }
                if entries.iter().any(|(key, _)| key.text == scalar.text) {
                    return stop(place, format!("key `{}` is there twice", scalar.text));
                }
                open.key = Some(Key { place, text: scalar.text });
            }
            (Value::Scalar(_), _) => {}
        }
        Ok(())
    }

    /// Forgets the document that is being read.
    fn again(&mut self) {
        self.open.clear();
        self.anchors.clear();
        self.values = self.done;
    }

    fn broken(mut self) -> Parsed {
        self.open.truncate(1);
        Parsed { documents: self.documents, complete: false, broken: self.open.pop().map(|open| open.node) }
    }
}

/// A mapping with the entries of its `<<` that it does not have itself.
fn merged(node: Node) -> Result<Node, Stop> {
    let Value::Map(mut entries) = node.value else {
        return Ok(node);
    };
    if let Some(at) = entries.iter().position(|(key, value)| key.text == "<<" && !value.is_null()) {
        let (_, base) = entries.remove(at);
        let place = base.place;
        let mut own: HashSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
        let bases = if base.is_map() { vec![base] } else { base.items().to_vec() };
        for (key, value) in bases.iter().flat_map(Node::entries) {
            if own.insert(key.text.clone()) {
                entries.push((key.clone(), value.clone()));
            }
            // Of many bases too: whoever looks for a key looks at each.
            if entries.len() > MAX_KEYS {
                return Err(Stop::Value { place, message: format!("more than {MAX_KEYS} keys") });
            }
        }
    }
    Ok(Node { place: node.place, value: Value::Map(entries) })
}
