//! What an agent says of an error besides its message.

use std::fmt;

/// A field of the request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field: `links[2].a.addresses[0]`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub description: String,
}

/// Something on the node that forbids the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Precondition {
    /// A stable word for its kind.
    pub kind: String,
    /// What is concerned: a topology, an element, a pod.
    pub subject: String,
    /// What is in the way.
    pub description: String,
}

/// What the call was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// What kind of thing: `bridge`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Whose it is; empty where that is not said.
    pub owner: String,
    /// What is wrong with it.
    pub description: String,
}

impl fmt::Display for FieldViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.description)
    }
}
