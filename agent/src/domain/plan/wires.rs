//! Ports: to which bridge, stitched to what, with a plugged or a pulled cable.

use crate::domain::{
    bridge::BridgePort,
    desired::{Nic, Wire},
    device::bridge_device_name,
    intent::NicKey,
    name::ElementName,
    observed::{PortState, Redirect},
    queue::Egress,
    step::Step,
    vlans::PortVlans,
};

use super::{Fate, View, inside, uplinks};

/// Returns what plugs in new NICs. It comes behind what brings them up: a port that is up before its NIC has no carrier, and
/// linkwatch would turn its queue off, which waits for all readers (RCU) with RTNL held, and its bridge would disable it, only to undo
/// both a millisecond later. Ports that are there do not wait for their pods: one may refuse an address for good.
pub(super) fn wires(view: &View<'_>, steps: &mut Vec<Step>) -> Vec<Step> {
    let (mut stitches, mut tuning, mut cables, mut new) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (nic, fate) in view.live() {
        let port = match fate {
            Fate::Keep { port: Some(port), .. } => Some(*port),
            Fate::Make { .. } if nic.wire.has_port() => None,
            Fate::Keep { port: None, .. } | Fate::Make { .. } => continue,
        };
        match &nic.wire {
            Wire::Bridge { bridge, port: options, vlans, .. } => {
                match port {
                    // Its master was given with its birth.
                    None => new.push(Step::SetBridgePort(nic.key.clone(), *options)),
                    Some(port) => plug(view, nic, port, bridge, *options, steps),
                }
                join(nic, port, vlans.as_ref(), steps);
            }
            Wire::Stitch { far, .. } => stitches.extend(stitch(view, nic, port, far, steps)),
            Wire::Uplink { spec, .. } => {
                let leads_nowhere = !view.known.observed.devices.contains_key(spec.parent.as_str());
                if leads_nowhere && port.is_some_and(|port| port.redirect != Redirect::Nowhere) {
                    steps.push(Step::Unstitch(nic.key.clone()));
                }
                if port.is_some_and(|port| port.master.is_some()) {
                    steps.push(Step::SetMaster(nic.key.clone(), None));
                }
            }
            Wire::Direct { .. } | Wire::Device { .. } => {}
        }
        if let (Some(port), Some(mtu)) = (port, inside::mtu(view, nic))
            && port.mtu != mtu.bytes()
        {
            tuning.push(Step::SetPortMtu(nic.key.clone(), mtu));
        }
        impair(nic, port.map_or(Egress::Plain, |port| port.egress), &mut tuning);
        if port.is_none_or(|port| port.tx_checksum) != nic.tx_checksum {
            tuning.push(Step::SetPortChecksum(nic.key.clone(), nic.tx_checksum));
        }
        let up = port_up(view, nic);
        if port.is_some_and(|port| port.up) != up {
            let cable = Step::SetPort(nic.key.clone(), up);
            if port.is_some() { cables.push(cable) } else { new.push(cable) }
        }
    }
    // One behind the other, so that their hooks are made together.
    steps.extend(stitches);
    steps.extend(tuning);
    steps.extend(cables);
    new
}

fn plug(
    view: &View<'_>,
    nic: &Nic,
    port: &PortState,
    bridge: &ElementName,
    options: BridgePort,
    steps: &mut Vec<Step>,
) {
    if port.redirect != Redirect::Nowhere {
        steps.push(Step::Unstitch(nic.key.clone()));
    }
    let panel = view.known.observed.panel.as_ref();
    let index = panel.and_then(|panel| panel.bridges.get(&bridge_device_name(bridge))).map(|b| b.index);
    let elsewhere = index.is_none() || port.master != index;
    if elsewhere {
        steps.push(Step::SetMaster(nic.key.clone(), Some(bridge.clone())));
    }
    if elsewhere || port.bridge_port != Some(options) {
        steps.push(Step::SetBridgePort(nic.key.clone(), options));
    }
}

/// The VLANs of a port. One that has just come to its bridge has the default.
fn join(nic: &Nic, port: Option<&PortState>, vlans: Option<&PortVlans>, steps: &mut Vec<Step>) {
    let Some(vlans) = vlans else { return };
    let moved = steps.iter().rev().any(|step| matches!(step, Step::SetMaster(key, _) if *key == nic.key));
    let now = match port {
        None => Some(PortVlans::new_port()),
        Some(_) if moved => Some(PortVlans::new_port()),
        Some(port) => port.vlans.clone(),
    };
    if now.as_ref() != Some(vlans) {
        steps.push(Step::SetPortVlans(nic.key.clone(), vlans.clone()));
    }
}

/// Returns what stitches it to its far end, if it is not.
fn stitch(view: &View<'_>, nic: &Nic, port: Option<&PortState>, far: &NicKey, steps: &mut Vec<Step>) -> Option<Step> {
    if port.is_some_and(|port| port.master.is_some()) {
        steps.push(Step::SetMaster(nic.key.clone(), None));
    }
    let redirect = port.map_or(Redirect::Nowhere, |port| port.redirect);
    match view.fates.of.get(far) {
        None => {
            if redirect != Redirect::Nowhere {
                steps.push(Step::Unstitch(nic.key.clone()));
            }
            None
        }
        Some(Fate::Keep { port: Some(other), .. }) if redirect == Redirect::To(other.index) => None,
        Some(_) => Some(Step::Stitch(nic.key.clone(), far.clone())),
    }
}

/// What frames towards a NIC wait in. New numbers go into the queue that is there and keep its frames.
fn impair(nic: &Nic, egress: Egress, steps: &mut Vec<Step>) {
    if egress == Egress::of(&nic.queue) {
        return;
    }
    if egress != Egress::Plain && !egress.changes_into(&nic.queue) {
        steps.push(Step::Unimpair(nic.key.clone()));
    }
    if !nic.queue.is_none() {
        steps.push(Step::Impair(nic.key.clone(), nic.queue));
    }
}

/// Whether the port of a NIC is up, and with it the carrier of the NIC. Of a stitched one exactly while its cable is
/// plugged, the far port exists and the far NIC is up. The far NIC's own state counts, never its port's: else both
/// ends would hold each other down for good.
pub(super) fn port_up(view: &View<'_>, nic: &Nic) -> bool {
    match &nic.wire {
        Wire::Bridge { up, .. } => *up,
        Wire::Uplink { up, device, spec } => *up && uplinks::has_carrier(view, &spec.parent, device),
        Wire::Stitch { far, up } => {
            *up && match view.fates.of.get(far) {
                Some(Fate::Make { .. }) => true,
                Some(Fate::Keep { link, .. }) => {
                    let other = view.known.nics.get(far);
                    other.is_some_and(|other| inside::will_be_up(view, other, link))
                }
                None => false,
            }
        }
        Wire::Direct { .. } | Wire::Device { .. } => true,
    }
}
