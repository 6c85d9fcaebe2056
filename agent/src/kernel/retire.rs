//! Panels that are not needed any more: parked or taken down, behind the reply.

use std::{thread, time::Instant};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkInfo},
};

use nix::errno::Errno;

use crate::domain::device::RETIRED_PREFIX;

use super::{
    KernelError, Netns, NetnsDir, NetnsError, link,
    park::Park,
    socket::{Mode, RouteSocket},
};

/// Gives a panel a name that no topology has, so that its own may be used again at once.
pub(super) fn retire(dir: &NetnsDir, park: &Park, panel: &str, cookie: u64) -> Result<(), KernelError> {
    let name = format!("{RETIRED_PREFIX}{cookie:x}");
    let renamed = dir.rename(panel, &name);
    match &renamed {
        Ok(()) => park.awaits(name),
        Err(_) => park.look_again(),
    }
    renamed
}

/// Parks retired panels as long as there is room, and removes the others, and the names that nobody needs. Bridges go one by
/// one, each with its own hold of RTNL: a namespace that ends with many bridges in it holds everybody up for as long as they all
/// take together.
///
/// One that cannot be removed does not keep the others; the first error is returned.
pub(super) fn reap(dir: &NetnsDir, park: &Park) -> Result<(), KernelError> {
    let unnamed = park.unname(dir);
    let away = |name: String| if park.park(dir, &name)? { Ok(()) } else { take_down(dir, &name) };
    let waiting = park.retired(dir).map(|names| names.into_iter().map(away).collect::<Vec<_>>());
    let done: Result<(), KernelError> =
        waiting.unwrap_or_else(|error| vec![Err(error)]).into_iter().chain([unnamed]).collect();
    if done.is_err() {
        park.look_again();
    }
    done
}

/// Removes a bridge and rests for as long as that took: others get at least half of the time. Of it the kernel holds RTNL
/// for half again.
pub(super) fn remove_bridge(socket: &mut RouteSocket, index: u32) -> Result<(), KernelError> {
    let began = Instant::now();
    let removed = socket.call(link::remove(index).message, Mode::Change);
    thread::sleep(began.elapsed());
    match removed {
        Err(error) if !error.is_gone() => Err(error),
        _ => Ok(()),
    }
}

fn take_down(dir: &NetnsDir, name: &str) -> Result<(), KernelError> {
    match Netns::open(&dir.path(name)) {
        Ok(netns) => empty(&mut netns.socket()?)?,
        Err(NetnsError::NotNetns { .. }) => return dir.remove_leftover(name),
        Err(NetnsError::Absent(_)) => return Ok(()),
        Err(NetnsError::Own(path)) => return Err(KernelError::call("take down", path, Errno::EINVAL)),
        Err(NetnsError::Kernel(error)) => return Err(error),
    }
    dir.remove(name)
}

fn empty(socket: &mut RouteSocket) -> Result<(), KernelError> {
    for message in socket.dump(&link::get_all())?.messages {
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        let bridge = message.attributes.iter().any(|attribute| {
            matches!(attribute, LinkAttribute::LinkInfo(infos) if infos.contains(&LinkInfo::Kind(InfoKind::Bridge)))
        });
        if bridge {
            remove_bridge(socket, message.header.index)?;
        }
    }
    Ok(())
}
