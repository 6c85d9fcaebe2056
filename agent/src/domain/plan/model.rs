//! A model of the kernel: takes steps as the executor and Linux would, and refuses what Linux would refuse.

mod panel;
mod pod;
mod show;

use std::collections::BTreeMap;

use crate::domain::{
    bridge::BridgePort,
    device::{bridge_device_name, port_device_name},
    intent::{NicKey, PodKey},
    mtu::Mtu,
    observed::{LinkKind, Observed, Panel, PodView, Redirect, SandboxId},
    queue::Egress,
    step::{NewNic, Step},
    vlans::PortVlans,
};

pub(super) use panel::{PanelDevice, PanelKind, PanelNamespace};
pub(super) use pod::{PodDevice, PodNamespace};

/// Why the kernel refuses a step.
pub(super) type Refused = String;

/// Where the other end of a veth pair is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Peer {
    Panel(u32),
    Pod(PodKey, u32),
    /// In a namespace that no pod has any more.
    Old,
}

/// The node.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub devices: BTreeMap<String, (u32, u32)>,
    pub panel: Option<PanelNamespace>,
    /// `None`: the pod is not there.
    pub pods: BTreeMap<PodKey, Option<PodNamespace>>,
    sandboxes: u32,
}

impl Model {
    /// A node with two devices and with these pods, some of which are there.
    pub(super) fn new(pods: impl IntoIterator<Item = (PodKey, bool)>) -> Self {
        let devices = [("eth0".to_owned(), (2, 1500)), ("eth1".to_owned(), (3, 9000))].into();
        let mut model = Self { devices, ..Self::default() };
        for (key, present) in pods {
            model.pods.insert(key.clone(), None);
            if present {
                model.start(&key);
            }
        }
        model
    }

    /// Gives a pod a new sandbox, which has nothing of the old one.
    pub(super) fn start(&mut self, key: &PodKey) {
        self.stop(key);
        self.sandboxes += 1;
        self.pods.insert(key.clone(), Some(PodNamespace::new(self.sandboxes)));
    }

    /// Takes a pod away, with everything that is in it or at the other end of it.
    pub(super) fn stop(&mut self, key: &PodKey) {
        let indexes: Vec<u32> = self.pods[key].iter().flat_map(|pod| pod.devices.keys().copied()).collect();
        for index in indexes {
            self.remove_nic(key, index);
        }
        self.pods.insert(key.clone(), None);
    }

    /// Gives a pod a new sandbox while the old one is still there.
    pub(super) fn overlap(&mut self, key: &PodKey) {
        let indexes: Vec<u32> = self.pods[key].iter().flat_map(|pod| pod.devices.keys().copied()).collect();
        for index in indexes {
            match self.pod(key).unwrap().devices.remove(&index).and_then(|nic| nic.peer) {
                Some(Peer::Panel(port)) => self.panel.as_mut().unwrap().port_mut(port).unwrap().peer = Peer::Old,
                Some(Peer::Pod(far, index)) if far != *key => {
                    self.pod(&far).unwrap().devices.get_mut(&index).unwrap().peer = Some(Peer::Old);
                }
                _ => {}
            }
        }
        self.start(key);
    }

