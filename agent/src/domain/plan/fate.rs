//! What becomes of each NIC: kept, made, or not now.

use std::collections::BTreeMap;

use crate::domain::{
    desired::{Desired, Nic, Wire},
    device::{Mark, PANEL_PREFIX, mark, panel_name, port_device_name},
    intent::NicKey,
    observed::{LinkKind, PodLink, PodState, PodView, PortState},
    spec::InterfaceId,
    step::Step,
};

use super::{Known, Trouble, removal::remove_port, uplinks};

/// What becomes of a NIC.
#[derive(Debug)]
pub(super) enum Fate<'a> {
    /// It is there.
    Keep {
        /// Its port, where its wire has one.
        port: Option<&'a PortState>,
        /// It.
        link: &'a PodLink,
        /// Its pod.
        pod: &'a PodState,
    },
    /// It is made.
    Make {
        /// Its pod.
        pod: &'a PodState,
        /// What has its name, or that of its port, until then.
        removal: Option<Step>,
    },
}

/// What becomes of all NICs.
#[derive(Debug, Default)]
pub(super) struct Fates<'a> {
    /// Those that are there or made.
    pub of: BTreeMap<NicKey, Fate<'a>>,
    /// Those that wait.
    pub pending: BTreeMap<InterfaceId, String>,
    /// Those that cannot be plugged.
    pub trouble: BTreeMap<InterfaceId, Trouble>,
}

pub(super) fn fates<'a>(known: &Known<'a>) -> Fates<'a> {
    let mut fates = Fates::default();
    for nic in &known.desired.nics {
        if known.skip.contains(&nic.id) {
            continue;
        }
        match judge(nic, known) {
            Judgement::Fate(fate) => {
                fates.of.insert(nic.key.clone(), fate);
            }
            Judgement::Pending(reason) => {
                fates.pending.insert(nic.id.clone(), reason);
            }
            Judgement::Trouble(trouble) => {
                fates.trouble.insert(nic.id.clone(), trouble);
            }
        }
    }
    both_or_neither(known.desired, &mut fates);
    uplinks::troubles(known, &mut fates);
    fates
}

/// The ends of a DIRECT link are made together: one whose far end is not made waits.
fn both_or_neither(desired: &Desired, fates: &mut Fates<'_>) {
    for nic in &desired.nics {
        let Wire::Direct { far } = &nic.wire else { continue };
        let made = matches!(fates.of.get(&nic.key), Some(Fate::Make { .. }));
        if made && !matches!(fates.of.get(far), Some(Fate::Make { .. })) {
            fates.of.remove(&nic.key);
            fates.pending.insert(nic.id.clone(), format!("waits for {far}, the other end of its DIRECT link"));
        }
    }
}

enum Judgement<'a> {
    Fate(Fate<'a>),
    Pending(String),
    Trouble(Trouble),
}

fn judge<'a>(nic: &Nic, known: &Known<'a>) -> Judgement<'a> {
    let observed = known.observed;
    let pod = match observed.pods.get(&nic.key.pod) {
        Some(PodView::Present(pod)) => pod,
        Some(PodView::Refused(refusal)) => return Judgement::Trouble(Trouble::Refused(refusal.clone())),
        Some(PodView::Absent(reason)) => return Judgement::Pending(reason.clone()),
        None => return Judgement::Pending(format!("pod {} was not looked at", nic.key.pod)),
    };
    if let Wire::Device { parent, .. } = &nic.wire
        && !observed.devices.contains_key(parent.as_str())
    {
        return Judgement::Trouble(Trouble::NoDevice { parent: parent.to_string() });
    }
    if let Wire::Direct { far } = &nic.wire
        && let Some(PodView::Absent(reason)) = observed.pods.get(&far.pod)
    {
        return Judgement::Pending(format!("waits for {far}, the other end of its DIRECT link: {reason}"));
    }
    let port = observed.panel.as_ref().and_then(|panel| panel.ports.get(&port_device_name(&nic.key)));
    if let Some(link) = pod.links.get(nic.key.name.as_str()) {
        let behind_port = behind_port(nic, known).is_some();
        let (kept, port) = match &nic.wire {
            Wire::Bridge { .. } | Wire::Stitch { .. } | Wire::Uplink { .. } => (behind_port, port),
            Wire::Direct { .. } | Wire::Device { .. } => (matches_wire(link, nic, known), None),
        };
        if kept {
            return Judgement::Fate(Fate::Keep { port, link, pod });
        }
        if !behind_port {
            // It has the name but is not what this wire makes: ours from another wire, or somebody else's.
            let before = known.former_nics.get(&nic.key).copied().unwrap_or(nic);
            return match provable(before, known) {
                Some(link) => {
                    let removal = Some(Step::RemoveNic(nic.key.clone(), link.index));
                    Judgement::Fate(Fate::Make { pod, removal })
                }
                None => Judgement::Trouble(foreign(nic, link)),
            };
        }
    }
    if let Some((home, index)) = port.and_then(|port| port.nic.as_ref())
        && *home == nic.key.pod
        && pod.unreadable.contains(index)
    {
        let message = format!("its device (index {index}) has a name that is no text: take that name away");
        return Judgement::Trouble(Trouble::InTheWay { reason: "UNREADABLE_INTERFACE", message });
    }
    // A port whose other end is gone, renamed, in an old sandbox or wired in another way.
    let removal = port.map(|port| remove_port(&port_device_name(&nic.key), port.index, Some(&nic.key)));
    Judgement::Fate(Fate::Make { pod, removal })
}

