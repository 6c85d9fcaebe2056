//! Domain to wire.

mod element;
mod impairment;
mod interface;
mod ipam;
mod node;
mod sandbox;
mod topology;
mod verified;

pub(super) use element::{attachment, attachments, bridge, bridges, link, links};
#[cfg(test)]
pub(super) use impairment::impairment;
pub(super) use node::{netns, node};
pub(super) use sandbox::sandbox;
pub(super) use topology::{change, plan, renewal, snapshot, synced, topology};
pub(super) use verified::verified;
