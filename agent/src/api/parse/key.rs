//! Which topology a call is about.

use crate::{
    domain::name::{Namespace, TopologyKey},
    panel::ChangeError,
};

use super::{findings::Findings, place::Place};

/// The key that `namespace` and a field with the topology's name make; where empty, `default`.
///
/// # Errors
///
/// All violations.
pub(super) fn key(namespace: &str, name: (&'static str, &str)) -> Result<TopologyKey, ChangeError> {
    let mut found = Findings::default();
    let key = key_at(&mut found, namespace, name);
    found.finish(key)
}

/// As `key`, for a message with more to say.
pub(super) fn key_at(found: &mut Findings, namespace: &str, name: (&'static str, &str)) -> Option<TopologyKey> {
    let at = Place::MESSAGE;
    let namespace = found.optional(at.field("namespace"), namespace, "a namespace");
    let name = found.optional(at.field(name.0), name.1, "a topology name");
    Some(TopologyKey { namespace: namespace?.unwrap_or_default(), name: name?.unwrap_or_default() })
}

/// A namespace; empty: `None`.
///
/// # Errors
///
/// A violation.
pub(super) fn namespace(text: &str) -> Result<Option<Namespace>, ChangeError> {
    let mut found = Findings::default();
    let namespace = found.optional(Place::MESSAGE.field("namespace"), text, "a namespace");
    found.finish(namespace)
}
