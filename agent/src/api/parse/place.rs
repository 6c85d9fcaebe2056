//! Where in a message something stands.

use std::fmt;

/// Path of a field, written only when there is something to say about it: `links[2].a.addresses[0]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Place<'a>>,
    name: &'static str,
    index: Option<usize>,
}

impl<'a> Place<'a> {
    /// The message itself: what stands in it has no prefix.
    pub(super) const MESSAGE: Place<'static> = Place { parent: None, name: "", index: None };

    /// A field of what stands here.
    pub(super) fn field(&'a self, name: &'static str) -> Self {
        Self { parent: Some(self), name, index: None }
    }

    /// An element of a repeated field of what stands here.
    pub(super) fn item(&'a self, name: &'static str, index: usize) -> Self {
        Self { parent: Some(self), name, index: Some(index) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent.filter(|parent| parent.parent.is_some()) {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)?;
        match self.index {
            Some(index) => write!(f, "[{index}]"),
            None => Ok(()),
        }
    }
}
