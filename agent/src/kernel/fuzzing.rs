//! Ways in for `tests/fuzz`: what the kernel says, as bytes.

use std::collections::BTreeMap;

use netlink_packet_route::{RouteNetlinkMessage, link::InfoData};

use crate::domain::{
    impairment::{Distribution, Netem},
    intent::PodKey,
    queue::Egress,
};

use super::{
    KernelError, bridge_vlan, ethtool, inet, link, netem,
    observe::{self, Device, Neighbours},
    queue, rumour,
    socket::{self, Dump, Message},
    stitch, uplink,
};

/// What was read of a datagram.
#[derive(Debug, Default)]
pub struct Read {
    /// Entries of tables, those that do not parse included.
    pub entries: usize,
    /// Names of devices.
    pub names: Vec<String>,
    /// What devices do with frames that they send.
    pub egress: BTreeMap<u32, Egress>,
}

/// Reads a datagram as the answer to every question that the agent asks.
///
/// # Errors
///
/// It is none of the kernel's.
pub fn datagram(bytes: &[u8]) -> Result<Read, KernelError> {
    let mut dump = Dump::default();
    for message in socket::parse(bytes, "fuzzing")? {
        match message {
            Message::Object { object: Some(object), .. } => dump.messages.push(object),
            Message::Object { index, object: None, .. } => dump.unparsed.push(index),
            Message::Discipline { body, .. } => dump.disciplines.push(body),
            Message::Answer { .. } | Message::Done { .. } => {}
        }
    }
    let entries = dump.messages.len() + dump.unparsed.len() + dump.disciplines.len();
    let egress = queue::egress_of(&dump.disciplines).into_iter().map(|(index, state)| (index, state.egress));
    let mut read = Read { entries, names: Vec::new(), egress: egress.collect() };
    let pod = PodKey::new("pod");
    for message in &dump.messages {
        let _ = (inet::address_of(message), inet::route_of(message));
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        let device = Device::read(message);
        match &device.data {
            Some(InfoData::Bridge(options)) => drop(link::bridge_options(options)),
            Some(InfoData::MacVlan(options)) => drop(link::macvlan_mode(options)),
            _ => {}
        }
        let _ = (uplink::is_uplink(&device), observe::forwards(&device), observe::bridge_port(&device.port));
        let _ = Neighbours::default().kind(&device, &pod);
        read.names.push(device.name);
    }
    let _ = (bridge_vlan::of(&dump.messages), stitch::redirect_of(&dump.messages));
    Ok(read)
}

/// Notifications of a datagram that matter.
pub fn notifications(bytes: &[u8]) -> usize {
    rumour::rumours(bytes).len()
}

/// Devices of which a datagram of generic netlink tells whether they leave checksums to others; `None`: it holds the end of
/// the answer.
pub fn features(bytes: &[u8], sequence: u32) -> Option<usize> {
    let mut found = Vec::new();
    let more = ethtool::answers(bytes, sequence, "fuzzing", &mut found).ok()?;
    let named = found.iter().filter(|body| ethtool::features(body).is_some()).count();
    more.then_some(named)
}

/// Netem's options as the kernel shows them.
pub fn netem(options: &[u8]) -> Option<Netem> {
    netem::of(options, Distribution::Uniform)
}

/// The inverse of [`netem`].
pub fn netem_options(netem: &Netem) -> Vec<u8> {
    netem::options(netem)
}
