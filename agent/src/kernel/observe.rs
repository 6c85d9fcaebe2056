//! Looks at panels, pods and the node's devices.

mod forwarding;
mod neighbours;
mod part;

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::AsRawFd,
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        BridgePortState, InfoBridge, InfoBridgePort, InfoData, InfoKind, InfoPortData, LinkAttribute, LinkFlags,
        LinkInfo, LinkMessage, Prop, State,
    },
};

use crate::domain::{
    bridge::BridgePort,
    if_name::IfName,
    intent::PodKey,
    mac::Mac,
    observed::{BridgeState, Counters, Panel, PodLink, PodState, PortState, Redirect, SandboxId},
};

use super::{
    KernelError, bridge_vlan, inet, link, queue::QueueState, site::OpenPod, socket::RouteSocket, stitch, uplink,
};

pub(super) use forwarding::{Forwarding, Part, forwarding};
pub(super) use neighbours::{Neighbours, nsid_of};

/// A device, as one message shows it.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the kernel's that means something by itself")]
#[derive(Default)]
pub(super) struct Device {
    pub(super) index: u32,
    pub(super) name: String,
    mac: Option<Mac>,
    pub(super) mtu: u32,
    pub(super) up: bool,
    pub(super) promiscuous: bool,
    pub(super) carrier: bool,
    operational: bool,
    /// It has not told its state.
    unknown: bool,
    pub(super) group: u32,
    pub(super) master: Option<u32>,
    pub(super) altnames: Vec<String>,
    pub(super) peer: Option<u32>,
    /// What frames that it sends wait in.
    discipline: String,
    pub(super) peer_nsid: Option<i32>,
    pub(super) kind: Option<InfoKind>,
    pub(super) data: Option<InfoData>,
    pub(super) port: Vec<InfoBridgePort>,
    counters: Counters,
}

impl Device {
    pub(super) fn read(message: &LinkMessage) -> Self {
        let mut device = Self {
            index: message.header.index,
            up: message.header.flags.contains(LinkFlags::Up),
            promiscuous: message.header.flags.contains(LinkFlags::Promisc),
            carrier: message.header.flags.contains(LinkFlags::LowerUp),
            ..Self::default()
        };
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => device.name.clone_from(name),
                LinkAttribute::Address(bytes) => {
                    device.mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().and_then(|octets| Mac::new(octets).ok());
                }
                LinkAttribute::Mtu(mtu) => device.mtu = *mtu,
                LinkAttribute::Qdisc(kind) => device.discipline.clone_from(kind),
                LinkAttribute::OperState(state) => {
                    // Devices that do not report a state are usable: RFC 2863 "unknown".
                    device.unknown = *state == State::Unknown;
                    device.operational = device.unknown || *state == State::Up;
                }
                LinkAttribute::Group(group) => device.group = *group,
                LinkAttribute::Controller(index) => device.master = Some(*index),
                LinkAttribute::Link(index) => device.peer = Some(*index),
                LinkAttribute::LinkNetNsId(id) => device.peer_nsid = Some(*id),
                LinkAttribute::PropList(properties) => {
                    device.altnames = properties.iter().filter_map(altname).collect();
                }
                LinkAttribute::Stats64(stats) => {
                    device.counters = Counters {
                        rx_frames: stats.rx_packets,
                        rx_bytes: stats.rx_bytes,
                        rx_dropped: stats.rx_dropped,
                        rx_errors: stats.rx_errors,
                        tx_frames: stats.tx_packets,
                        tx_bytes: stats.tx_bytes,
                        tx_dropped: stats.tx_dropped,
                        tx_errors: stats.tx_errors,
                    };
                }
                LinkAttribute::LinkInfo(infos) => device.read_info(infos),
                _ => {}
            }
        }
        device
    }

    pub(super) fn is_up(&self) -> bool {
        self.up
    }

    /// What the kernel shows of a bridge.
    pub(super) fn bridge_options(&self) -> &[InfoBridge] {
        match &self.data {
            Some(InfoData::Bridge(options)) => options,
            _ => &[],
        }
    }

    /// A bridge that waits for being used: it has no ports.
    fn is_spare(&self) -> bool {
        self.kind == Some(InfoKind::Bridge) && self.group == link::PARKED_GROUP
    }

    fn read_info(&mut self, infos: &[LinkInfo]) {
        for info in infos {
            match info {
                LinkInfo::Kind(kind) => self.kind = Some(kind.clone()),
                LinkInfo::Data(data) => self.data = Some(data.clone()),
                LinkInfo::PortData(InfoPortData::BridgePort(port)) => self.port.clone_from(port),
                _ => {}
            }
        }
    }
}

