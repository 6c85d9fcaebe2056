//! Whether the first frame would pass.

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkMessage},
};

use super::{Device, forwards};
use crate::kernel::{KernelError, link, socket::RouteSocket};

/// Whether a device passes frames.
pub(in crate::kernel) enum Forwarding {
    Yes,
    /// A pair and a macvlan report their state, but not before linkwatch has seen it for the first time: until then it may drop.
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

/// Whether devices of a namespace pass frames. Each is asked for by itself and not seen in a table: since Linux 6.8 the kernel
/// then does at once for it what linkwatch would do later (`rtnl_getlink` of net/core/rtnetlink.c).
pub(in crate::kernel) fn forwarding(
    socket: &mut RouteSocket,
    indexes: &[u32],
    part: Part,
) -> Result<Vec<Result<Forwarding, KernelError>>, KernelError> {
    let questions: Vec<RouteNetlinkMessage> = indexes.iter().map(|index| link::get(*index)).collect();
    let answers = socket.get_each(&questions)?;
    let look = |answer| match answer {
        Ok(RouteNetlinkMessage::NewLink(link)) => Ok(forwarding_of(&link, part)),
        Ok(_) => Ok(Forwarding::No("no answer".to_owned())),
        Err(error) => Err(error),
    };
    Ok(answers.into_iter().map(look).collect())
}

fn forwarding_of(message: &LinkMessage, part: Part) -> Forwarding {
    let device = Device::read(message);
    let passes = match part {
        Part::Port => forwards(&device),
        Part::Nic => device.up && device.operational,
    };
    if passes {
        let waits = device.unknown && matches!(device.kind, Some(InfoKind::Veth | InfoKind::MacVlan));
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
