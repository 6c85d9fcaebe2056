//! Impairments that their wire cannot have.

use crate::domain::{
    impairment::Impairment,
    mtu::Mtu,
    queue::frame_bytes,
    spec::{LinkMode, Target, TopologySpec},
    violation::Violation,
};

use super::{mtus::wire_mtu, segment::Plug};

/// Impairments of wires with nothing between their ends, and rates that pass no frame of their wire.
pub(super) fn check(spec: &TopologySpec, plugs: &[Plug<'_>], found: &mut Vec<Violation>) {
    for (i, link) in spec.links.iter().enumerate() {
        let mtu = plugs.get(2 * i).and_then(|plug| wire_mtu(spec, plug.segment)).unwrap_or_default();
        for (field, impairment) in [("a_to_b", &link.a_to_b), ("b_to_a", &link.b_to_a)] {
            let path = format!("links[{i}].{field}");
            if link.mode == LinkMode::Direct && !impairment.is_nothing() {
                found.push(Violation::new(
                    path,
                    format!(
                        "`{}` is LINK_MODE_DIRECT and has nothing between its ends that could impair it: make it \
                         LINK_MODE_STITCHED",
                        link.name
                    ),
                ));
            } else {
                whole_frames(impairment, mtu, &path, found);
            }
        }
    }
    for (i, attachment) in spec.attachments.iter().enumerate() {
        let path = format!("attachments[{i}].to_interface");
        match &attachment.target {
            Target::Device(device) if !attachment.to_interface.is_nothing() => found.push(Violation::new(
                path,
                format!(
                    "on device `{}` there is no port that could impair it: plug it into a bridge, or onto a VLAN",
                    device.parent
                ),
            )),
            Target::Device(_) => {}
            Target::Bridge(_) | Target::Uplink(_) => {
                let plug = plugs.get(2 * spec.links.len() + i);
                let own = attachment.interface.mtu;
                let mtu = own.or_else(|| wire_mtu(spec, plug?.segment)).unwrap_or_default();
                whole_frames(&attachment.to_interface, mtu, &path, found);
            }
        }
    }
}

/// A token bucket passes nothing that is larger than it, for ever.
fn whole_frames(impairment: &Impairment, mtu: Mtu, path: &str, found: &mut Vec<Violation>) {
    let Some(rate) = impairment.rate else { return };
    let frame = frame_bytes(mtu);
    for (field, bytes) in [("burst_bytes", rate.burst), ("queue_bytes", rate.queue)] {
        if let Some(bytes) = bytes.filter(|bytes| *bytes < frame) {
            found.push(Violation::new(
                format!("{path}.rate.{field}"),
                format!(
                    "`{bytes}` is less than one frame of {frame} bytes (MTU {mtu} + 14 + 4), and none that large would \
                     ever pass: give at least {frame}, or leave it out"
                ),
            ));
        }
    }
}
