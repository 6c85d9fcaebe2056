//! Where the frames of a capture are seen.

use crate::{
    domain::{
        desired::{Desired, Nic, Wire},
        device::port_device_name,
        name::{ElementName, TopologyKey},
        spec::{End, TopologySpec},
        uplink::Uplink,
    },
    kernel::Side,
    pods::Wanted,
};

use super::{super::error::ChangeError, CaptureTarget};

/// One place at which frames are captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    /// Name of its pcapng interface: `pod/interface`.
    pub(super) name: String,
    /// What it is, for the file.
    pub(super) description: String,
    /// Which device, and where.
    pub(super) place: Place,
}

/// A device to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A port in the panel.
    Panel(String),
    /// A NIC inside its pod.
    Pod(Wanted, String),
}

impl Place {
    pub(super) fn side(&self) -> Side {
        match self {
            Self::Panel(_) => Side::Panel,
            Self::Pod(..) => Side::Pod,
        }
    }

    pub(super) fn device(&self) -> &str {
        match self {
            Self::Panel(device) | Self::Pod(_, device) => device,
        }
    }
}

/// The places of a target.
///
/// # Errors
///
/// The topology has no such thing.
pub(super) fn sources(
    spec: &TopologySpec,
    desired: &Desired,
    target: &CaptureTarget,
) -> Result<Vec<Source>, ChangeError> {
    let key = &desired.key;
    let absent = |kind, name: String| ChangeError::NotFound { kind, name: format!("{name} of {key}") };
    let nics = desired.nics.iter();
    match target {
        CaptureTarget::Interface { owner, name } => {
            let nic = nics.clone().find(|nic| nic.owner == *owner && nic.key.name == *name);
            let nic = nic.ok_or_else(|| absent("interface", format!("{owner}/{name}")))?;
            Ok(vec![source(key, nic)])
        }
        CaptureTarget::Link(name) => {
            if !spec.links.iter().any(|link| link.name == *name) {
                return Err(absent("link", name.to_string()));
            }
            let ends = nics.filter(|nic| nic.id.element == *name && nic.id.end != End::Only);
            Ok(ends.map(|nic| source(key, nic)).collect())
        }
        CaptureTarget::Bridge(name) => {
            if !spec.bridges.iter().any(|bridge| bridge.name == *name) {
                return Err(absent("bridge", name.to_string()));
            }
            let uplinks = desired.uplinks.iter().filter(|uplink| uplink.nic().is_none() && uplink.id.element == *name);
            let ports = nics.filter(|nic| is_on(nic, name)).map(|nic| source(key, nic));
            Ok(ports.chain(uplinks.map(|uplink| of_uplink(key, uplink))).collect())
        }
    }
}

/// The way onto the node's network: what comes from there enters the bridge here.
fn of_uplink(key: &TopologyKey, uplink: &Uplink) -> Source {
    let name = format!("uplink/{}", uplink.spec.parent);
    let description = format!("{} for {} of {key}", uplink.spec, uplink.id);
    Source { name, description, place: Place::Panel(uplink.device.clone()) }
}

fn is_on(nic: &Nic, name: &ElementName) -> bool {
    matches!(&nic.wire, Wire::Bridge { bridge, .. } if bridge == name)
}

fn source(key: &TopologyKey, nic: &Nic) -> Source {
    let inside = || {
        let wanted = Wanted { namespace: key.namespace.clone(), owner: nic.owner.clone(), uid: nic.uid.clone() };
        Place::Pod(wanted, nic.key.name.to_string())
    };
    let place = match nic.wire {
        Wire::Stitch { .. } | Wire::Uplink { .. } | Wire::Bridge { .. } => Place::Panel(port_device_name(&nic.key)),
        Wire::Direct { .. } | Wire::Device { .. } => inside(),
    };
    let name = format!("{}/{}", nic.owner, nic.key.name);
    Source { name, description: format!("{} of {key}", nic.id), place }
}
