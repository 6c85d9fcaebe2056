//! All of a panel, or the devices of some names.

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_route::RouteNetlinkMessage;

use super::Device;
use crate::kernel::{
    KernelError, link,
    queue::{self, QueueState},
    socket::RouteSocket,
};

/// What a queueing discipline that is none is called: what the kernel gives a pair of devices.
const NONE: &str = "noqueue";

/// Devices, with what the kernel tells of them in other tables.
pub(super) struct Found {
    pub(super) devices: Vec<Device>,
    /// Indexes of devices that do not parse.
    pub(super) unreadable: Vec<u32>,
    /// What frames wait in that devices send.
    pub(super) queues: BTreeMap<u32, QueueState>,
    /// Devices that may have filters.
    pub(super) hooked: BTreeSet<u32>,
}

/// All devices.
pub(super) fn all(socket: &mut RouteSocket) -> Result<Found, KernelError> {
    let dump = socket.dump(&link::get_all_counted())?;
    let disciplines = socket.dump(&queue::get_all())?.disciplines;
    let (queues, hooked) = (queue::egress_of(&disciplines), queue::hooks_of(&disciplines));
    let devices = dump.messages.iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewLink(message) => Some(Device::read(message)),
        _ => None,
    });
    Ok(Found { devices: devices.collect(), unreadable: dump.unparsed, queues, hooked })
}

/// The devices of these names that are there. Nothing is asked that grows with the panel, but for queueing disciplines where one of
/// them has one: the kernel has no question for those of a device that would not be heard as a change.
pub(super) fn named(socket: &mut RouteSocket, names: &BTreeSet<String>) -> Result<Found, KernelError> {
    let mut devices = Vec::new();
    for name in names {
        match socket.get(link::get_counted(name)) {
            Ok(RouteNetlinkMessage::NewLink(message)) => {
                let device = Device::read(&message);
                // The name may be another one of a device that is somebody's: the kernel says so to who wants to use it.
                devices.extend((device.name == *name).then_some(device));
            }
            Ok(_) => {}
            Err(error) if error.is_gone() => {}
            Err(error) => return Err(error),
        }
    }
    let hooked = devices.iter().map(|device| device.index).collect();
    let queued = devices.iter().any(|device| !matches!(device.discipline.as_str(), NONE | ""));
    let disciplines = if queued { socket.dump(&queue::get_all())?.disciplines } else { Vec::new() };
    Ok(Found { devices, unreadable: Vec::new(), queues: queue::egress_of(&disciplines), hooked })
}
