//! What clashes inside a pod or on a wire: names, UIDs, MACs.

use std::collections::HashMap;

use crate::domain::{
    if_name::IfName,
    mac::Mac,
    name::PodUid,
    spec::{End, PodOwner, TopologySpec},
    violation::Violation,
};

use super::segment::{Plug, Segment};

/// Interfaces of one name in one pod, links to themselves, pods of two UIDs, MACs given twice.
pub(super) fn check(spec: &TopologySpec, plugs: &[Plug<'_>], found: &mut Vec<Violation>) {
    names(plugs, found);
    uids(plugs, found);
    macs(spec, plugs, found);
}

fn names(plugs: &[Plug<'_>], found: &mut Vec<Violation>) {
    let mut first: HashMap<(&PodOwner, &IfName), &Plug<'_>> = HashMap::new();
    for plug in plugs {
        let owner = &plug.interface.owner;
        let Some(name) = &plug.interface.name else { continue };
        let Some(other) = first.get(&(owner, name)) else {
            first.insert((owner, name), plug);
            continue;
        };
        let same_link = plug.segment == other.segment && other.id.end == End::A && plug.id.end == End::B;
        let problem = if same_link {
            format!("a link to itself: both ends are `{name}` of `{owner}`: name another interface or another pod")
        } else {
            format!("`{owner}` has an interface `{name}` already, at `{}`: choose another name, or none", other.path)
        };
        found.push(Violation::new(format!("{}.name", plug.path), problem));
    }
}

fn uids(plugs: &[Plug<'_>], found: &mut Vec<Violation>) {
    let mut first: HashMap<&PodOwner, (&PodUid, &str)> = HashMap::new();
    for plug in plugs {
        let owner = &plug.interface.owner;
        let Some(uid) = &plug.interface.uid else { continue };
        let (other, path) = *first.entry(owner).or_insert((uid, &plug.path));
        if uid != other {
            found.push(Violation::new(
                format!("{}.uid", plug.path),
                format!(
                    "`{uid}` is not `{other}`, which `{path}` gives for the same pod `{owner}`: give the one that the \
                     pod has now"
                ),
            ));
        }
    }
}

/// Explicit ones only: derived ones differ because the names that they are derived from do.
fn macs(spec: &TopologySpec, plugs: &[Plug<'_>], found: &mut Vec<Violation>) {
    let mut on_segment: HashMap<(Segment<'_>, Mac), String> = HashMap::new();
    for (i, bridge) in spec.bridges.iter().enumerate() {
        // A bridge keeps frames to its own MAC for itself.
        on_segment.extend(bridge.mac.map(|mac| ((Segment::Bridge(i), mac), format!("bridges[{i}]"))));
    }
    let mut in_pod: HashMap<(&PodOwner, Mac), &str> = HashMap::new();
    for plug in plugs {
        let owner = &plug.interface.owner;
        let Some(mac) = plug.interface.mac else { continue };
        let here = plug.segment.map(|segment| (segment, mac));
        let clash = if let Some(other) = here.as_ref().and_then(|here| on_segment.get(here)) {
            Some(format!("`{mac}` is the MAC of `{other}` on the same wire already"))
        } else {
            let other = in_pod.get(&(owner, mac));
            other.map(|other| format!("`{mac}` is the MAC of `{other}` in the same pod `{owner}` already"))
        };
        if let Some(clash) = clash {
            found.push(Violation::new(format!("{}.mac", plug.path), format!("{clash}: choose another one, or none")));
            continue;
        }
        on_segment.extend(here.map(|here| (here, plug.path.clone())));
        in_pod.insert((owner, mac), &plug.path);
    }
}
