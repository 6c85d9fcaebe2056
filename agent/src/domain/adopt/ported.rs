//! Interfaces behind ports of the panel: on bridges, and at the ends of STITCHED links.

use std::collections::BTreeMap;

use crate::domain::{
    bridge::BridgePort,
    device::port_device_name,
    impairment::Impairment,
    intent::Assigned,
    mtu::Mtu,
    name::ElementName,
    observed::{PortState, Redirect},
    spec::{AttachmentSpec, End, InterfaceId, InterfaceSpec, LinkMode, LinkSpec, Target, UplinkTarget},
    uplink::UplinkSpec,
    vlans::PortVlans,
};

use super::{
    Adoption, Fate,
    interface::{Seen, wire_mtu},
};

/// A port with the interface behind it.
struct Plugged<'a> {
    device: &'a str,
    port: &'a PortState,
    seen: Seen<'a>,
    end: End,
}

impl<'a> Adoption<'a> {
    /// Adopts what is behind the ports.
    pub(super) fn ported(&mut self) {
        let mut elements: BTreeMap<ElementName, Vec<Plugged<'a>>> = BTreeMap::new();
        for (device, port) in self.observed.panel.iter().flat_map(|panel| &panel.ports) {
            match self.plugged(device, port) {
                Ok((element, plugged)) => elements.entry(element).or_default().push(plugged),
                Err(reason) => self.leave(format_args!("port {device}"), reason, Fate::Removed),
            }
        }
        for (element, mut plugged) in elements {
            plugged.sort_by_key(|plugged| plugged.end);
            if let Err(reason) = self.ported_element(&element, &plugged) {
                for Plugged { device, seen, .. } in plugged {
                    let what = format!("port {device} with {} of `{element}`", seen.key);
                    self.leave(what, reason.clone(), Fate::Removed);
                }
            }
        }
    }

    fn plugged(&self, device: &'a str, port: &'a PortState) -> Result<(ElementName, Plugged<'a>), String> {
        let (pod, index) = port.nic.as_ref().ok_or(
            "its other end is in no pod that has a device marked for this topology: the pod is gone, or the interface \
             was never finished",
        )?;
        let seen = self.seen(pod, *index)?;
        if port_device_name(&seen.key) != device {
            return Err(format!("its other end is {} now: somebody renamed the interface", seen.key));
        }
        let InterfaceId { element, end } = self.id_of(&seen).map_err(|reason| format!("{}: {reason}", seen.key))?;
        Ok((element, Plugged { device, port, seen, end }))
    }

