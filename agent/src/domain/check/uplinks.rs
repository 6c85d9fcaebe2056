//! Uplinks that cannot be: a VLAN exists once on its device, and a device is one thing in a topology.

use std::collections::HashMap;

use crate::domain::{
    if_name::IfName,
    spec::TopologySpec,
    uplink::{VlanId, Way, asked},
    violation::Violation,
};

/// VLANs that are asked for twice.
pub(super) fn check(spec: &TopologySpec, found: &mut Vec<Violation>) {
    let mut first: HashMap<(&IfName, VlanId), String> = HashMap::new();
    for (_, uplink, path) in asked(spec) {
        let Way::Vlan(vlan) = uplink.way else { continue };
        let parent = &uplink.parent;
        if let Some(other) = first.get(&(parent, vlan)) {
            found.push(Violation::new(
                format!("{path}.vlan"),
                format!(
                    "VLAN {vlan} of `{parent}` is that of `{other}` already, and a VLAN exists once on its device: give \
                     a bridge `uplink`, and plug both into that"
                ),
            ));
        } else {
            first.insert((parent, vlan), path);
        }
    }
}
