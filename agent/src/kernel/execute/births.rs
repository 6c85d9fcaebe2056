//! Steps that make devices.

use crate::domain::{
    desired::BridgeDevice,
    device::{bridge_device_name, full_name, port_device_name},
    if_name::IfName,
    name::ElementName,
    spec::MacvlanMode,
    step::NewNic,
};

use super::{super::link, Door, Executor, Outcome, gone, vanished};

impl Executor<'_> {
    /// Makes a bridge, of one that waits in the panel where there is one, best one that has the name: to give a name takes the
    /// kernel a wait for all readers of the old one.
    pub(super) fn create_bridge(&mut self, at: usize, bridge: &BridgeDevice) -> Outcome {
        let device = bridge_device_name(&bridge.name);
        let named = self.site.spare.iter().position(|(_, name)| *name == device);
        let spare = named.map(|at| self.site.spare.swap_remove(at)).or_else(|| self.site.spare.pop());
        let index = match spare {
            None => {
                let index = self.new_index(&device);
                self.add(at, &Door::Panel, link::create_bridge(&device, index, bridge))?;
                index
            }
            Some((index, name)) => {
                self.panel.insert(device.clone(), index);
                if name != device {
                    // Before Linux 6.2 a device that is up keeps its name.
                    self.add(at, &Door::Panel, link::set_up(index, false))?;
                }
                self.add(at, &Door::Panel, link::take_bridge(&device, index, bridge))?;
                index
            }
        };
        self.name_in_full(at, index, &device, bridge.name.as_str())
    }

    pub(super) fn create_veth(&mut self, at: usize, nic: &NewNic, bridge: Option<&ElementName>) -> Outcome {
        let device = port_device_name(&nic.key);
        let master = bridge.map(|bridge| self.bridge(at, bridge)).transpose()?;
        let index = self.new_index(&device);
        let pod = self.site.pods.get(&nic.key.pod).ok_or_else(|| gone(at, &nic.key.pod))?;
        let request = link::create_veth(&device, index, master, nic, pod.netns.fd());
        self.add(at, &Door::Panel, request)?;
        self.name_in_full(at, index, &device, &format!("{}.{}", nic.key.pod, nic.key.name))
    }

    pub(super) fn create_macvlan(&mut self, at: usize, nic: &NewNic, parent: &IfName, mode: MacvlanMode) -> Outcome {
        let found = self.site.seen.devices.get(parent.as_str());
        let (index, _) = found.copied().ok_or_else(|| vanished(at, format!("device `{parent}` of the node")))?;
        let pod = self.site.pods.get(&nic.key.pod).ok_or_else(|| gone(at, &nic.key.pod))?;
        let request = link::create_macvlan(nic, index, mode, pod.netns.fd());
        self.add(at, &Door::Node, request)
    }

    /// A device whose name had to be shortened has its full name as an altname.
    pub(super) fn name_in_full(&mut self, at: usize, index: u32, device: &str, full: &str) -> Outcome {
        match full_name(device, full) {
            Some(altname) => self.add(at, &Door::Panel, link::add_altname(index, &altname)),
            None => Ok(()),
        }
    }
}
