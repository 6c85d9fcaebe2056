//! Which namespaces a pod's devices lead to.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsRawFd, RawFd},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoData, InfoKind},
    nsid::{NsidAttribute, NsidMessage},
};

use crate::domain::{intent::PodKey, observed::LinkKind};

use super::{
    super::{KernelError, link, netns::own_netns, site::OpenPod, socket::RouteSocket},
    Device,
};

/// The id of a namespace in the namespace of a socket, where it has one.
pub(in crate::kernel) fn nsid_of(socket: &mut RouteSocket, fd: RawFd) -> Result<Option<i32>, KernelError> {
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(u32::try_from(fd).unwrap_or(u32::MAX)));
    let RouteNetlinkMessage::NewNsId(answer) = socket.get(RouteNetlinkMessage::GetNsId(message))? else {
        return Ok(None);
    };
    Ok(answer.attributes.iter().find_map(|attribute| match attribute {
        NsidAttribute::Id(id) if *id >= 0 => Some(*id),
        _ => None,
    }))
}

/// Which namespaces the pods of a topology know under which ids: those at the far ends of DIRECT links, and the node's.
/// A namespace has ids only of those that it shares a pair of devices with.
#[derive(Default)]
pub(in crate::kernel) struct Neighbours {
    pods: BTreeMap<(PodKey, i32), PodKey>,
    node: BTreeMap<PodKey, i32>,
}

impl Neighbours {
    pub(in crate::kernel) fn of(
        pods: &mut BTreeMap<PodKey, OpenPod>,
        direct: &BTreeSet<(PodKey, PodKey)>,
        with_node: bool,
    ) -> Result<Self, KernelError> {
        let mut neighbours = Self::default();
        for (from, to) in direct {
            let Some(fd) = pods.get(to).map(|pod| pod.netns.fd().as_raw_fd()) else { continue };
            let Some(pod) = pods.get_mut(from) else { continue };
            if let Some(id) = nsid_of(&mut pod.socket, fd)? {
                neighbours.pods.insert((from.clone(), id), to.clone());
            }
        }
        if with_node {
            let own = own_netns()?;
            for (key, pod) in pods {
                if let Some(id) = nsid_of(&mut pod.socket, own.as_raw_fd())? {
                    neighbours.node.insert(key.clone(), id);
                }
            }
        }
        Ok(neighbours)
    }

    /// What a device of a pod is, and where its other end lies.
    pub(in crate::kernel) fn kind(&self, device: &Device, key: &PodKey) -> LinkKind {
        match &device.kind {
            Some(InfoKind::Veth) => {
                // A peer in the same namespace has no id.
                let home = match device.peer_nsid {
                    None => Some(key.clone()),
                    Some(id) => self.pods.get(&(key.clone(), id)).cloned(),
                };
                LinkKind::Veth { peer: home.zip(device.peer) }
            }
            Some(InfoKind::MacVlan) => {
                let at_node = device.peer_nsid.is_some() && self.node.get(key).copied() == device.peer_nsid;
                let mode = match &device.data {
                    Some(InfoData::MacVlan(options)) => link::macvlan_mode(options),
                    _ => None,
                };
                LinkKind::Macvlan { parent: device.peer.filter(|_| at_node), mode }
            }
            _ => LinkKind::Other,
        }
    }
}
