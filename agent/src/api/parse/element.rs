//! Bridges, links and attachments.
//!
//! What is wrong is noted; an element of which at least the name and the ends are sound is returned nevertheless, with
//! the wrong parts left out, so that it can be judged beside the others.

use podwire_proto::v1::{self, attachment::Target as WireTarget};

use crate::domain::bridge::{L2Profile, MOST_AGEING_SECONDS};
use crate::domain::spec::{
    AttachmentSpec, BridgeSpec, DeviceSpec, LinkMode, LinkSpec, MacvlanMode, Target, UplinkTarget,
};
use crate::domain::{
    uplink::{UplinkSpec, VlanId, Way},
    vlans::Membership,
};

use super::{
    findings::Findings,
    impairment::impairment,
    interface::{interface, mtu, toggle},
    ipam::ipam,
    place::Place,
};

/// A bridge.
pub(super) fn bridge(found: &mut Findings, at: Place<'_>, message: v1::Bridge) -> Option<BridgeSpec> {
    let name = found.text(at.field("name"), &message.name, "a bridge name");
    let mtu = mtu(found, at, message.mtu);
    let mac = found.optional(at.field("mac"), &message.mac, "a MAC address");
    let ipam = ipam(found, at.field("ipam"), message.ipam);
    let names = "L2_PROFILE_TRANSPARENT, L2_PROFILE_HUB and L2_PROFILE_STANDARD";
    let profile = found.choice(at.field("l2_profile"), message.l2_profile, names).map(|profile| match profile {
        v1::L2Profile::Unspecified | v1::L2Profile::Transparent => L2Profile::Transparent,
        v1::L2Profile::Hub => L2Profile::Hub,
        v1::L2Profile::Standard => L2Profile::Standard,
    });
    let uplink = message.uplink.and_then(|message| uplink(found, at.field("uplink"), &message));
    let ageing = message.ageing.and_then(|time| ageing(found, at.field("ageing"), time));
    Some(BridgeSpec {
        name: name?,
        mtu: mtu.flatten(),
        mac: mac.flatten(),
        ipam: ipam.flatten(),
        hairpin: message.hairpin,
        isolated: message.isolated,
        l2_profile: profile.unwrap_or_default(),
        stp: message.stp,
        mcast_snooping: message.multicast_snooping,
        ageing,
        vlan_aware: message.vlan_aware,
        uplink,
    })
}

/// Whole seconds: the kernel rounds parts of them in its own way.
fn ageing(found: &mut Findings, at: Place<'_>, time: prost_types::Duration) -> Option<u32> {
    let seconds = u32::try_from(time.seconds).ok().filter(|s| *s <= MOST_AGEING_SECONDS && time.nanos == 0);
    if seconds.is_none() {
        found.add(at, format_args!("it is not a whole number of seconds from 0 to {MOST_AGEING_SECONDS}"));
    }
    seconds
}

/// A link.
pub(super) fn link(found: &mut Findings, at: Place<'_>, message: v1::Link) -> Option<LinkSpec> {
    let name = found.text(at.field("name"), &message.name, "a link name");
    let a = interface(found, at.field("a"), message.a);
    let far = message.far_end.map(|v1::link::FarEnd::B(b)| b);
    let b = interface(found, at.field("b"), far);
    let mode =
        found.choice(at.field("mode"), message.mode, "LINK_MODE_STITCHED and LINK_MODE_DIRECT").map(
            |mode| match mode {
                v1::LinkMode::Unspecified | v1::LinkMode::Stitched => LinkMode::Stitched,
                v1::LinkMode::Direct => LinkMode::Direct,
            },
        );
    let up = toggle(found, at.field("up"), message.up).map(|up| up.unwrap_or(true));
    let ipam = ipam(found, at.field("ipam"), message.ipam);
    let a_to_b = impairment(found, at.field("a_to_b"), message.a_to_b);
    let b_to_a = impairment(found, at.field("b_to_a"), message.b_to_a);
    Some(LinkSpec {
        name: name?,
        a: a?,
        b: b?,
        mode: mode.unwrap_or(LinkMode::Stitched),
        up: up.unwrap_or(true),
        ipam: ipam.flatten(),
        a_to_b: a_to_b.unwrap_or_default(),
        b_to_a: b_to_a.unwrap_or_default(),
    })
}

