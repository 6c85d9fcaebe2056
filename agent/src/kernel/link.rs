//! Messages that make, change and remove devices.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        BridgeStpState, InfoBridge, InfoData, InfoMacVlan, InfoVeth, LinkAttribute, LinkExtentMask, LinkHeader,
        LinkMessage, MacVlanMode, Prop,
    },
};
use rtnetlink::{LinkBridge, LinkBridgePort, LinkMacVlan, LinkMessageBuilder, LinkUnspec, LinkVeth};

use crate::domain::{
    bridge::{AGEING_SECONDS, BridgeOptions, BridgePort},
    desired::BridgeDevice,
    mac::Mac,
    mtu::Mtu,
    spec::MacvlanMode,
    step::NewNic,
};

use super::socket::{Mode, Request};

/// Device group of everything that podwire makes: "pwir" in ASCII.
pub(super) const GROUP: u32 = 0x7077_6972;

/// Device group of what is about to be removed in one message.
pub(super) const DOOMED_GROUP: u32 = GROUP + 1;

/// Device group of bridges that are parked.
pub(super) const PARKED_GROUP: u32 = GROUP + 2;

/// MTU of what is parked: that of a new bridge.
const PARKED_MTU: u32 = 1500;

fn request(message: RouteNetlinkMessage, mode: Mode) -> Request {
    Request { message, mode }
}

fn set(message: LinkMessage) -> Request {
    request(RouteNetlinkMessage::SetLink(message), Mode::Change)
}

/// A bridge with all its options, up. MAC and MTU are set: else they follow the ports.
pub(super) fn create_bridge(device: &str, index: u32, bridge: &BridgeDevice) -> Request {
    let message = bridge_message(LinkBridge::new(device).index(index), bridge).build();
    request(RouteNetlinkMessage::NewLink(message), Mode::Create)
}

/// Puts MAC, MTU, options and state of a bridge right. Kernels change bridge options by `RTM_NEWLINK` only, and
/// those without VLAN filtering refuse even to turn it off.
pub(super) fn configure_bridge(device: &str, index: u32, bridge: &BridgeDevice, filters_now: bool) -> Request {
    let mut message = bridge_message(LinkBridge::new(device).index(index), bridge);
    if filters_now && !bridge.options.vlan_filtering {
        message = message.vlan_filtering(false);
    }
    let mut message = message.build();
    // Before Linux 6.2 `dev_change_name` of net/core/dev.c refuses a name with EBUSY on a device that is up, even its own.
    message.attributes.retain(|attribute| !matches!(attribute, LinkAttribute::IfName(_)));
    request(RouteNetlinkMessage::NewLink(message), Mode::Change)
}

/// Makes what is asked for of a bridge that is parked: it has this name or is down, and filters no VLANs.
pub(super) fn take_bridge(device: &str, index: u32, bridge: &BridgeDevice) -> Request {
    let message = bridge_message(LinkBridge::new(device).index(index), bridge).build();
    request(RouteNetlinkMessage::NewLink(message), Mode::Change)
}

/// A bridge as those that are parked: with the options that all bridges begin with.
pub(super) fn create_parked(device: &str, index: u32) -> Request {
    let message = parked_message(LinkBridge::new(device).index(index)).build();
    request(RouteNetlinkMessage::NewLink(message), Mode::Create)
}

/// Makes a bridge as new but for its name. It has forgotten every address.
pub(super) fn park_bridge(index: u32) -> Request {
    let mut message = parked_message(LinkBridge::new("").index(index)).append_info_data(InfoBridge::FdbFlush).build();
    message.attributes.retain(|attribute| !matches!(attribute, LinkAttribute::IfName(_)));
    request(RouteNetlinkMessage::NewLink(message), Mode::Change)
}

fn parked_message(builder: LinkMessageBuilder<LinkBridge>) -> LinkMessageBuilder<LinkBridge> {
    builder
        .up()
        .mtu(PARKED_MTU)
        .link_group(PARKED_GROUP)
        .stp_state(BridgeStpState::Disabled)
        .mcast_snooping(false)
        .ageing_time(AGEING_SECONDS * 100)
}

fn bridge_message(builder: LinkMessageBuilder<LinkBridge>, bridge: &BridgeDevice) -> LinkMessageBuilder<LinkBridge> {
    let builder = if bridge.options.vlan_filtering { builder.vlan_filtering(true) } else { builder };
    builder
        .address(bridge.mac.octets().to_vec())
        .mtu(bridge.mtu.bytes())
        .link_group(GROUP)
        .stp_state(if bridge.options.stp { BridgeStpState::KernelStp } else { BridgeStpState::Disabled })
        .mcast_snooping(bridge.options.mcast_snooping)
        .ageing_time(bridge.options.ageing)
        .up()
}