fn altname(property: &Prop) -> Option<String> {
    match property {
        Prop::AltIfName(name) => Some(name.clone()),
        _ => None,
    }
}

/// Looks at everything in a panel, or at its devices of these names. With it come the bridges that wait there for being used.
pub(super) fn panel(
    socket: &mut RouteSocket,
    pods: &BTreeMap<PodKey, OpenPod>,
    node: &mut RouteSocket,
    only: Option<&BTreeSet<String>>,
) -> Result<(Panel, Vec<(u32, String)>), KernelError> {
    // Ids of the pods' namespaces as the panel knows them: they say in which pod the other end of a port is.
    let mut homes = BTreeMap::new();
    for (key, pod) in pods {
        if let Some(id) = nsid_of(socket, pod.netns.fd().as_raw_fd())? {
            homes.insert(id, key);
        }
    }
    let part::Found { devices, unreadable, queues, hooked } = match only {
        None => part::all(socket)?,
        Some(names) => part::named(socket, names)?,
    };
    let (mut panel, mut spare) = (Panel::default(), Vec::new());
    // A device that does not parse (its name is no text, say) is none of ours: we know what we call ours.
    panel.strangers.extend(unreadable.into_iter().map(|index| (index, format!("#{index}"))));
    for device in devices {
        match device.kind {
            _ if device.name == "lo" => {}
            _ if device.is_spare() => spare.push((device.index, device.name)),
            _ if uplink::is_uplink(&device) => {
                let state = uplink::state(socket, node, &device)?;
                panel.uplinks.insert(device.name, state);
            }
            Some(InfoKind::Bridge) if device.group == link::GROUP => {
                let options = link::bridge_options(device.bridge_options());
                let state = BridgeState {
                    index: device.index,
                    altnames: device.altnames,
                    mac: device.mac,
                    mtu: device.mtu,
                    up: device.up,
                    options,
                };
                panel.bridges.insert(device.name, state);
            }
            Some(InfoKind::Veth) if device.group == link::GROUP => {
                let queue = queues.get(&device.index).copied().unwrap_or_default();
                let state = port(socket, &device, &homes, queue, hooked.contains(&device.index))?;
                panel.ports.insert(device.name, state);
            }
            _ => panel.strangers.push((device.index, device.name)),
        }
    }
    if panel.bridges.values().any(|bridge| bridge.options.vlan_filtering) {
        let vlans = bridge_vlan::all(socket)?;
        for port in panel.ports.values_mut() {
            port.vlans = vlans.get(&port.index).cloned();
        }
        for uplink in panel.uplinks.values_mut() {
            uplink.vlans = vlans.get(&uplink.index).cloned();
        }
    }
    Ok((panel, spare))
}

fn port(
    socket: &mut RouteSocket,
    device: &Device,
    homes: &BTreeMap<i32, &PodKey>,
    queue: QueueState,
    hooked: bool,
) -> Result<PortState, KernelError> {
    let home = device.peer_nsid.and_then(|id| homes.get(&id)).map(|key| (*key).clone());
    // Of bridge ports too: tc sees frames before the bridge does. Without a hook there are no filters.
    let redirect = if hooked {
        stitch::redirect_of(&socket.dump(&stitch::get_filters(device.index))?.messages)
    } else {
        Redirect::Nowhere
    };
    Ok(PortState {
        index: device.index,
        mtu: device.mtu,
        up: device.up,
        master: device.master,
        bridge_port: device.master.map(|_| bridge_port(&device.port)),
        forwarding: forwards(device),
        nic: home.zip(device.peer),
        redirect,
        egress: queue.egress,
        vlans: None,
        // Who wants to know asks ethtool.
        tx_checksum: true,
        // What a queue drops never comes to the device.
        counters: Counters { tx_dropped: device.counters.tx_dropped.saturating_add(queue.drops), ..device.counters },
    })
}

