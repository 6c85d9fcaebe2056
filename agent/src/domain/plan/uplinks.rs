//! Ways onto the node's network: made, joined to what they are for, and removed.

use std::collections::BTreeSet;

use crate::domain::{
    device::{bridge_device_name, port_device_name},
    if_name::IfName,
    observed::{Redirect, UplinkFar, UplinkState},
    step::Step,
    uplink::{Join, Uplink, Way},
};

use super::{Fate, Known, Trouble, View, fate::Fates};

/// Notes uplinks whose device the node does not have or is no bridge, or whose interfaces send what is too large for it. A NIC on such an
/// uplink is there nevertheless, without carrier: its pod keeps it while a device of the node comes and goes.
pub(super) fn troubles(known: &Known<'_>, fates: &mut Fates<'_>) {
    for uplink in &known.desired.uplinks {
        let parent = uplink.spec.parent.as_str();
        let own = match &uplink.join {
            Join::Nic(nic) => known.nics.get(nic).and_then(|nic| nic.mtu),
            Join::Bridge(name, ..) => known.desired.bridges.iter().find(|it| it.name == *name).map(|it| it.mtu),
        };
        let trouble = match known.observed.devices.get(parent) {
            None => Trouble::NoDevice { parent: parent.to_owned() },
            Some((_, most)) if own.is_some_and(|mtu| mtu.bytes() > *most) => {
                let message =
                    format!("its MTU is more than the {most} of device `{parent}`: lower it, or leave it out");
                Trouble::InTheWay { reason: "PARENT_MTU", message }
            }
            Some(_) if uplink.spec.way == Way::BridgePort && !known.observed.node_bridges.contains(parent) => {
                let message = format!("device `{parent}` of the node is no bridge: use a VLAN of it, or macvlan");
                Trouble::InTheWay { reason: "NOT_A_BRIDGE", message }
            }
            Some(_) => continue,
        };
        fates.trouble.entry(uplink.id.clone()).or_insert(trouble);
    }
}

/// Makes and joins uplinks. Those of interfaces whose pods are not there are made nevertheless: that a VLAN is taken is told
/// when it is asked for.
pub(super) fn uplinks(view: &View<'_>, steps: &mut Vec<Step>) {
    let known = &view.known;
    for uplink in &known.desired.uplinks {
        let Some((parent, mtu)) = known.observed.devices.get(uplink.spec.parent.as_str()) else { continue };
        if known.skip.contains(&uplink.id) {
            continue;
        }
        let now = state(known, uplink);
        let same = now.filter(|now| is_what_was_asked(now, uplink, *parent));
        let joined = is_joined(view, uplink, same);
        let waits = view.fates.trouble.contains_key(&uplink.id) || !is_live(view, uplink);
        // What it led to before may be somebody else's by now: it leads nowhere until what it is for is there.
        if waits && !joined && same.is_some_and(|now| !leads_nowhere(now)) {
            steps.push(Step::PartUplink(uplink.clone()));
        }
        if view.fates.trouble.contains_key(&uplink.id) {
            continue;
        }
        match same {
            None => steps.push(Step::CreateUplink(uplink.clone())),
            Some(now) if !is_configured(now, uplink, *parent, *mtu) => {
                steps.push(Step::ConfigureUplink(uplink.clone()));
            }
            Some(_) => {}
        }
        if !waits && !joined {
            steps.push(Step::JoinUplink(uplink.clone()));
        }
    }
}

/// Uplinks under a name that is wanted for one that leads elsewhere.
pub(super) fn remove_first(view: &View<'_>, steps: &mut Vec<Step>) {
    let known = &view.known;
    for uplink in &known.desired.uplinks {
        let parent = known.observed.devices.get(uplink.spec.parent.as_str());
        if let (Some(now), Some((parent, _))) = (state(known, uplink), parent)
            && !is_what_was_asked(now, uplink, *parent)
            && !known.skip.contains(&uplink.id)
        {
            steps.push(Step::RemoveUplink(uplink.device.clone(), now.index));
        }
    }
}

