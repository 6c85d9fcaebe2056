//! Uplinks: VLANs of devices of the node, and ports of bridges of the node.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    thread,
    time::{Duration, Instant},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, InfoVlan, LinkAttribute, LinkMessage,
        VlanFlags,
    },
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVeth, LinkVlan};

use crate::domain::{
    bridge::BridgePort,
    observed::{NodePort, Redirect, UplinkFar, UplinkState},
    uplink::{Uplink, Way},
    vlans::PortVlans,
};

use super::{
    KernelError, bridge_vlan,
    link::{self, GROUP},
    netns::own_netns,
    observe::{self, Device},
    socket::{Mode, Request, RouteSocket},
    stitch,
};

/// How long an uplink may take until it forwards. Linkwatch runs at least once a second.
const SETTLE: Duration = Duration::from_millis(1500);

/// What an uplink is joined to, by index.
#[derive(Debug, Clone)]
pub(super) enum JoinedTo {
    Bridge(u32, BridgePort, Option<PortVlans>),
    Port(u32),
}

/// Makes an uplink, down. Its index in the panel is given, so that what comes next can refer to it.
pub(super) fn create(
    uplink: &Uplink,
    index: u32,
    parent: (u32, u32),
    panel: (&mut RouteSocket, BorrowedFd<'_>),
    node: &mut RouteSocket,
) -> Result<(), KernelError> {
    let ((parent, mtu), (panel, panel_fd)) = (parent, panel);
    match uplink.spec.way {
        Way::Vlan(vlan) => {
            // Its own state is podwire's: without loose binding it would go down with its device, and not come up on one that is.
            let message = LinkVlan::new(&uplink.device, parent, vlan.number())
                .flags(VlanFlags::LooseBinding, VlanFlags::LooseBinding)
                .index(index)
                .mtu(mtu)
                .link_group(GROUP)
                .setns_by_fd(panel_fd.as_raw_fd());
            node.call(RouteNetlinkMessage::NewLink(message.build()), Mode::Create)?;
        }
        Way::BridgePort => {
            let own = own_netns()?;
            let port = LinkMessageBuilder::<LinkUnspec>::default()
                .name(uplink.port.as_str())
                .address(uplink.mac.octets().to_vec())
                .mtu(mtu)
                .link_group(GROUP)
                .setns_by_fd(own.as_fd().as_raw_fd())
                .append_extra_attribute(LinkAttribute::NumTxQueues(1))
                .append_extra_attribute(LinkAttribute::NumRxQueues(1));
            let message = LinkMessageBuilder::<LinkVeth>::new(&uplink.device, &uplink.port)
                .index(index)
                .mtu(mtu)
                .link_group(GROUP)
                .append_extra_attribute(LinkAttribute::NumTxQueues(1))
                .append_extra_attribute(LinkAttribute::NumRxQueues(1))
                .set_info_data(InfoData::Veth(InfoVeth::Peer(port.build())));
            panel.call(RouteNetlinkMessage::NewLink(message.build()), Mode::Create)?;
        }
    }
    if let Some(altname) = uplink.full_name() {
        all(panel, vec![link::add_altname(index, &altname)])?;
    }
    Ok(())
}

/// Sets MTU and state of an uplink, and everything of its port in the node's namespace. Which device that is its other end says:
/// names prove nothing there.
pub(super) fn configure(
    uplink: &Uplink,
    index: u32,
    (parent, mtu): (u32, u32),
    panel: &mut RouteSocket,
    node: &mut RouteSocket,
) -> Result<(), KernelError> {
    if uplink.spec.way == Way::BridgePort {
        let RouteNetlinkMessage::NewLink(message) = panel.get(link::get(index))? else {
            return Err(KernelError::Vanished(format!("uplink {}", uplink.device)));
        };
        let peer = Device::read(&message).peer;
        let port = peer.map(|peer| node_port(node, peer)).transpose()?.flatten();
        let port = port.filter(|port| port.ours && port.name == uplink.port);
        let port = port.ok_or_else(|| KernelError::Vanished(format!("port {} of the node", uplink.port)))?;
        let mut requests = Vec::new();
        if !port.altnames.contains(&uplink.mark) {
            requests.push(link::add_altname(port.index, &uplink.mark));
        }
        requests.push(silence(port.index));
        requests.push(link::set_raw_mtu(port.index, mtu));
        if port.master.as_ref().map(|(index, _)| *index) != Some(parent) {
            requests.push(link::set_master(port.index, Some(parent)));
        }
        requests.push(link::set_up(port.index, true));
        all(node, requests)?;
    }
    // A bridge sees to it by itself that its ports hear everybody.
    let builder = LinkUnspec::new_with_index(index).mtu(mtu).promiscuous(uplink.nic().is_some()).up();
    panel.call(RouteNetlinkMessage::SetLink(builder.build()), Mode::Change)
}

/// Joins an uplink to a bridge, or stitches it to a port.
pub(super) fn join(index: u32, to: JoinedTo, panel: &mut RouteSocket) -> Result<(), KernelError> {
    let hooks = |index| [stitch::remove_hook(index), stitch::add_hook(index)];
    match to {
        JoinedTo::Bridge(bridge, port, vlans) => {
            forgiven(panel, stitch::remove_hook(index))?;
            let mut requests = vec![link::set_master(index, Some(bridge)), link::set_bridge_port(index, port, false)];
            requests.extend(vlans.iter().flat_map(|vlans| bridge_vlan::set(index, vlans)));
            all(panel, requests)
        }
        JoinedTo::Port(port) => {
            all(panel, vec![link::set_master(index, None)])?;
            for (from, to) in [(index, port), (port, index)] {
                let [remove, add] = hooks(from);
                forgiven(panel, remove)?;
                all(panel, vec![add, stitch::redirect(from, to)])?;
            }
            Ok(())
        }
    }
}

/// Lets an uplink lead nowhere.
pub(super) fn part(index: u32, panel: &mut RouteSocket) -> Result<(), KernelError> {
    forgiven(panel, stitch::remove_hook(index))?;
    all(panel, vec![link::set_master(index, None)])
}

/// Waits until the first frame would pass at both ends of an uplink. Where there is no carrier, or spanning tree of the node takes
/// its time, that is not its affair.
pub(super) fn settle(index: u32, panel: &mut RouteSocket, node: &mut RouteSocket) -> Result<(), KernelError> {
    let (start, mut pause) = (Instant::now(), Duration::from_micros(50));
    loop {
        let RouteNetlinkMessage::NewLink(message) = panel.get(link::get(index))? else { return Ok(()) };
        let device = Device::read(&message);
        let far = device.peer.filter(|_| device.kind == Some(InfoKind::Veth));
        let far = far.map(|peer| there(node, peer)).transpose()?.flatten();
        let passes = observe::forwards(&device) && far.is_none_or(|far| observe::forwards(&Device::read(&far)));
        if passes || !device.carrier || start.elapsed() > SETTLE {
            return Ok(());
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// What is to be removed may be gone already.
fn forgiven(socket: &mut RouteSocket, request: Request) -> Result<(), KernelError> {
    let answers = socket.batch(vec![request])?;
    answers.into_iter().try_for_each(|answer| match answer {
        Err(error) if !super::execute::removed_already(&error) => Err(error),
        _ => Ok(()),
    })
}

fn all(socket: &mut RouteSocket, requests: Vec<Request>) -> Result<(), KernelError> {
    socket.batch(requests)?.into_iter().collect()
}

/// Lets an uplink hear only what is for it. Kernels since 6.1 forget to tell the device of a VLAN when one that hears all is
/// removed, and that device would go on doing so.
pub(super) fn deafen(index: u32) -> Request {
    let message = LinkUnspec::new_with_index(index).promiscuous(false).build();
    Request { message: RouteNetlinkMessage::SetLink(message), mode: Mode::Change }
}

/// No address of its own, and so no word: the node's stack has no business at this port.
fn silence(index: u32) -> Request {
    let mut message = LinkUnspec::new_with_index(index).build();
    let quiet = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    message.attributes.push(LinkAttribute::AfSpecUnspec(vec![quiet]));
    Request { message: RouteNetlinkMessage::SetLink(message), mode: Mode::Change }
}

/// Whether a device of a panel is an uplink.
pub(super) fn is_uplink(device: &Device) -> bool {
    let kind = matches!(device.kind, Some(InfoKind::Vlan | InfoKind::Veth));
    kind && device.group == GROUP && device.name.starts_with(crate::domain::uplink::UPLINK_PREFIX)
}

/// Looks at an uplink.
pub(super) fn state(
    socket: &mut RouteSocket,
    node: &mut RouteSocket,
    device: &Device,
) -> Result<UplinkState, KernelError> {
    let of_node = device.peer_nsid.is_some() && device.peer_nsid == node_id(socket)?;
    Ok(UplinkState {
        index: device.index,
        mtu: device.mtu,
        up: device.up,
        promiscuous: device.promiscuous,
        carrier: device.carrier,
        master: device.master,
        bridge_port: device.master.map(|_| observe::bridge_port(&device.port)),
        vlans: None,
        redirect: redirect(socket, device.index)?,
        far: far(device, of_node, node)?,
    })
}

/// What an uplink leads to. `of_node`: its other end, or its device, lies in the node's namespace.
fn far(device: &Device, of_node: bool, node: &mut RouteSocket) -> Result<UplinkFar, KernelError> {
    let Some(peer) = device.peer.filter(|_| of_node) else { return Ok(UplinkFar::Nowhere) };
    match (&device.kind, &device.data) {
        (Some(InfoKind::Vlan), Some(InfoData::Vlan(options))) => {
            let id = options.iter().find_map(|option| match option {
                InfoVlan::Id(id) => Some(*id),
                _ => None,
            });
            let Some(id) = id else { return Ok(UplinkFar::Nowhere) };
            Ok(UplinkFar::Vlan { parent: named(node, peer)?, id })
        }
        (Some(InfoKind::Veth), _) => Ok(node_port(node, peer)?.map_or(UplinkFar::Nowhere, UplinkFar::Port)),
        _ => Ok(UplinkFar::Nowhere),
    }
}

fn node_port(node: &mut RouteSocket, index: u32) -> Result<Option<NodePort>, KernelError> {
    let Some(message) = there(node, index)? else { return Ok(None) };
    let device = Device::read(&message);
    let master = device.master.map(|master| named(node, master)).transpose()?.flatten();
    Ok(Some(NodePort {
        index,
        ours: device.group == GROUP && device.kind == Some(InfoKind::Veth),
        name: device.name,
        up: device.up,
        mtu: device.mtu,
        master,
        altnames: device.altnames,
    }))
}

fn named(node: &mut RouteSocket, index: u32) -> Result<Option<(u32, String)>, KernelError> {
    Ok(there(node, index)?.map(|message| (index, Device::read(&message).name)))
}

fn there(node: &mut RouteSocket, index: u32) -> Result<Option<LinkMessage>, KernelError> {
    match node.get(link::get(index)) {
        Ok(RouteNetlinkMessage::NewLink(message)) => Ok(Some(message)),
        Ok(_) => Ok(None),
        Err(error) if error.is_gone() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where what comes in at an uplink goes.
fn redirect(socket: &mut RouteSocket, index: u32) -> Result<Redirect, KernelError> {
    Ok(stitch::redirect_of(&socket.dump(&stitch::get_filters(index))?.messages))
}

/// Which id the node's namespace has in that of a socket.
fn node_id(socket: &mut RouteSocket) -> Result<Option<i32>, KernelError> {
    observe::nsid_of(socket, own_netns()?.as_raw_fd())
}
