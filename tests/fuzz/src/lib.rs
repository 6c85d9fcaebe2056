//! What several targets need.

pub mod intent;
pub mod message;