/// An attachment.
pub(super) fn attachment(found: &mut Findings, at: Place<'_>, message: v1::Attachment) -> Option<AttachmentSpec> {
    let name = found.text(at.field("name"), &message.name, "an attachment name");
    let interface = interface(found, at.field("interface"), message.interface);
    let target = match message.target {
        None => {
            found.add(at.field("bridge"), "either `bridge` or `device` is required");
            None
        }
        Some(WireTarget::Bridge(text)) => found.text(at.field("bridge"), &text, "a bridge name").map(Target::Bridge),
        Some(WireTarget::Device(message)) => device(found, at.field("device"), message),
    };
    let hairpin = toggle(found, at.field("hairpin"), message.hairpin);
    let isolated = toggle(found, at.field("isolated"), message.isolated);
    let flood = toggle(found, at.field("flood"), message.flood);
    let mcast_flood = toggle(found, at.field("multicast_flood"), message.multicast_flood);
    let up = toggle(found, at.field("up"), message.up).map(|up| up.unwrap_or(true));
    let vlan = message.vlan.and_then(|vlan| membership(found, at.field("vlan"), &vlan));
    let to_interface = impairment(found, at.field("to_interface"), message.to_interface);
    Some(AttachmentSpec {
        name: name?,
        interface: interface?,
        target: target?,
        hairpin: hairpin.flatten(),
        isolated: isolated.flatten(),
        flood: flood.flatten(),
        mcast_flood: mcast_flood.flatten(),
        vlan,
        up: up.unwrap_or(true),
        to_interface: to_interface.unwrap_or_default(),
    })
}

fn device(found: &mut Findings, at: Place<'_>, message: v1::NodeDevice) -> Option<Target> {
    let parent = found.text(at.field("parent"), &message.parent, "a device name");
    let names = "MACVLAN_MODE_BRIDGE, MACVLAN_MODE_PRIVATE and MACVLAN_MODE_VEPA";
    let mode = found.choice(at.field("mode"), message.mode, names).map(|mode| match mode {
        v1::MacvlanMode::Unspecified | v1::MacvlanMode::Bridge => MacvlanMode::Bridge,
        v1::MacvlanMode::Private => MacvlanMode::Private,
        v1::MacvlanMode::Vepa => MacvlanMode::Vepa,
    });
    let ipam = ipam(found, at.field("ipam"), message.ipam);
    if message.vlan.is_none() && !message.bridge_port {
        let mode = mode.unwrap_or(MacvlanMode::Bridge);
        return Some(Target::Device(DeviceSpec { parent: parent?, mode, ipam: ipam.flatten() }));
    }
    if message.mode != 0 {
        found.add(at.field("mode"), "it is for macvlan: leave it out, or `vlan` and `bridge_port`");
    }
    let way = way(found, at, message.vlan, message.bridge_port);
    let uplink = UplinkSpec { parent: parent?, way: way? };
    Some(Target::Uplink(UplinkTarget { uplink, ipam: ipam.flatten() }))
}

fn membership(found: &mut Findings, at: Place<'_>, message: &v1::PortVlan) -> Option<Membership> {
    let vlan = |found: &mut Findings, at: Place<'_>, number| match VlanId::try_from(number) {
        Ok(vlan) => Some(vlan),
        Err(error) => {
            found.add(at, error);
            None
        }
    };
    match (message.access, message.trunk.is_empty() && message.native == 0) {
        (0, true) => {
            found.add(at, "it names no VLAN: give `access`, or `trunk` or `native` or both");
            None
        }
        (0, false) => {
            let native = (message.native != 0).then(|| vlan(found, at.field("native"), message.native));
            let mut tagged = Vec::new();
            for (i, range) in message.trunk.iter().enumerate() {
                let trunk = at.item("trunk", i);
                let first = vlan(found, trunk.field("first"), range.first);
                let last = if range.last == 0 { first } else { vlan(found, trunk.field("last"), range.last) };
                if let (Some(first), Some(last)) = (first, last) {
                    if last < first {
                        found.add(trunk.field("last"), format_args!("`{last}` is less than `{first}`, the first"));
                    }
                    tagged.push((first, last));
                }
            }
            Some(Membership::Trunk { tagged, native: native.flatten() })
        }
        (access, true) => vlan(found, at.field("access"), access).map(Membership::Access),
        (_, false) => {
            found.add(at.field("access"), "there is `trunk` or `native` too: leave one of them out");
            None
        }
    }
}

fn uplink(found: &mut Findings, at: Place<'_>, message: &v1::Uplink) -> Option<UplinkSpec> {
    let parent = found.text(at.field("parent"), &message.parent, "a device name");
    let way = way(found, at, message.vlan, message.bridge_port);
    Some(UplinkSpec { parent: parent?, way: way? })
}

fn way(found: &mut Findings, at: Place<'_>, vlan: Option<u32>, bridge_port: bool) -> Option<Way> {
    let problem = match (vlan, bridge_port) {
        (None, true) => return Some(Way::BridgePort),
        (Some(number), false) => match VlanId::try_from(number) {
            Ok(vlan) => return Some(Way::Vlan(vlan)),
            Err(error) => error.to_string(),
        },
        (None, false) => "either `vlan` or `bridge_port` is required".to_owned(),
        (Some(_), true) => {
            "it has `bridge_port` too: a port of a bridge has the tags of that bridge, so leave one out".to_owned()
        }
    };
    found.add(at.field("vlan"), problem);
    None
}
