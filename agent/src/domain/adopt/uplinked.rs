//! Uplinks: of bridges, and of interfaces.

use crate::domain::{
    bridge::BridgePort,
    observed::{PortState, Redirect, UplinkFar, UplinkState},
    uplink::{Uplink, UplinkSpec, Way},
};

use super::{Adoption, Fate};

impl Adoption<'_> {
    /// What a bridge reaches of the node's network.
    pub(super) fn uplink_of_bridge(&self, bridge: u32) -> Option<UplinkSpec> {
        let name = self.bridges.get(&bridge)?;
        let mut all = self.observed.panel.iter().flat_map(|panel| &panel.uplinks);
        let (device, state) = all.find(|(_, state)| state.master == Some(bridge))?;
        spec(state).filter(|spec| Uplink::device_name(name, spec) == *device)
    }

    /// The options of a bridge's uplink, which say what its profile is as those of other ports do.
    pub(super) fn uplink_port_of_bridge(&self, bridge: u32) -> Option<BridgePort> {
        let mut all = self.observed.panel.iter().flat_map(|panel| panel.uplinks.values());
        all.find(|state| state.master == Some(bridge))?.bridge_port
    }

    /// The uplink that a port is stitched to, both ways.
    pub(super) fn uplink_behind(&self, port: &PortState) -> Option<UplinkSpec> {
        self.stitched_to(port).and_then(spec)
    }

    /// The MTU of the device that an uplink leads to; where that was not looked at, the uplink's, which follows it.
    pub(super) fn parent_mtu(&self, uplink: &UplinkSpec, port: &PortState) -> u32 {
        let device = self.observed.devices.get(uplink.parent.as_str()).map(|(_, mtu)| *mtu);
        device.or_else(|| self.stitched_to(port).map(|state| state.mtu)).unwrap_or_default()
    }

    /// Whether the cable of such a port is plugged. Without carrier of the uplink nothing is seen of it: it is taken for plugged.
    pub(super) fn is_uplink_plugged(&self, port: &PortState) -> bool {
        port.up || !self.stitched_to(port).is_some_and(|state| state.carrier)
    }

    fn stitched_to(&self, port: &PortState) -> Option<&UplinkState> {
        let mut all = self.observed.panel.iter().flat_map(|panel| panel.uplinks.values());
        all.find(|state| port.redirect == Redirect::To(state.index) && state.redirect == Redirect::To(port.index))
    }

    /// Tells of uplinks that nothing was adopted for: they go.
    pub(super) fn uplinks(&mut self) {
        let spec_of = &self.kept.spec;
        let kept: Vec<String> =
            crate::domain::uplink::asked(spec_of).map(|(name, spec, _)| Uplink::device_name(name, spec)).collect();
        for device in self.observed.panel.iter().flat_map(|panel| panel.uplinks.keys()) {
            if !kept.contains(device) {
                let reason = "it is joined to no bridge and to no interface that is adopted";
                self.leave(format_args!("uplink {device}"), reason, Fate::Removed);
            }
        }
    }
}

fn spec(state: &UplinkState) -> Option<UplinkSpec> {
    let (parent, way) = match &state.far {
        UplinkFar::Vlan { parent, id } => (&parent.as_ref()?.1, Way::Vlan(u32::from(*id).try_into().ok()?)),
        UplinkFar::Port(port) => (&port.master.as_ref()?.1, Way::BridgePort),
        UplinkFar::Nowhere => return None,
    };
    Some(UplinkSpec { parent: parent.parse().ok()?, way })
}
