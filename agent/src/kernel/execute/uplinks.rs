//! Steps for uplinks: they work in the panel and in the node's namespace at once.

use crate::domain::uplink::{Join, Uplink};

use super::{
    super::{StepFailed, site::PanelDoor, uplink},
    Executor, Outcome, failed, vanished,
};

impl Executor<'_> {
    pub(super) fn create_uplink(&mut self, at: usize, uplink: &Uplink) -> Outcome {
        self.flush()?;
        let index = self.new_index(&uplink.device);
        let parent = self.parent(at, uplink)?;
        let Some(PanelDoor { socket, netns }) = &mut self.site.panel else {
            return Err(vanished(at, "the panel".to_owned()));
        };
        let panel = (socket, netns.fd());
        uplink::create(uplink, index, parent, panel, &mut self.site.node).map_err(failed(at))?;
        self.configure_uplink(at, uplink)
    }

    pub(super) fn configure_uplink(&mut self, at: usize, uplink: &Uplink) -> Outcome {
        self.flush()?;
        let (parent, index) = (self.parent(at, uplink)?, self.uplink(at, uplink)?);
        let Some(PanelDoor { socket, .. }) = &mut self.site.panel else {
            return Err(vanished(at, "the panel".to_owned()));
        };
        uplink::configure(uplink, index, parent, socket, &mut self.site.node).map_err(failed(at))
    }

    pub(super) fn join_uplink(&mut self, at: usize, uplink: &Uplink) -> Outcome {
        self.flush()?;
        let index = self.uplink(at, uplink)?;
        let to = match &uplink.join {
            Join::Bridge(bridge, port, vlans) => {
                uplink::JoinedTo::Bridge(self.bridge(at, bridge)?, *port, vlans.clone())
            }
            Join::Nic(nic) => uplink::JoinedTo::Port(self.port(at, nic)?),
        };
        let Some(PanelDoor { socket, .. }) = &mut self.site.panel else {
            return Err(vanished(at, "the panel".to_owned()));
        };
        uplink::join(index, to, socket).map_err(failed(at))?;
        uplink::settle(index, socket, &mut self.site.node).map_err(failed(at))
    }

    pub(super) fn part_uplink(&mut self, at: usize, uplink: &Uplink) -> Outcome {
        self.flush()?;
        let index = self.uplink(at, uplink)?;
        let Some(PanelDoor { socket, .. }) = &mut self.site.panel else {
            return Err(vanished(at, "the panel".to_owned()));
        };
        uplink::part(index, socket).map_err(failed(at))
    }

    /// Index and MTU of the device that an uplink leads to.
    fn parent(&self, at: usize, uplink: &Uplink) -> Result<(u32, u32), StepFailed> {
        let name = &uplink.spec.parent;
        let found = self.site.seen.devices.get(name.as_str()).copied();
        found.ok_or_else(|| vanished(at, format!("device `{name}` of the node")))
    }

    fn uplink(&self, at: usize, uplink: &Uplink) -> Result<u32, StepFailed> {
        let index = self.panel.get(&uplink.device).copied();
        index.ok_or_else(|| vanished(at, format!("uplink {}", uplink.device)))
    }
}