/// The options of a bridge.
pub(super) fn bridge_options(options: &[InfoBridge]) -> BridgeOptions {
    let mut found = BridgeOptions { stp: false, mcast_snooping: false, vlan_filtering: false, ageing: 0 };
    for option in options {
        match option {
            InfoBridge::StpState(state) => found.stp = *state != BridgeStpState::Disabled,
            InfoBridge::MulticastSnooping(on) => found.mcast_snooping = *on,
            InfoBridge::VlanFiltering(on) => found.vlan_filtering = *on,
            InfoBridge::AgeingTime(time) => found.ageing = *time,
            _ => {}
        }
    }
    found
}

/// A veth pair made from inside the panel: the port here, the NIC born in the pod. One queue each: more cost memory
/// and time, and a virtual wire has no hardware to feed.
pub(super) fn create_veth(device: &str, index: u32, master: Option<u32>, nic: &NewNic, pod: BorrowedFd<'_>) -> Request {
    let builder = LinkMessageBuilder::<LinkVeth>::new(device, nic.key.name.as_str())
        .index(index)
        .link_group(GROUP)
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
        .set_info_data(InfoData::Veth(InfoVeth::Peer(born(nic, pod))));
    let builder = match nic.mtu {
        Some(mtu) => builder.mtu(mtu.bytes()),
        None => builder,
    };
    let builder = match master {
        Some(master) => builder.controller(master),
        None => builder,
    };
    request(RouteNetlinkMessage::NewLink(builder.build()), Mode::Create)
}

/// A veth pair from pod to pod, made from inside the first.
pub(super) fn create_direct(a: &NewNic, b: &NewNic, pod_b: BorrowedFd<'_>) -> Request {
    let mut builder = LinkMessageBuilder::<LinkVeth>::new(a.key.name.as_str(), b.key.name.as_str())
        .link_group(GROUP)
        .address(a.mac.octets().to_vec())
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1))
        .set_info_data(InfoData::Veth(InfoVeth::Peer(born(b, pod_b))));
    if let Some(mtu) = a.mtu {
        builder = builder.mtu(mtu.bytes());
    }
    request(RouteNetlinkMessage::NewLink(builder.build()), Mode::Create)
}

/// The end of a veth pair that lies in another namespace.
fn born(nic: &NewNic, pod: BorrowedFd<'_>) -> LinkMessage {
    let mut builder = LinkMessageBuilder::<LinkUnspec>::default()
        .name(nic.key.name.as_str())
        .address(nic.mac.octets().to_vec())
        .link_group(GROUP)
        .setns_by_fd(pod.as_raw_fd())
        .append_extra_attribute(LinkAttribute::NumTxQueues(1))
        .append_extra_attribute(LinkAttribute::NumRxQueues(1));
    if let Some(mtu) = nic.mtu {
        builder = builder.mtu(mtu.bytes());
    }
    builder.build()
}

/// A macvlan made from the node's namespace, born in the pod.
pub(super) fn create_macvlan(nic: &NewNic, parent: u32, mode: MacvlanMode, pod: BorrowedFd<'_>) -> Request {
    let mut builder = LinkMacVlan::new(nic.key.name.as_str(), parent, wire_mode(mode))
        .address(nic.mac.octets().to_vec())
        .link_group(GROUP)
        .setns_by_fd(pod.as_raw_fd());
    if let Some(mtu) = nic.mtu {
        builder = builder.mtu(mtu.bytes());
    }
    request(RouteNetlinkMessage::NewLink(builder.build()), Mode::Create)
}

fn wire_mode(mode: MacvlanMode) -> MacVlanMode {
    match mode {
        MacvlanMode::Bridge => MacVlanMode::Bridge,
        MacvlanMode::Private => MacVlanMode::Private,
        MacvlanMode::Vepa => MacVlanMode::Vepa,
    }
}

/// The macvlan mode that the kernel shows; `None`: one that podwire does not make.
pub(super) fn macvlan_mode(options: &[InfoMacVlan]) -> Option<MacvlanMode> {
    options.iter().find_map(|option| match option {
        InfoMacVlan::Mode(MacVlanMode::Bridge) => Some(MacvlanMode::Bridge),
        InfoMacVlan::Mode(MacVlanMode::Private) => Some(MacvlanMode::Private),
        InfoMacVlan::Mode(MacVlanMode::Vepa) => Some(MacvlanMode::Vepa),
        _ => None,
    })
}

