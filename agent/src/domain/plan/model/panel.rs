//! The panel of the model.

use std::collections::BTreeMap;

use crate::domain::{
    bridge::{BridgeOptions, BridgePort},
    desired::BridgeDevice,
    device::{bridge_device_name, full_name, port_device_name},
    intent::PodKey,
    mac::Mac,
    observed::{BridgeState, Counters, NodePort, Panel, PortState, Redirect, UplinkFar, UplinkState},
    queue::{Egress, Queue},
    uplink::{Join, Uplink, Way},
    vlans::PortVlans,
};

use super::{Peer, Refused};

/// Options of a port that has just become one.
pub(in crate::domain::plan) const NEW_PORT: BridgePort = BridgePort::NEW;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domain::plan) enum PanelKind {
    Bridge { options: BridgeOptions },
    Port,
    Uplink { far: UplinkFar, promiscuous: bool },
    Stranger,
}

#[derive(Debug, Clone)]
pub(in crate::domain::plan) struct PanelDevice {
    pub name: String,
    pub kind: PanelKind,
    pub mac: Option<Mac>,
    pub mtu: u32,
    pub up: bool,
    pub master: Option<u32>,
    pub options: BridgePort,
    /// What tc does, which comes before the bridge: a look does not see it on bridge ports.
    pub filter: Redirect,
    pub egress: Egress,
    pub tx_checksum: bool,
    pub vlans: PortVlans,
    pub peer: Peer,
    pub altnames: Vec<String>,
}

impl PanelDevice {
    pub(super) fn port(name: String, mtu: u32, master: Option<u32>, pod: &PodKey, nic: u32) -> Self {
        let peer = Peer::Pod(pod.clone(), nic);
        Self { mtu, master, peer, kind: PanelKind::Port, ..Self::stranger(name) }
    }

    pub(in crate::domain::plan) fn stranger(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            kind: PanelKind::Stranger,
            mac: None,
            mtu: 1500,
            up: false,
            master: None,
            options: NEW_PORT,
            filter: Redirect::Nowhere,
            egress: Egress::Plain,
            tx_checksum: true,
            vlans: PortVlans::new_port(),
            peer: Peer::Old,
            altnames: Vec::new(),
        }
    }

    /// A queue is made where there is none; what is there takes new numbers only.
    pub(super) fn impair(&mut self, queue: &Queue) -> Result<(), Refused> {
        if self.egress != Egress::Plain && !self.egress.changes_into(queue) {
            return Err(format!("EINVAL: {:?} is there", self.egress));
        }
        self.egress = Egress::of(queue);
        Ok(())
    }

    pub(super) fn kind_name(&self) -> &'static str {
        match self.kind {
            PanelKind::Bridge { .. } => "bridge",
            PanelKind::Port => "port",
            PanelKind::Uplink { .. } => "uplink",
            PanelKind::Stranger => "stranger",
        }
    }
}

#[derive(Debug, Clone)]
pub(in crate::domain::plan) struct PanelNamespace {
    pub devices: BTreeMap<u32, PanelDevice>,
    pub(super) next: u32,
}

impl Default for PanelNamespace {
    fn default() -> Self {
        Self { devices: BTreeMap::new(), next: 2 }
    }
}

impl PanelNamespace {
    pub(in crate::domain::plan) fn insert(&mut self, device: PanelDevice) {
        self.devices.insert(self.next, device);
        self.next += 1;
    }

    pub(super) fn is_free(&self, name: &str) -> Result<(), Refused> {
        if self.devices.values().any(|device| device.name == name) { Err(format!("EEXIST: {name}")) } else { Ok(()) }
    }

    pub(super) fn create_bridge(&mut self, bridge: &BridgeDevice) -> Result<(), Refused> {
        let name = bridge_device_name(&bridge.name);
        self.is_free(&name)?;
        self.insert(PanelDevice {
            kind: PanelKind::Bridge { options: bridge.options },
            altnames: full_name(&name, bridge.name.as_str()).into_iter().collect(),
            mac: Some(bridge.mac),
            mtu: bridge.mtu.bytes(),
            up: true,
            ..PanelDevice::stranger(name)
        });
        Ok(())
    }

    pub(super) fn configure_bridge(&mut self, bridge: &BridgeDevice) -> Result<(), Refused> {
        let index = self.bridge(&bridge_device_name(&bridge.name))?;
        let device = self.devices.get_mut(&index).ok_or("ENODEV")?;
        (device.mac, device.mtu, device.up) = (Some(bridge.mac), bridge.mtu.bytes(), true);
        device.kind = PanelKind::Bridge { options: bridge.options };
        Ok(())
    }

    fn index_of(&self, name: &str, wanted: impl Fn(&PanelKind) -> bool) -> Result<u32, Refused> {
        let found = self.devices.iter().find(|(_, device)| device.name == name && wanted(&device.kind));
        found.map(|(index, _)| *index).ok_or_else(|| format!("ENODEV: {name} in the panel"))
    }

    pub(super) fn bridge(&self, name: &str) -> Result<u32, Refused> {
        self.index_of(name, |kind| matches!(kind, PanelKind::Bridge { .. }))
    }

    pub(in crate::domain::plan) fn port_index(&self, name: &str) -> Result<u32, Refused> {
        self.index_of(name, |kind| *kind == PanelKind::Port)
    }