/// Whether a port may pass frames.
pub(super) fn forwards(device: &Device) -> bool {
    let state = device.port.iter().find_map(|option| match option {
        InfoBridgePort::State(state) => Some(*state),
        _ => None,
    });
    device.up && device.operational && (device.master.is_none() || state == Some(BridgePortState::Forwarding))
}

pub(super) fn bridge_port(options: &[InfoBridgePort]) -> BridgePort {
    let mut port = BridgePort::NEW;
    for option in options {
        match option {
            InfoBridgePort::HairpinMode(on) => port.hairpin = *on,
            InfoBridgePort::Isolated(on) => port.isolated = *on,
            InfoBridgePort::Learning(on) => port.learning = *on,
            InfoBridgePort::UnicastFlood(on) => port.flood = *on,
            InfoBridgePort::MulticastFlood(on) => port.mcast_flood = *on,
            InfoBridgePort::BroadcastFlood(on) => port.bcast_flood = *on,
            InfoBridgePort::GroupFwdMask(mask) => port.group_fwd_mask = *mask,
            _ => {}
        }
    }
    port
}

/// Looks at everything in a pod.
pub(super) fn pod(
    socket: &mut RouteSocket,
    sandbox: SandboxId,
    key: &PodKey,
    neighbours: &Neighbours,
    with_routes: bool,
) -> Result<PodState, KernelError> {
    let dump = socket.dump(&link::get_all())?;
    let mut state = PodState { sandbox, links: BTreeMap::new(), unreadable: dump.unparsed, routes: Vec::new() };
    let mut names = BTreeMap::new();
    for message in &dump.messages {
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        let device = Device::read(message);
        names.insert(device.index, device.name.clone());
        let kind = neighbours.kind(&device, key);
        let link = PodLink {
            index: device.index,
            mac: device.mac,
            mtu: device.mtu,
            up: device.up,
            carrier: device.carrier,
            operational: device.operational,
            ours: device.group == link::GROUP,
            enslaved: device.master.is_some(),
            kind,
            altnames: device.altnames,
            addresses: Vec::new(),
        };
        state.links.insert(device.name, link);
    }
    for message in &socket.dump(&inet::get_addresses())?.messages {
        let Some((index, address)) = inet::address_of(message) else { continue };
        if let Some(link) = names.get(&index).and_then(|name| state.links.get_mut(name)) {
            link.addresses.push(address);
        }
    }
    if with_routes {
        for v4 in [true, false] {
            state.routes.extend(socket.dump(&inet::get_routes(v4))?.messages.iter().filter_map(inet::route_of));
        }
    }
    Ok(state)
}

/// A device of the node.
pub(super) struct NodeDevice {
    /// Its index and its MTU.
    pub(super) index_and_mtu: (u32, u32),
    pub(super) is_bridge: bool,
}

/// Looks at a device of the node by its name.
pub(super) fn device(socket: &mut RouteSocket, name: &str) -> Result<Option<NodeDevice>, KernelError> {
    match socket.get(link::get_by_name(name)) {
        Ok(RouteNetlinkMessage::NewLink(message)) => {
            let device = Device::read(&message);
            // The name may be an altname of another device: that one was not allowed.
            let is_bridge = device.kind == Some(InfoKind::Bridge);
            Ok((device.name == name).then_some(NodeDevice { index_and_mtu: (device.index, device.mtu), is_bridge }))
        }
        Ok(_) => Ok(None),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Indexes of all devices by name.
pub(super) fn indexes(socket: &mut RouteSocket) -> Result<Vec<(IfName, u32)>, KernelError> {
    let name = |message: &LinkMessage| {
        message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some((name.parse().ok()?, message.header.index)),
            _ => None,
        })
    };
    let dump = socket.dump(&link::get_all())?;
    let links = dump.messages.iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewLink(message) => name(message),
        _ => None,
    });
    Ok(links.collect())
}

/// Index of a device by name.
pub(super) fn index_of(socket: &mut RouteSocket, name: &str) -> Result<u32, KernelError> {
    match socket.get(link::get_by_name(name))? {
        RouteNetlinkMessage::NewLink(message) => Ok(message.header.index),
        _ => Err(KernelError::Vanished(format!("`{name}`"))),
    }
}
