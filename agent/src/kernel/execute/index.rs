//! Indexes in the panel.

use crate::{
    domain::{
        device::{bridge_device_name, port_device_name},
        intent::NicKey,
        name::ElementName,
    },
    kernel::{StepFailed, link},
};

use super::{Executor, vanished};

impl Executor<'_> {
    /// Indexes are chosen, not waited for: so what refers to a new device goes into the same message batch.
    pub(super) fn new_index(&mut self, device: &str) -> u32 {
        while self.used.contains(&self.next_index) || self.is_taken(self.next_index) {
            self.next_index += 1;
        }
        let index = self.next_index;
        self.next_index += 1;
        self.panel.insert(device.to_owned(), index);
        index
    }

    /// Whether an index is that of a device outside of the part of the panel that was looked at.
    fn is_taken(&mut self, index: u32) -> bool {
        let panel = self.site.panel.as_mut().filter(|_| self.site.part.is_some());
        panel.is_some_and(|panel| panel.socket.get(link::get(index)).is_ok())
    }

    pub(super) fn bridge(&self, at: usize, name: &ElementName) -> Result<u32, StepFailed> {
        let index = self.panel.get(&bridge_device_name(name)).copied();
        index.ok_or_else(|| vanished(at, format!("bridge {name}")))
    }

    pub(super) fn port(&self, at: usize, nic: &NicKey) -> Result<u32, StepFailed> {
        let index = self.panel.get(&port_device_name(nic)).copied();
        index.ok_or_else(|| vanished(at, format!("the port of {nic}")))
    }
}
