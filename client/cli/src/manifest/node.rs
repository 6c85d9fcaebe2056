//! A YAML or JSON value that knows its place.

use std::ops::Range;

use super::source::Place;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its first byte.
    pub(crate) place: Place,
    /// The value.
    pub(crate) value: Value,
}

/// A value. Scalars keep their text: who reads them decides of which type they are.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A plain or quoted scalar.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in its order, without repeated keys.
    Map(Vec<(Key, Node)>),
}

/// A scalar.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    /// The text after escapes and folding.
    pub(crate) text: String,
    /// Written without quotes, so it may be a number, a boolean or null.
    pub(crate) plain: bool,
    /// Written in double quotes, so the source has escapes.
    pub(crate) escaped: bool,
    /// Its bytes in the source.
    pub(crate) raw: Range<usize>,
}

/// A key of a mapping.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    /// Its first byte.
    pub(crate) place: Place,
    /// Its text.
    pub(crate) text: String,
}

impl Node {
    /// The value of a key that is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|(name, _)| name.text == key).map(|(_, node)| node).filter(|node| !node.is_null())
    }

    /// The entries of a mapping; none of anything else.
    pub(crate) fn entries(&self) -> &[(Key, Node)] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The scalar that it is.
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar that is not null.
    pub(crate) fn text(&self) -> Option<&str> {
        self.scalar().filter(|_| !self.is_null()).map(|scalar| scalar.text.as_str())
    }

    /// The boolean that it is.
    pub(crate) fn boolean(&self) -> Option<bool> {
        match self.plain()? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => None,
        }
    }

    /// The number that it is, decimal.
    pub(crate) fn integer(&self) -> Option<i128> {
        self.plain()?.parse().ok()
    }

    /// The number that it is, with a fraction or without.
    pub(crate) fn number(&self) -> Option<f64> {
        self.plain()?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Whether it is null or nothing at all.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.plain(), Some("" | "~" | "null" | "Null" | "NULL"))
    }

    /// Whether it is a mapping.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// Whether it asks for nothing: null, false, 0, or an empty text, list or mapping; or holds only such.
    pub(crate) fn is_void(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => {
                scalar.text.is_empty() || self.is_null() || self.boolean() == Some(false) || self.integer() == Some(0)
            }
            Value::List(items) => items.iter().all(Self::is_void),
            Value::Map(entries) => entries.iter().all(|(_, node)| node.is_void()),
        }
    }

    /// What it is, for a message.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(_) if self.is_null() => "nothing",
            Value::Scalar(_) if self.boolean().is_some() => "a boolean",
            Value::Scalar(_) if self.integer().is_some() => "a number",
            Value::Scalar(_) => "a text",
        }
    }

    /// Values in it, itself included.
    pub(crate) fn size(&self) -> usize {
        match &self.value {
            Value::Scalar(_) => 1,
            Value::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|(_, node)| node.size()).sum::<usize>(),
        }
    }

    fn plain(&self) -> Option<&str> {
        self.scalar().filter(|scalar| scalar.plain).map(|scalar| scalar.text.as_str())
    }
}