    /// Takes all steps, or those before the one that is refused.
    pub(super) fn execute(&mut self, steps: &[Step]) -> Result<(), String> {
        for (at, step) in steps.iter().enumerate() {
            let all = || steps.iter().map(|step| format!("  {step}")).collect::<Vec<_>>().join("\n");
            self.step(step).map_err(|refused| format!("step {at}, {step}: {refused}\nof\n{}", all()))?;
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), Refused> {
        match step {
            Step::CreatePanel => match self.panel.replace(PanelNamespace::default()) {
                None => Ok(()),
                Some(_) => Err("EEXIST: the panel".to_owned()),
            },
            Step::RemovePanel => self.remove_panel(),
            Step::CreateBridge(bridge) => self.panel()?.create_bridge(bridge),
            Step::ConfigureBridge(bridge) => self.panel()?.configure_bridge(bridge),
            Step::CreateVeth(nic, bridge) => {
                let name = port_device_name(&nic.key);
                let panel = self.panel()?;
                let master = bridge.as_ref().map(|b| panel.bridge(&bridge_device_name(b))).transpose()?;
                let port = panel.next;
                panel.is_free(&name)?;
                let index = self.pod(&nic.key.pod)?.create(nic, Some(Peer::Panel(port)), 65535)?;
                let device = PanelDevice::port(name, nic.mtu.map_or(1500, Mtu::bytes), master, &nic.key.pod, index);
                self.panel()?.insert(device);
                Ok(())
            }
            Step::CreateDirect(a, b) => self.create_direct(a, b),
            Step::CreateMacvlan { nic, parent, mode } => {
                let (parent, mtu) = *self.devices.get(parent.as_str()).ok_or("ENODEV: parent")?;
                let pod = self.pod(&nic.key.pod)?;
                let index = pod.create(nic, None, mtu)?;
                let device = pod.devices.get_mut(&index).unwrap();
                device.mtu = nic.mtu.map_or(mtu, Mtu::bytes);
                device.kind = LinkKind::Macvlan { parent: Some(parent), mode: Some(*mode) };
                Ok(())
            }
            Step::CreateUplink(uplink) => {
                let parent = *self.devices.get(uplink.spec.parent.as_str()).ok_or("ENODEV: parent")?;
                self.panel()?.create_uplink(uplink, parent)
            }
            Step::ConfigureUplink(uplink) => {
                let parent = *self.devices.get(uplink.spec.parent.as_str()).ok_or("ENODEV: parent")?;
                self.panel()?.configure_uplink(uplink, parent)
            }
            Step::JoinUplink(uplink) => self.panel()?.join_uplink(uplink),
            Step::PartUplink(uplink) => self.panel()?.part_uplink(uplink),
            Step::RemoveUplink(_, index) => self.remove_from_panel(*index, "uplink"),
            Step::SetPortMtu(nic, mtu) => self.port(nic).map(|port| port.mtu = mtu.bytes()),
            Step::SetMaster(nic, bridge) => {
                let panel = self.panel()?;
                let master = bridge.as_ref().map(|b| panel.bridge(&bridge_device_name(b))).transpose()?;
                let port = self.port(nic)?;
                if port.master != master {
                    (port.master, port.options, port.vlans) = (master, panel::NEW_PORT, PortVlans::new_port());
                }
                Ok(())
            }
            Step::SetPortVlans(nic, vlans) => {
                let port = self.port(nic)?;
                port.master.ok_or("EOPNOTSUPP: not a bridge port")?;
                port.vlans = vlans.clone();
                Ok(())
            }
            Step::SetBridgePort(nic, options) => self.set_bridge_port(nic, *options),
            Step::Stitch(nic, far) => {
                let to = self.panel()?.port_index(&port_device_name(far))?;
                self.port(nic).map(|port| port.filter = Redirect::To(to))
            }
            Step::Unstitch(nic) => self.port(nic).map(|port| port.filter = Redirect::Nowhere),
            Step::Impair(nic, queue) => self.port(nic)?.impair(queue),
            Step::SetPortChecksum(nic, on) => self.port(nic).map(|port| port.tx_checksum = *on),
            Step::Unimpair(nic) => self.port(nic).map(|port| port.egress = Egress::Plain),
            Step::SetPort(nic, up) => self.port(nic).map(|port| port.up = *up),
            Step::SetMac(nic, mac) => self.nic(nic).map(|nic| nic.mac = Some(*mac)),
            Step::SetMtu(nic, mtu) => self.set_mtu(nic, mtu.bytes()),
            Step::BringUp(nic) => self.within(nic, |pod, index| pod.set_up(index, true)),
            Step::AddAddress(nic, address) => self.within(nic, |pod, index| pod.add_address(index, *address))?,
            Step::RemoveAddress(nic, address) => self.within(nic, |pod, index| pod.remove_address(index, *address)),
            Step::AddRoute(nic, route) => self.within(nic, |pod, index| pod.add_route(index, route))?,
            Step::RemoveRoute(nic, route) => self.within(nic, |pod, index| pod.remove_route(index, route)),
            Step::Settle(nic) => self.settle(nic),
            Step::Mark(nic, altname) => self.within(nic, |pod, index| pod.add_altname(index, altname))?,
            Step::Unmark(nic, altname) => self.nic(nic).map(|nic| nic.altnames.retain(|name| name != altname)),
            Step::RemovePort { index, .. } => self.remove_from_panel(*index, "port"),
            Step::RemoveBridge(_, index) => self.remove_from_panel(*index, "bridge"),
            Step::RemoveStranger(_, index) => self.remove_from_panel(*index, "stranger"),
            Step::RemoveNic(nic, index) => {
                if let Some(device) = self.pod(&nic.pod)?.devices.get(index) {
                    assert!(device.ours && device.name == nic.name.as_str(), "{step} would remove {device:?}");
                }
                self.remove_nic(&nic.pod, *index);
                Ok(())
            }
        }
    }

    pub(super) fn panel(&mut self) -> Result<&mut PanelNamespace, Refused> {
        self.panel.as_mut().ok_or_else(|| "the panel is not there".to_owned())
    }

    pub(super) fn pod(&mut self, key: &PodKey) -> Result<&mut PodNamespace, Refused> {
        self.pods.get_mut(key).and_then(Option::as_mut).ok_or_else(|| format!("pod {key} is not there"))
    }

    pub(super) fn nic(&mut self, key: &NicKey) -> Result<&mut PodDevice, Refused> {
        let pod = self.pod(&key.pod)?;
        let index = pod.index_of(key.name.as_str())?;
        Ok(pod.devices.get_mut(&index).unwrap())
    }

    pub(super) fn port(&mut self, key: &NicKey) -> Result<&mut PanelDevice, Refused> {
        let panel = self.panel()?;
        let index = panel.port_index(&port_device_name(key))?;
        Ok(panel.port_mut(index).unwrap())
    }

    /// Something that concerns a device of a pod and its routes.
    pub(super) fn within<T>(
        &mut self,
        key: &NicKey,
        f: impl FnOnce(&mut PodNamespace, u32) -> T,
    ) -> Result<T, Refused> {
        let pod = self.pod(&key.pod)?;
        let index = pod.index_of(key.name.as_str())?;
        Ok(f(pod, index))
    }

    fn create_direct(&mut self, a: &NewNic, b: &NewNic) -> Result<(), Refused> {
        self.pod(&a.key.pod)?.is_free(a.key.name.as_str())?;
        // The peer, named second, is registered first.
        let second = self.pod(&b.key.pod)?.create(b, None, 65535)?;
        let far = Some(Peer::Pod(b.key.pod.clone(), second));
        let first = self.pod(&a.key.pod)?.create(a, far, 65535)?;
        self.nic(&b.key)?.peer = Some(Peer::Pod(a.key.pod.clone(), first));
        Ok(())
    }

    fn set_bridge_port(&mut self, nic: &NicKey, options: BridgePort) -> Result<(), Refused> {
        let port = self.port(nic)?;
        port.master.ok_or("EINVAL: not a bridge port")?;
        port.options = options;
        Ok(())
    }

    fn set_mtu(&mut self, key: &NicKey, mtu: u32) -> Result<(), Refused> {
        let parents: BTreeMap<u32, u32> = self.devices.values().copied().collect();
        let nic = self.nic(key)?;
        if let LinkKind::Macvlan { parent: Some(parent), .. } = nic.kind
            && mtu > parents[&parent]
        {
            return Err("EINVAL: more than the parent's".to_owned());
        }
        nic.mtu = mtu;
        self.within(key, PodNamespace::shrink)
    }

    fn settle(&mut self, key: &NicKey) -> Result<(), Refused> {
        let port = self.panel().and_then(|panel| panel.port_index(&port_device_name(key))).ok();
        let port_ok = port.is_none_or(|port| self.port_forwards(port));
        let index = self.pod(&key.pod)?.index_of(key.name.as_str())?;
        let nic_ok = self.carrier(&key.pod, index);
        if port_ok && nic_ok { Ok(()) } else { Err(format!("does not forward: port {port_ok}, nic {nic_ok}")) }
    }

    fn remove_panel(&mut self) -> Result<(), Refused> {
        let indexes: Vec<u32> = self.panel()?.devices.keys().copied().collect();
        for index in indexes {
            self.panel_device_gone(index);
        }
        self.panel = None;
        Ok(())
    }

    fn remove_from_panel(&mut self, index: u32, kind: &str) -> Result<(), Refused> {
        if let Some(device) = self.panel()?.devices.get(&index) {
            assert_eq!(device.kind_name(), kind, "{device:?}");
        }
        self.panel_device_gone(index);
        Ok(())
    }

    /// A device of the panel goes, and a NIC at its other end.
    pub(super) fn panel_device_gone(&mut self, index: u32) {
        let Some(device) = self.panel.as_mut().and_then(|panel| panel.remove(index)) else { return };
        if let Peer::Pod(pod, nic) = device.peer
            && let Ok(pod) = self.pod(&pod)
        {
            pod.remove(nic);
        }
    }

    /// A device of a pod goes, and what is at its other end.
    pub(super) fn remove_nic(&mut self, key: &PodKey, index: u32) {
        let Some(device) = self.pods.get_mut(key).and_then(Option::as_mut).and_then(|pod| pod.remove(index)) else {
            return;
        };
        match device.peer {
            Some(Peer::Panel(port)) => {
                self.panel.as_mut().and_then(|panel| panel.remove(port));
            }
            Some(Peer::Pod(far, index)) => {
                self.pods.get_mut(&far).and_then(Option::as_mut).and_then(|pod| pod.remove(index));
            }
            Some(Peer::Old) | None => {}
        }
    }

    /// Whether a device of a pod sees carrier.
    pub(super) fn carrier(&self, key: &PodKey, index: u32) -> bool {
        let pod = |key: &PodKey| self.pods.get(key).and_then(Option::as_ref);
        let Some(device) = pod(key).and_then(|pod| pod.devices.get(&index)) else { return false };
        device.up
            && match &device.peer {
                Some(Peer::Panel(port)) => self.panel.as_ref().is_some_and(|panel| panel.devices[port].up),
                Some(Peer::Pod(far, index)) => pod(far).is_some_and(|pod| pod.devices[index].up),
                Some(Peer::Old) => false,
                None => true,
            }
    }

    fn port_forwards(&self, index: u32) -> bool {
        let Some(panel) = &self.panel else { return false };
        let port = &panel.devices[&index];
        let far_up = match &port.peer {
            Peer::Pod(key, nic) => self.pods[key].as_ref().is_some_and(|pod| pod.devices[nic].up),
            Peer::Panel(_) | Peer::Old => true,
        };
        port.up && far_up && port.master.is_none_or(|master| panel.devices[&master].up)
    }

    /// What a look shows.
    pub(super) fn observe(&self) -> Observed {
        let panel = self.panel.as_ref().map(|panel| {
            let mut seen = Panel::default();
            for (index, device) in &panel.devices {
                panel::look(&mut seen, *index, device, self.port_forwards(*index));
            }
            seen
        });
        let pods = self.pods.iter().map(|(key, pod)| {
            let view = match pod {
                None => PodView::Absent("no such pod".to_owned()),
                Some(pod) => PodView::Present(pod.look(|index| self.carrier(key, index))),
            };
            (key.clone(), view)
        });
        Observed {
            panel,
            pods: pods.collect(),
            devices: self.devices.clone(),
            node_bridges: self.devices.keys().cloned().collect(),
        }
    }
}

fn sandbox(number: u32) -> SandboxId {
    SandboxId::new(format!("sandbox-{number}"))
}