    fn ported_element(&mut self, element: &ElementName, plugged: &[Plugged<'_>]) -> Result<(), String> {
        if self.kept.spec.has(element) {
            return Err(format!("`{element}` is a bridge"));
        }
        match plugged {
            [only] if only.end == End::Only => match self.uplink_behind(only.port) {
                Some(uplink) => self.uplinked(element, only, uplink),
                None => self.attached(element, only),
            },
            [a, b] if (a.end, b.end) == (End::A, End::B) => self.stitched(element, a, b),
            [_] => Err("the other end of its link is not there".to_owned()),
            several => {
                let names: Vec<String> = several.iter().map(|plugged| plugged.seen.key.to_string()).collect();
                Err(format!("{} say that they are the same interface", names.join(" and ")))
            }
        }
    }

    /// The interface behind a port, with what only the port shows.
    fn behind(&mut self, plugged: &Plugged<'_>, mtu: Option<Mtu>) -> (InterfaceSpec, Assigned) {
        let (interface, assigned) = self.interface(&plugged.seen, mtu);
        self.egress.insert(assigned.nic.clone(), plugged.port.egress);
        (InterfaceSpec { tx_checksum: plugged.port.tx_checksum, ..interface }, assigned)
    }

    fn attached(&mut self, element: &ElementName, plugged: &Plugged<'_>) -> Result<(), String> {
        let port = plugged.port;
        if port.redirect != Redirect::Nowhere {
            return Err("its frames are redirected past the bridge".to_owned());
        }
        let master = port.master.ok_or("it is in no bridge")?;
        let target = Target::Bridge(self.bridges.get(&master).ok_or("its bridge cannot be adopted")?.clone());
        let (interface, assigned) = self.behind(plugged, None);
        let options = port.bridge_port.unwrap_or(BridgePort::NEW);
        let (on, off) = (|on: bool| on.then_some(true), |on: bool| (!on).then_some(false));
        self.kept.spec.attachments.push(AttachmentSpec {
            name: element.clone(),
            interface,
            target,
            hairpin: on(options.hairpin),
            isolated: on(options.isolated),
            vlan: port.vlans.as_ref().filter(|_| self.is_aware(master)).and_then(PortVlans::membership),
            flood: off(options.flood),
            mcast_flood: off(options.mcast_flood),
            up: port.up,
            to_interface: Impairment::default(),
        });
        self.kept.assigned.insert(InterfaceId { element: element.clone(), end: End::Only }, assigned);
        Ok(())
    }

    fn is_aware(&self, bridge: u32) -> bool {
        let mut all = self.observed.panel.iter().flat_map(|panel| panel.bridges.values());
        all.any(|state| state.index == bridge && state.options.vlan_filtering)
    }

    fn uplinked(&mut self, element: &ElementName, plugged: &Plugged<'_>, uplink: UplinkSpec) -> Result<(), String> {
        if plugged.port.master.is_some() {
            return Err("it is in a bridge, and stitched to an uplink too".to_owned());
        }
        // Where somebody changed one, the larger: nothing that passes now is too large for it.
        let own = Mtu::try_from(plugged.port.mtu.max(plugged.seen.link.mtu)).ok();
        let mtu = own.filter(|own| own.bytes() < self.parent_mtu(&uplink, plugged.port));
        let (interface, assigned) = self.behind(plugged, mtu);
        self.kept.spec.attachments.push(AttachmentSpec {
            name: element.clone(),
            interface,
            target: Target::Uplink(UplinkTarget { uplink, ipam: None }),
            hairpin: None,
            isolated: None,
            vlan: None,
            flood: None,
            mcast_flood: None,
            up: self.is_uplink_plugged(plugged.port),
            to_interface: Impairment::default(),
        });
        self.kept.assigned.insert(InterfaceId { element: element.clone(), end: End::Only }, assigned);
        Ok(())
    }

    fn stitched(&mut self, element: &ElementName, a: &Plugged<'_>, b: &Plugged<'_>) -> Result<(), String> {
        if a.port.master.or(b.port.master).is_some() {
            return Err("one of its ends is in a bridge".to_owned());
        }
        if (a.port.redirect, b.port.redirect) != (Redirect::To(b.port.index), Redirect::To(a.port.index)) {
            return Err("its ends are not stitched to each other".to_owned());
        }
        let mtu = wire_mtu([a.port.mtu, b.port.mtu]);
        let (interface_a, assigned_a) = self.behind(a, mtu);
        let (interface_b, assigned_b) = self.behind(b, mtu);
        self.kept.spec.links.push(LinkSpec {
            name: element.clone(),
            a: interface_a,
            b: interface_b,
            mode: LinkMode::Stitched,
            up: is_plugged(a, b),
            ipam: None,
            a_to_b: Impairment::default(),
            b_to_a: Impairment::default(),
        });
        self.kept.assigned.insert(InterfaceId { element: element.clone(), end: End::A }, assigned_a);
        self.kept.assigned.insert(InterfaceId { element: element.clone(), end: End::B }, assigned_b);
        Ok(())
    }
}

/// Whether the cable of a stitched link is plugged. A port is up exactly while it is and the far interface is up too, so
/// where both interfaces are down nothing is seen of the cable: it is taken for plugged.
fn is_plugged(a: &Plugged<'_>, b: &Plugged<'_>) -> bool {
    a.port.up || b.port.up || !(a.seen.link.up || b.seen.link.up)
}
