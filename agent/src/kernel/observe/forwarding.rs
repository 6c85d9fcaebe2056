//! Whether the first frame would pass.

use std::collections::BTreeMap;

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkMessage},
};

use super::{Device, forwards};
use crate::kernel::{KernelError, link, socket::RouteSocket};

/// Whether a device passes frames.
pub(in crate::kernel) enum Forwarding {
    Yes,
    /// A pair reports its state, but not before linkwatch has seen it for the first time: until then it may drop.
    NotSeenYet,
    /// What was seen instead.
    No(String),
}

/// What a device is to its wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernel) enum Part {
    /// A port in the panel.
    Port,
    /// A NIC in a pod. What the pod makes of it, a port of a bond or of a bridge of its own, is the pod's affair.
    Nic,
}

/// Whether devices of a namespace that has `all` of them pass frames. Many are looked at by one table, few one by one.
pub(in crate::kernel) fn forwarding(
    socket: &mut RouteSocket,
    indexes: &[u32],
    all: usize,
    part: Part,
) -> BTreeMap<u32, Result<Forwarding, KernelError>> {
    /// One look costs as much as this many entries of a table.
    const WORTH: usize = 8;
    if indexes.len() > 1 && indexes.len() * WORTH >= all {
        match socket.dump(&link::get_all()) {
            Ok(dump) => {
                let links = dump.messages.iter().filter_map(|message| match message {
                    RouteNetlinkMessage::NewLink(link) => Some((link.header.index, Ok(forwarding_of(link, part)))),
                    _ => None,
                });
                return links.filter(|(index, _)| indexes.contains(index)).collect();
            }
            // Who cannot be asked for all can be asked for each, and says why not.
            Err(error) => tracing::debug!(%error, "devices are looked at one by one"),
        }
    }
    let look = |index: &u32| match socket.get(link::get(*index)) {
        Ok(RouteNetlinkMessage::NewLink(link)) => (*index, Ok(forwarding_of(&link, part))),
        Ok(_) => (*index, Ok(Forwarding::No("no answer".to_owned()))),
        Err(error) => (*index, Err(error)),
    };
    indexes.iter().map(look).collect()
}

fn forwarding_of(message: &LinkMessage, part: Part) -> Forwarding {
    let device = Device::read(message);
    let passes = match part {
        Part::Port => forwards(&device),
        Part::Nic => device.up && device.operational,
    };
    if passes {
        let waits = device.unknown && device.kind == Some(InfoKind::Veth);
        return if waits { Forwarding::NotSeenYet } else { Forwarding::Yes };
    }
    Forwarding::No(format!(
        "`{}` is {}, {} carrier, operational state {}",
        device.name,
        if device.up { "up" } else { "down" },
        if device.carrier { "has" } else { "no" },
        if device.operational { "up" } else { "not up" },
    ))
}
