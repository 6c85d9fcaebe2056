//! What a converge opens.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{
        desired::{Desired, Wire},
        device::panel_name,
        intent::PodKey,
        name::TopologyKey,
        uplink::UplinkSpec,
    },
    kernel::SiteView,
    panel::error::ChangeError,
    pods::{Pods, Wanted},
};

/// Everything that a topology touches, before and after.
pub(super) fn view(
    key: &TopologyKey,
    target: &Desired,
    former: Option<&Desired>,
    pods: &dyn Pods,
) -> Result<SiteView, ChangeError> {
    let all = || target.nics.iter().chain(former.into_iter().flat_map(|former| &former.nics));
    let mut wanted: BTreeMap<&PodKey, Wanted> = BTreeMap::new();
    for nic in all() {
        let door = wanted.entry(&nic.key.pod).or_insert_with(|| Wanted {
            namespace: key.namespace.clone(),
            owner: nic.owner.clone(),
            uid: None,
        });
        // Of what shall be, the one that insists on an incarnation decides; what was does not.
        if door.uid.is_none() && target.nic(&nic.key).is_some() {
            door.uid.clone_from(&nic.uid);
        }
    }
    let wanted: Vec<Wanted> = wanted.into_values().collect();
    let mut direct = BTreeSet::new();
    let mut routes_of = BTreeSet::new();
    let mut devices = BTreeSet::new();
    for nic in all() {
        match &nic.wire {
            Wire::Direct { far } => {
                direct.insert((nic.key.pod.clone(), far.pod.clone()));
            }
            Wire::Device { parent, .. } | Wire::Uplink { spec: UplinkSpec { parent, .. }, .. } => {
                devices.insert(parent.clone());
            }
            Wire::Bridge { .. } | Wire::Stitch { .. } => {}
        }
        if !nic.routes.is_empty() {
            routes_of.insert(nic.key.pod.clone());
        }
    }
    let uplinks = target.uplinks.iter().chain(former.into_iter().flat_map(|former| &former.uplinks));
    devices.extend(uplinks.map(|uplink| uplink.spec.parent.clone()));
    let checksums = target.finishes_checksums() || former.is_some_and(Desired::finishes_checksums);
    Ok(SiteView {
        panel: panel_name(key),
        pods: pods.find(&wanted)?,
        direct,
        routes_of,
        checksums,
        devices,
        part: None,
    })
}