fn foreign(nic: &Nic, link: &PodLink) -> Trouble {
    let kind = match &link.kind {
        LinkKind::Veth { .. } => "veth",
        LinkKind::Macvlan { .. } => "macvlan",
        LinkKind::Other => "device",
    };
    let mark = link.altnames.iter().find(|name| name.starts_with(PANEL_PREFIX)).filter(|_| link.ours);
    let owner = match mark {
        Some(mark) => format!("it is marked as `{mark}`: apply or delete the topology of that name first"),
        None => "podwire did not make it: choose another name".to_owned(),
    };
    Trouble::InTheWay {
        reason: "FOREIGN_INTERFACE",
        message: format!("the pod has a {kind} `{}` already (index {}) and {owner}", nic.key.name, link.index),
    }
}

/// The device of a NIC's name where it is at the other end of the NIC's port.
pub(super) fn behind_port<'a>(nic: &Nic, known: &Known<'a>) -> Option<&'a PodLink> {
    let port = known.observed.panel.as_ref()?.ports.get(&port_device_name(&nic.key))?;
    let (pod, index) = port.nic.as_ref()?;
    known.link(&nic.key).filter(|link| *pod == nic.key.pod && *index == link.index)
}

/// The device of a NIC without a port, where it is provably ours: in our group, of the kind that its wire makes, with
/// the far end or parent of that wire, and with its MAC or its mark. Anything less is left alone.
pub(super) fn provable<'a>(nic: &Nic, known: &Known<'a>) -> Option<&'a PodLink> {
    if nic.wire.has_port() {
        return None;
    }
    let link = known.link(&nic.key)?;
    // A mark of the same topology: the element may have another name by now. One of another topology proves the opposite.
    let key = &known.desired.key;
    let ours = format!("{}.", panel_name(key));
    let marked = |name: &String| name.starts_with(&ours) || *name == mark(key, &nic.id);
    let of_another = |name: &String| name.parse::<Mark>().is_ok_and(|mark| mark.key != *key);
    let signed =
        (link.mac == Some(nic.mac) && !link.altnames.iter().any(of_another)) || link.altnames.iter().any(marked);
    (signed && matches_wire(link, nic, known)).then_some(link)
}

/// Whether a device without a port is what the wire of a NIC makes.
pub(super) fn matches_wire(link: &PodLink, nic: &Nic, known: &Known<'_>) -> bool {
    if !link.ours {
        return false;
    }
    match (&nic.wire, &link.kind) {
        (Wire::Direct { far }, LinkKind::Veth { peer: Some((pod, index)) }) => {
            *pod == far.pod && known.link(far).is_some_and(|l| l.index == *index && l.ours)
        }
        (Wire::Device { parent, mode }, LinkKind::Macvlan { parent: Some(index), mode: now }) => {
            known.observed.devices.get(parent.as_str()).is_some_and(|(i, _)| i == index) && *now == Some(*mode)
        }
        _ => false,
    }
}
