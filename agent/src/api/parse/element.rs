//! Bridges, links and attachments.
//!
//! What is wrong is noted; an element of which at least the name and the ends are sound is returned nevertheless, with
//! the wrong parts left out, so that it can be judged beside the others.

use podwire_proto::v1::{self, attachment::Target as WireTarget};

use crate::domain::bridge::{L2Profile, MOST_AGEING_SECONDS};
use crate::domain::spec::{AttachmentSpec, BridgeSpec, DeviceSpec, LinkMode, LinkSpec, MacvlanMode, Target};

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
        Some(WireTarget::Device(message)) => device(found, at.field("device"), message).map(Target::Device),
    };
    let hairpin = toggle(found, at.field("hairpin"), message.hairpin);
    let isolated = toggle(found, at.field("isolated"), message.isolated);
    let flood = toggle(found, at.field("flood"), message.flood);
    let mcast_flood = toggle(found, at.field("multicast_flood"), message.multicast_flood);
    let up = toggle(found, at.field("up"), message.up).map(|up| up.unwrap_or(true));
    let to_interface = impairment(found, at.field("to_interface"), message.to_interface);
    Some(AttachmentSpec {
        name: name?,
        interface: interface?,
        target: target?,
        hairpin: hairpin.flatten(),
        isolated: isolated.flatten(),
        flood: flood.flatten(),
        mcast_flood: mcast_flood.flatten(),
        up: up.unwrap_or(true),
        to_interface: to_interface.unwrap_or_default(),
    })
}

fn device(found: &mut Findings, at: Place<'_>, message: v1::NodeDevice) -> Option<DeviceSpec> {
    let parent = found.text(at.field("parent"), &message.parent, "a device name");
    let names = "MACVLAN_MODE_BRIDGE, MACVLAN_MODE_PRIVATE and MACVLAN_MODE_VEPA";
    let mode = found.choice(at.field("mode"), message.mode, names).map(|mode| match mode {
        v1::MacvlanMode::Unspecified | v1::MacvlanMode::Bridge => MacvlanMode::Bridge,
        v1::MacvlanMode::Private => MacvlanMode::Private,
        v1::MacvlanMode::Vepa => MacvlanMode::Vepa,
    });
    let ipam = ipam(found, at.field("ipam"), message.ipam);
    Some(DeviceSpec { parent: parent?, mode: mode.unwrap_or(MacvlanMode::Bridge), ipam: ipam.flatten() })
}
