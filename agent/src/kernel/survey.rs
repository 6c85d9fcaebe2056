//! One look at the whole node: what carries podwire's signs, whoever put them there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use netlink_packet_route::{RouteNetlinkMessage, link::InfoKind};

use crate::domain::device::{PANEL_PREFIX, PARKED_PREFIX, RETIRED_PREFIX};

use super::{KernelError, Netns, NetnsDir, NetnsError, link, observe::Device, socket::RouteSocket};

/// What was seen of the node.
#[derive(Debug, Default)]
pub struct Survey {
    /// File names that begin as panels do, sorted.
    pub panels: Vec<String>,
    /// File names of panels that were retired and are not taken down yet, and of those that are parked.
    pub retired: Vec<String>,
    /// What is in each of the namespaces that were asked for, in their order.
    pub places: Vec<Surveyed>,
    /// Names of the node's own devices by index.
    pub devices: BTreeMap<u32, String>,
}

/// What is in one namespace.
#[derive(Debug)]
pub enum Surveyed {
    /// It was read.
    Read {
        /// Which namespace it is: two paths may lead to one.
        cookie: u64,
        /// Whether podwire made it: `create_signed`.
        signed: bool,
        /// The devices that are in podwire's group or have a name like a mark.
        sightings: Vec<Sighting>,
    },
    /// It is no namespace of a pod, or not any more; with the reason.
    None(String),
    /// It is there and could not be read.
    Unreadable(KernelError),
}

/// A device with one of podwire's signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its name.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Whether it is in podwire's device group.
    pub ours: bool,
    /// Its alternative names that begin as marks do.
    pub marks: Vec<String>,
    /// What it is.
    pub kind: SightedKind,
}

/// What a device with one of podwire's signs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SightedKind {
    /// One end of a veth pair, with the index of the other in a namespace that is not said.
    Veth(Option<u32>),
    /// A macvlan, with the index of its parent in a namespace that is not said.
    Macvlan(Option<u32>),
    /// Anything else.
    Other,
}

/// Looks at the panels of a directory and into the namespaces at these paths. Each is opened, read and closed.
///
/// # Errors
///
/// The directory or the node's own devices cannot be read. A namespace that cannot is told in its place.
pub fn survey(dir: &NetnsDir, paths: &[PathBuf]) -> Result<Survey, KernelError> {
    let mut survey = Survey::default();
    let names = match dir.names() {
        Err(error) if error.is_gone() => Vec::new(),
        names => names?,
    };
    for name in names {
        if name.starts_with(PANEL_PREFIX) {
            survey.panels.push(name);
        } else if name.starts_with(RETIRED_PREFIX) || name.starts_with(PARKED_PREFIX) {
            survey.retired.push(name);
        }
    }
    survey.places = paths.iter().map(|path| place(path)).collect();
    for message in &RouteSocket::open()?.dump(&link::get_all())?.messages {
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        let device = Device::read(message);
        survey.devices.insert(device.index, device.name);
    }
    Ok(survey)
}

fn place(path: &Path) -> Surveyed {
    match Netns::open(path) {
        Ok(netns) => sightings(&netns).unwrap_or_else(Surveyed::Unreadable),
        Err(NetnsError::Kernel(error)) => Surveyed::Unreadable(error),
        Err(error @ (NetnsError::Absent(_) | NetnsError::NotNetns { .. } | NetnsError::Own(_))) => {
            Surveyed::None(error.to_string())
        }
    }
}

fn sightings(netns: &Netns) -> Result<Surveyed, KernelError> {
    let (mut signed, mut sightings) = (false, Vec::new());
    for message in &netns.socket()?.dump(&link::get_all())?.messages {
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        let device = Device::read(message);
        let ours = device.group == link::GROUP;
        if device.name == "lo" {
            signed = ours;
            continue;
        }
        let marks: Vec<String> =
            device.altnames.iter().filter(|name| name.starts_with(PANEL_PREFIX)).cloned().collect();
        if ours || !marks.is_empty() {
            let kind = match device.kind {
                Some(InfoKind::Veth) => SightedKind::Veth(device.peer),
                Some(InfoKind::MacVlan) => SightedKind::Macvlan(device.peer),
                _ => SightedKind::Other,
            };
            sightings.push(Sighting { name: device.name, index: device.index, ours, marks, kind });
        }
    }
    Ok(Surveyed::Read { cookie: netns.cookie(), signed, sightings })
}