    pub(super) fn create_uplink(&mut self, uplink: &Uplink, parent: (u32, u32)) -> Result<(), Refused> {
        self.is_free(&uplink.device)?;
        let (index, mtu) = parent;
        let parent = (index, uplink.spec.parent.to_string());
        let far = match uplink.spec.way {
            Way::Vlan(id) => UplinkFar::Vlan { parent: Some(parent), id: id.number() },
            Way::BridgePort => UplinkFar::Port(NodePort {
                index: 100,
                name: uplink.port.clone(),
                ours: true,
                up: true,
                mtu,
                master: Some(parent),
                altnames: vec![uplink.mark.clone()],
            }),
        };
        let promiscuous = uplink.nic().is_some();
        let kind = PanelKind::Uplink { far, promiscuous };
        self.insert(PanelDevice { kind, mtu, up: true, ..PanelDevice::stranger(uplink.device.clone()) });
        Ok(())
    }

    pub(super) fn configure_uplink(&mut self, uplink: &Uplink, parent: (u32, u32)) -> Result<(), Refused> {
        let index = self.uplink_index(&uplink.device)?;
        let device = self.devices.remove(&index).ok_or("ENODEV")?;
        let mut made = Self { next: index, devices: BTreeMap::new() };
        made.create_uplink(uplink, parent)?;
        let new = made.devices.remove(&index).ok_or("ENODEV")?;
        self.devices.insert(index, PanelDevice { kind: new.kind, mtu: new.mtu, up: true, ..device });
        Ok(())
    }

    pub(super) fn uplink_index(&self, name: &str) -> Result<u32, Refused> {
        self.index_of(name, |kind| matches!(kind, PanelKind::Uplink { .. }))
    }

    pub(super) fn join_uplink(&mut self, uplink: &Uplink) -> Result<(), Refused> {
        let index = self.uplink_index(&uplink.device)?;
        let (master, options, filter) = match &uplink.join {
            Join::Bridge(bridge, port, _) => {
                (Some(self.bridge(&bridge_device_name(bridge))?), *port, Redirect::Nowhere)
            }
            Join::Nic(nic) => {
                let port = self.port_index(&port_device_name(nic))?;
                self.devices.get_mut(&port).ok_or("ENODEV")?.filter = Redirect::To(index);
                (None, NEW_PORT, Redirect::To(port))
            }
        };
        let device = self.devices.get_mut(&index).ok_or("ENODEV")?;
        (device.master, device.options, device.filter) = (master, options, filter);
        device.vlans = match &uplink.join {
            Join::Bridge(_, _, Some(vlans)) => vlans.clone(),
            _ => PortVlans::new_port(),
        };
        Ok(())
    }

    pub(super) fn part_uplink(&mut self, uplink: &Uplink) -> Result<(), Refused> {
        let index = self.uplink_index(&uplink.device)?;
        let device = self.devices.get_mut(&index).ok_or("ENODEV")?;
        (device.master, device.options, device.vlans) = (None, NEW_PORT, PortVlans::new_port());
        device.filter = Redirect::Nowhere;
        Ok(())
    }

    pub(super) fn port_mut(&mut self, index: u32) -> Option<&mut PanelDevice> {
        self.devices.get_mut(&index)
    }

    /// A bridge lets go of its ports; a redirect to a device that is gone drops everything.
    pub(super) fn remove(&mut self, index: u32) -> Option<PanelDevice> {
        let gone = self.devices.remove(&index)?;
        for device in self.devices.values_mut() {
            if device.master == Some(index) {
                (device.master, device.options, device.vlans) = (None, NEW_PORT, PortVlans::new_port());
            }
            if device.filter == Redirect::To(index) {
                device.filter = Redirect::To(0);
            }
        }
        Some(gone)
    }
}

pub(super) fn look(seen: &mut Panel, index: u32, device: &PanelDevice, forwarding: bool) {
    let name = device.name.clone();
    match device.kind.clone() {
        PanelKind::Uplink { far, promiscuous } => {
            let state = UplinkState {
                index,
                mtu: device.mtu,
                up: device.up,
                promiscuous,
                carrier: device.up,
                master: device.master,
                bridge_port: device.master.map(|_| device.options),
                vlans: device.master.map(|_| device.vlans.clone()),
                redirect: device.filter,
                far,
            };
            seen.uplinks.insert(name, state);
        }
        PanelKind::Bridge { options } => {
            let altnames = device.altnames.clone();
            let state = BridgeState { index, altnames, mac: device.mac, mtu: device.mtu, up: device.up, options };
            seen.bridges.insert(name, state);
        }
        PanelKind::Stranger => seen.strangers.push((index, name)),
        PanelKind::Port => {
            let state = PortState {
                index,
                mtu: device.mtu,
                up: device.up,
                master: device.master,
                bridge_port: device.master.map(|_| device.options),
                vlans: device.master.map(|_| device.vlans.clone()),
                forwarding,
                nic: match &device.peer {
                    Peer::Pod(pod, nic) => Some((pod.clone(), *nic)),
                    Peer::Panel(_) | Peer::Old => None,
                },
                redirect: device.filter,
                egress: device.egress,
                tx_checksum: device.tx_checksum,
                counters: Counters::default(),
            };
            seen.ports.insert(name, state);
        }
    }
}
