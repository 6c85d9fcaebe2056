//! In which order NICs are made, so that the indexes of each pod ascend.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::domain::{
    desired::{Nic, Wire},
    intent::{NicKey, PodKey},
    step::{NewNic, Step},
};

use super::{Fate, View, inside};

/// Makes NICs pod by pod in order. A DIRECT link makes a NIC in two pods at once: it waits until it is next in both.
/// Where two such links cross, no order serves both pods, and one of them gets its turn early.
pub(super) fn births(view: &View<'_>, steps: &mut Vec<Step>) {
    let mut queues: BTreeMap<&PodKey, VecDeque<&Nic>> = BTreeMap::new();
    for (nic, fate) in view.live() {
        if matches!(fate, Fate::Make { .. }) {
            queues.entry(&nic.key.pod).or_default().push_back(nic);
        }
    }
    let mut made: BTreeSet<&NicKey> = BTreeSet::new();
    while !queues.is_empty() {
        let before = waiting(&queues);
        for pod in queues.keys().copied().collect::<Vec<_>>() {
            while let Some(nic) = queues.get(pod).and_then(|queue| queue.front()).copied() {
                if !made.contains(&nic.key) && !is_next(nic, &queues) {
                    break;
                }
                make(nic, view, &mut made, steps);
                pop(pod, &mut queues);
            }
        }
        if waiting(&queues) == before
            && let Some((pod, nic)) = queues.iter().find_map(|(pod, queue)| Some((*pod, *queue.front()?)))
        {
            make(nic, view, &mut made, steps);
            pop(pod, &mut queues);
        }
    }
}

fn waiting(queues: &BTreeMap<&PodKey, VecDeque<&Nic>>) -> usize {
    queues.values().map(VecDeque::len).sum()
}

fn is_next(nic: &Nic, queues: &BTreeMap<&PodKey, VecDeque<&Nic>>) -> bool {
    match &nic.wire {
        Wire::Direct { far } if far.pod == nic.key.pod => {
            queues.get(&far.pod).and_then(|queue| queue.get(1)).is_some_and(|next| next.key == *far)
        }
        Wire::Direct { far } => {
            queues.get(&far.pod).and_then(|queue| queue.front()).is_some_and(|next| next.key == *far)
        }
        Wire::Bridge { .. } | Wire::Stitch { .. } | Wire::Uplink { .. } | Wire::Device { .. } => true,
    }
}

fn make<'a>(nic: &'a Nic, view: &View<'a>, made: &mut BTreeSet<&'a NicKey>, steps: &mut Vec<Step>) {
    if !made.insert(&nic.key) {
        return;
    }
    match &nic.wire {
        Wire::Bridge { bridge, .. } => steps.push(Step::CreateVeth(nic.into(), Some(bridge.clone()))),
        Wire::Uplink { .. } => {
            let new = NewNic { mtu: inside::mtu(view, nic), ..nic.into() };
            steps.push(Step::CreateVeth(new, None));
        }
        Wire::Stitch { .. } => steps.push(Step::CreateVeth(nic.into(), None)),
        Wire::Device { parent, mode } => {
            steps.push(Step::CreateMacvlan { nic: nic.into(), parent: parent.clone(), mode: *mode });
        }
        Wire::Direct { far } => {
            if let Some(other) = view.known.nics.get(far).copied()
                && made.insert(&other.key)
            {
                // `veth_newlink` of drivers/net/veth.c registers the peer first: within one pod it gets the lower index.
                let (last, first) = if far.pod == nic.key.pod { (other, nic) } else { (nic, other) };
                steps.push(Step::CreateDirect(last.into(), first.into()));
            }
        }
    }
}

fn pop<'a>(pod: &'a PodKey, queues: &mut BTreeMap<&'a PodKey, VecDeque<&'a Nic>>) {
    if let Some(queue) = queues.get_mut(pod) {
        queue.pop_front();
        if queue.is_empty() {
            queues.remove(pod);
        }
    }
}
