//! Wire to domain, once, with every violation at once.

mod address;
mod capture;
mod element;
mod findings;
mod impairment;
mod interface;
mod ipam;
mod key;
mod place;
mod sandbox;
mod single;
mod stand_in;
mod topology;
mod verify;

#[cfg(test)]
mod tests;

pub(super) use capture::capture;
pub(super) use sandbox::{check_sandbox, plug_sandbox, retain_sandboxes, unplug_sandbox};
pub(super) use single::{
    Members, attach, create_bridge, create_link, delete_bridge, delete_link, detach, get_attachment, get_bridge,
    get_link, list_attachments, list_bridges, list_links, netns, pods, update_attachment, update_link,
};
pub(super) use topology::{Renew, Watch, apply, delete, get, list, plan, renew, watch};
pub(super) use verify::verify;
