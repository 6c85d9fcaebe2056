//! VLANs of bridge ports: `RTM_SETLINK`, `RTM_DELLINK` and `RTM_GETLINK` of the family AF_BRIDGE.

use std::collections::BTreeMap;

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{AfSpecBridge, BridgeVlanInfoFlags, LinkAttribute, LinkExtentMask, LinkMessage},
};
use rtnetlink::{LinkBridgeVlan, LinkMessageBuilder};

use crate::domain::vlans::PortVlans;

use super::{
    KernelError,
    socket::{Mode, Request, RouteSocket},
};

/// Makes a port a member of these VLANs and of no others.
pub(super) fn set(index: u32, vlans: &PortVlans) -> Vec<Request> {
    let PortVlans::Members { native, tagged } = vlans else { return Vec::new() };
    let mut requests = Vec::new();
    // One that is not there is no error.
    let others = vlans.others();
    if !others.is_empty() {
        let message = ranges(index, &others).build();
        requests.push(Request { message: RouteNetlinkMessage::DelLink(message), mode: Mode::Change });
    }
    let mut members = ranges(index, tagged);
    if let Some(native) = native {
        members = members.vlan(*native, BridgeVlanInfoFlags::Pvid | BridgeVlanInfoFlags::Untagged);
    }
    if native.is_some() || !tagged.is_empty() {
        requests.push(Request { message: RouteNetlinkMessage::SetLink(members.build()), mode: Mode::Change });
    }
    requests
}

fn ranges(index: u32, ranges: &[(u16, u16)]) -> LinkMessageBuilder<LinkBridgeVlan> {
    let none = BridgeVlanInfoFlags::empty();
    ranges.iter().fold(LinkBridgeVlan::new(index), |message, (first, last)| {
        if first == last {
            message.vlan(*first, none)
        } else {
            message.vlan_range_start(*first, none).vlan_range_end(*last, none)
        }
    })
}

/// The VLANs of all ports of a namespace.
pub(super) fn all(socket: &mut RouteSocket) -> Result<BTreeMap<u32, PortVlans>, KernelError> {
    let mut ask = LinkMessage::default();
    ask.header.interface_family = AddressFamily::Bridge;
    ask.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::BrvlanCompressed]));
    Ok(of(&socket.dump(&RouteNetlinkMessage::GetLink(ask))?.messages))
}

/// The VLANs of ports, by index, from the messages of a dump.
pub(super) fn of(messages: &[RouteNetlinkMessage]) -> BTreeMap<u32, PortVlans> {
    let mut found = BTreeMap::new();
    for message in messages {
        let RouteNetlinkMessage::NewLink(message) = message else { continue };
        let specs = message.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::AfSpecBridge(specs) => Some(specs.as_slice()),
            _ => None,
        });
        found.insert(message.header.index, read(specs.unwrap_or_default()));
    }
    found
}

fn read(specs: &[AfSpecBridge]) -> PortVlans {
    let (mut native, mut tagged, mut begun) = (None, Vec::new(), None);
    for spec in specs {
        let AfSpecBridge::VlanInfo(info) = spec else { continue };
        if info.flags.contains(BridgeVlanInfoFlags::RangeBegin) {
            begun = Some(info.vid);
            continue;
        }
        let first = if info.flags.contains(BridgeVlanInfoFlags::RangeEnd) { begun.take() } else { None };
        let range = (first.unwrap_or(info.vid), info.vid);
        let flags = [BridgeVlanInfoFlags::Pvid, BridgeVlanInfoFlags::Untagged];
        match flags.map(|flag| info.flags.contains(flag)) {
            [false, false] => tagged.push(range),
            [true, true] if range.0 == range.1 => native = Some(range.0),
            _ => return PortVlans::Odd,
        }
    }
    PortVlans::of(native, &tagged)
}
