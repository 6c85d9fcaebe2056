//! What is stored as bytes: the JSON of the domain's types. The golden files of `agent/testdata/store` show it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Serialize, Serializer};

use crate::domain::{announcement::Announcement, intent::Intent, name::TopologyKey};

use super::Record;

/// A record or an announcement as bytes.
pub(super) fn encode(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(value)
}

/// The inverse of [`encode`]. `Err`: what is wrong with the bytes.
pub(super) fn decode(key: &str, bytes: &[u8]) -> Result<(TopologyKey, Record), String> {
    let key = topology_key(key)?;
    let mut record = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if let Record::Live { intent, former } = &mut record {
        for intent in [Some(intent), former.as_mut()].into_iter().flatten() {
            whole(&key, intent)?;
            // Lists that grew while they were read have room for twice as much; copies have none.
            *intent = Arc::new(Intent::clone(intent));
        }
    }
    Ok((key, record))
}

/// The inverse of [`encode`] for an announcement, which is under the id of its sandbox.
pub(super) fn decode_announcement(id: &str, bytes: &[u8]) -> Result<Announcement, String> {
    let announcement: Announcement = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let own = announcement.sandbox.sandbox_id.as_str();
    if own == id { Ok(announcement) } else { Err(format!("it is of sandbox {own}")) }
}

/// The inverse of the `Display` of a key.
fn topology_key(text: &str) -> Result<TopologyKey, String> {
    let (namespace, name) = text.split_once('/').ok_or("its key is not `namespace/name`")?;
    let namespace = namespace.parse().map_err(|error| format!("its namespace `{namespace}`: {error}"))?;
    let name = name.parse().map_err(|error| format!("its name `{name}`: {error}"))?;
    Ok(TopologyKey { namespace, name })
}

/// What the types alone do not say of an intent: everything in it is of this topology, and everything was chosen.
fn whole(key: &TopologyKey, intent: &Intent) -> Result<(), String> {
    for spec in [Some(&intent.spec), intent.applied.as_deref()].into_iter().flatten() {
        if spec.key != *key {
            return Err(format!("it holds the intent of topology {}", spec.key));
        }
    }
    let wanted: BTreeSet<_> = intent.spec.interfaces().map(|(id, ..)| id).collect();
    match intent.assigned.keys().find(|id| !wanted.contains(id)) {
        Some(id) => Err(format!("something was chosen for interface {id}, which it does not have")),
        None if wanted.len() > intent.assigned.len() => Err("nothing was chosen for one of its interfaces".into()),
        None => Ok(()),
    }
}

/// A time as it is stored: there is none before 1970.
pub(super) fn since_epoch<S: Serializer>(at: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    (*at).max(UNIX_EPOCH).serialize(serializer)
}

#[cfg(test)]
mod tests;