/// Uplinks that nobody asks for any more, or that lead elsewhere while the device that is asked for is not there. A VLAN is free for others from then on.
pub(super) fn remove_last(view: &View<'_>, steps: &mut Vec<Step>) {
    let devices = &view.known.observed.devices;
    let wanted = view.known.desired.uplinks.iter().filter(|uplink| devices.contains_key(uplink.spec.parent.as_str()));
    let wanted: BTreeSet<&str> = wanted.map(|uplink| uplink.device.as_str()).collect();
    let there = view.known.observed.panel.iter().flat_map(|panel| &panel.uplinks);
    let unwanted = there.filter(|(device, _)| !wanted.contains(device.as_str()));
    steps.extend(unwanted.map(|(device, now)| Step::RemoveUplink(device.clone(), now.index)));
}

/// Whether a port may have carrier: the uplink that it is stitched to has, or is about to be made or brought up.
pub(super) fn has_carrier(view: &View<'_>, parent: &IfName, device: &str) -> bool {
    let panel = view.known.observed.panel.as_ref();
    let now = panel.and_then(|panel| panel.uplinks.get(device));
    view.known.observed.devices.contains_key(parent.as_str()) && now.is_none_or(|now| now.carrier || !now.up)
}

fn state<'a>(known: &Known<'a>, uplink: &Uplink) -> Option<&'a UplinkState> {
    known.observed.panel.as_ref()?.uplinks.get(&uplink.device)
}

/// Whether a device is what an uplink was made as: what cannot be changed is right.
fn is_what_was_asked(now: &UplinkState, uplink: &Uplink, parent: u32) -> bool {
    match (&now.far, uplink.spec.way) {
        (UplinkFar::Vlan { parent: Some((of, _)), id }, Way::Vlan(vlan)) => *of == parent && *id == vlan.number(),
        (UplinkFar::Port(port), Way::BridgePort) => port.ours && port.name == uplink.port,
        _ => false,
    }
}

fn is_configured(now: &UplinkState, uplink: &Uplink, parent: u32, mtu: u32) -> bool {
    let far = match &now.far {
        UplinkFar::Port(port) => {
            let in_bridge = port.master.as_ref().is_some_and(|(index, _)| *index == parent);
            port.up && port.mtu == mtu && in_bridge && port.altnames.contains(&uplink.mark)
        }
        UplinkFar::Vlan { .. } | UplinkFar::Nowhere => true,
    };
    // A bridge sees to it by itself.
    let hears_all = now.promiscuous == uplink.nic().is_some();
    far && hears_all && now.up && now.mtu == mtu
}

fn is_joined(view: &View<'_>, uplink: &Uplink, now: Option<&UplinkState>) -> bool {
    let panel = view.known.observed.panel.as_ref();
    match &uplink.join {
        Join::Bridge(bridge, port, vlans) => {
            let bridge = panel.and_then(|panel| panel.bridges.get(&bridge_device_name(bridge)));
            now.zip(bridge).is_some_and(|(now, bridge)| {
                let there = now.master == Some(bridge.index) && now.bridge_port == Some(*port);
                there && now.redirect == Redirect::Nowhere && (vlans.is_none() || now.vlans == *vlans)
            })
        }
        Join::Nic(nic) => match view.fates.of.get(nic) {
            Some(Fate::Keep { .. }) => {
                let port = panel.and_then(|panel| panel.ports.get(&port_device_name(nic)));
                now.zip(port).is_some_and(|(now, port)| {
                    let there = port.redirect == Redirect::To(now.index);
                    there && now.redirect == Redirect::To(port.index) && now.master.is_none()
                })
            }
            Some(Fate::Make { .. }) | None => false,
        },
    }
}

/// Whether what an uplink is for is there or about to be.
fn is_live(view: &View<'_>, uplink: &Uplink) -> bool {
    uplink.nic().is_none_or(|nic| view.fates.of.contains_key(nic))
}

fn leads_nowhere(now: &UplinkState) -> bool {
    now.master.is_none() && now.redirect == Redirect::Nowhere
}
