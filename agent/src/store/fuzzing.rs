//! Ways in for `tests/fuzz`: what is stored, as bytes.

use crate::domain::{announcement::Announcement, name::TopologyKey};

use super::{Record, codec};

/// A record from its key and its bytes.
///
/// # Errors
///
/// What is wrong with them.
pub fn record(key: &str, bytes: &[u8]) -> Result<(TopologyKey, Record), String> {
    codec::decode(key, bytes)
}

/// The inverse of [`record`].
///
/// # Errors
///
/// It has something in it that cannot be stored.
pub fn record_bytes(record: &Record) -> Result<Vec<u8>, String> {
    codec::encode(record).map_err(|error| error.to_string())
}

/// An announced sandbox from its id and its bytes.
///
/// # Errors
///
/// What is wrong with them.
pub fn announcement(id: &str, bytes: &[u8]) -> Result<Announcement, String> {
    codec::decode_announcement(id, bytes)
}

/// The inverse of [`announcement`].
///
/// # Errors
///
/// It has something in it that cannot be stored.
pub fn announcement_bytes(announcement: &Announcement) -> Result<Vec<u8>, String> {
    codec::encode(announcement).map_err(|error| error.to_string())
}