/// Gives a device an alternative name. In a creating message it would be ignored without a word.
pub(super) fn add_altname(index: u32, altname: &str) -> Request {
    request(RouteNetlinkMessage::NewLinkProp(altname_message(index, altname)), Mode::Create)
}

/// Takes an alternative name away.
pub(super) fn remove_altname(index: u32, altname: &str) -> Request {
    request(RouteNetlinkMessage::DelLinkProp(altname_message(index, altname)), Mode::Change)
}

fn altname_message(index: u32, altname: &str) -> LinkMessage {
    let mut message = LinkUnspec::new_with_index(index).build();
    message.attributes.push(LinkAttribute::PropList(vec![Prop::AltIfName(altname.to_owned())]));
    message
}

/// Options of a bridge port, which then comes up where `plug` says so: in a creating message and in `RTM_SETLINK` the kernel ignores
/// them without a word.
pub(super) fn set_bridge_port(index: u32, port: BridgePort, plug: bool) -> Request {
    let builder = LinkBridgePort::new(index)
        .hairpin(port.hairpin)
        .isolated(port.isolated)
        .learning(port.learning)
        .flood(port.flood)
        .mcast_flood(port.mcast_flood)
        .bcast_flood(port.bcast_flood)
        .group_fwd_mask(port.group_fwd_mask);
    let builder = if plug { builder.up() } else { builder };
    request(RouteNetlinkMessage::NewLink(builder.build()), Mode::Change)
}

/// Makes a port part of a bridge, or of none.
pub(super) fn set_master(index: u32, master: Option<u32>) -> Request {
    set(LinkUnspec::new_with_index(index).controller(master.unwrap_or(0)).build())
}

/// Sets a device up or down.
pub(super) fn set_up(index: u32, up: bool) -> Request {
    let builder = LinkUnspec::new_with_index(index);
    set(if up { builder.up() } else { builder.down() }.build())
}

/// Sets a device's MTU.
pub(super) fn set_mtu(index: u32, mtu: Mtu) -> Request {
    set(LinkUnspec::new_with_index(index).mtu(mtu.bytes()).build())
}

/// Sets a device's MTU to that of another device, whatever it is.
pub(super) fn set_raw_mtu(index: u32, mtu: u32) -> Request {
    set(LinkUnspec::new_with_index(index).mtu(mtu).build())
}

/// Sets a device's MAC.
pub(super) fn set_mac(index: u32, mac: Mac) -> Request {
    set(LinkUnspec::new_with_index(index).address(mac.octets().to_vec()).build())
}

/// Puts a device into another group.
pub(super) fn set_group(index: u32, group: u32) -> Request {
    set(LinkUnspec::new_with_index(index).link_group(group).build())
}

/// Removes a device.
pub(super) fn remove(index: u32) -> Request {
    request(RouteNetlinkMessage::DelLink(LinkUnspec::new_with_index(index).build()), Mode::Change)
}

/// Removes all devices of a group at once. Group 0 is everybody's and never to be given.
pub(super) fn remove_group(group: u32) -> Request {
    debug_assert_ne!(group, 0);
    let message = LinkMessageBuilder::<LinkUnspec>::default().link_group(group).build();
    request(RouteNetlinkMessage::DelLink(message), Mode::Change)
}

/// Asks for a device by index.
pub(super) fn get(index: u32) -> RouteNetlinkMessage {
    let mut message = LinkUnspec::new_with_index(index).build();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    RouteNetlinkMessage::GetLink(message)
}

/// Asks for a device by name.
pub(super) fn get_by_name(name: &str) -> RouteNetlinkMessage {
    let mut message = LinkUnspec::new_with_name(name).build();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    RouteNetlinkMessage::GetLink(message)
}

/// Asks for a device by name, with its counters.
pub(super) fn get_counted(name: &str) -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build())
}

/// Asks for all devices with their counters.
pub(super) fn get_all_counted() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetLink(LinkMessage::default())
}

/// Asks for all devices, without their counters.
pub(super) fn get_all() -> RouteNetlinkMessage {
    let mut message = LinkMessage::default();
    message.header = LinkHeader::default();
    message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    RouteNetlinkMessage::GetLink(message)
}
