//! What there is, without indexes: two models that show the same behave the same.

use std::collections::BTreeSet;

use crate::domain::observed::{LinkKind, Redirect};

use super::{Model, PanelKind, Peer, PodDevice, PodNamespace};

impl Model {
    /// One line for each thing.
    pub(in crate::domain::plan) fn show(&self) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for (index, device) in self.panel.iter().flat_map(|panel| &panel.devices) {
            let (name, mtu, up) = (&device.name, device.mtu, device.up);
            let aware = |master: &u32| match &self.panel.as_ref().map(|panel| &panel.devices[master].kind) {
                Some(PanelKind::Bridge { options }) => options.vlan_filtering,
                _ => false,
            };
            let vlans = device.master.filter(aware).map(|_| device.vlans.to_string());
            let master = device.master.map(|master| (self.panel_name(master), vlans));
            let redirect = match device.filter {
                Redirect::To(to) => self.panel_name(to),
                other => format!("{other:?}"),
            };
            lines.insert(match &device.kind {
                PanelKind::Uplink { far, promiscuous } => {
                    let joined = format!("master {master:?} {:?} redirect {redirect}", device.options);
                    format!("uplink {name} mtu {mtu} up {up} {joined} {far:?} {promiscuous}")
                }
                PanelKind::Bridge { options } => {
                    format!("bridge {name} {:?} mtu {mtu} up {up} {options:?}", device.mac)
                }
                PanelKind::Stranger => format!("stranger {name}"),
                PanelKind::Port => format!(
                    "port {name} mtu {mtu} up {up} master {master:?} {:?} redirect {redirect} egress {:?} checksum {} peer {} forwards {}",
                    device.options,
                    device.egress,
                    device.tx_checksum,
                    self.peer(&device.peer),
                    self.port_forwards(*index),
                ),
            });
        }
        lines.extend(self.panel.iter().map(|_| "panel".to_owned()));
        for (key, pod) in &self.pods {
            let Some(pod) = pod else { continue };
            for (index, device) in &pod.devices {
                lines.insert(format!("{key} {} carrier {}", self.device(device), self.carrier(key, *index)));
            }
            for route in &pod.routes {
                let device = route.device.map_or_else(String::new, |index| name(pod, index));
                lines.insert(format!(
                    "{key} {} via {:?} metric {} dev {device}",
                    route.destination, route.via, route.metric
                ));
            }
        }
        lines
    }

    fn device(&self, device: &PodDevice) -> String {
        let PodDevice { name, mac, mtu, up, ours, altnames, addresses, .. } = device;
        let kind = match &device.kind {
            LinkKind::Veth { .. } => "veth".to_owned(),
            kind => format!("{kind:?}"),
        };
        let peer = device.peer.as_ref().map(|peer| self.peer(peer));
        let addresses: BTreeSet<String> = addresses.iter().map(ToString::to_string).collect();
        format!("{name} {kind} {mac:?} {mtu} up {up} ours {ours} peer {peer:?} {altnames:?} {addresses:?}")
    }

    fn panel_name(&self, index: u32) -> String {
        let found = self.panel.as_ref().and_then(|panel| panel.devices.get(&index));
        found.map_or_else(|| "gone".to_owned(), |device| device.name.clone())
    }

    fn peer(&self, peer: &Peer) -> String {
        match peer {
            Peer::Panel(index) => self.panel_name(*index),
            Peer::Pod(pod, index) => match self.pods.get(pod) {
                Some(Some(namespace)) => format!("{pod}/{}", name(namespace, *index)),
                _ => "gone".to_owned(),
            },
            Peer::Old => "old".to_owned(),
        }
    }
}

fn name(pod: &PodNamespace, index: u32) -> String {
    pod.devices.get(&index).map_or_else(|| "gone".to_owned(), |device| device.name.clone())
}
