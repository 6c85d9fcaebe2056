//! Interfaces with what was seen of them.

use std::collections::BTreeMap;

use podwire_proto::v1;

use crate::{
    domain::{
        desired::Nic,
        spec::{InterfaceId, InterfaceSpec, NetnsRef, PodOwner},
        status::{InterfaceStatus, State},
    },
    panel::TopologyView,
};

use super::ipam::route;

/// The interfaces of a topology, ready to be looked up.
pub(super) struct Interfaces<'a> {
    nics: BTreeMap<&'a InterfaceId, &'a Nic>,
    seen: &'a BTreeMap<InterfaceId, InterfaceStatus>,
}

impl<'a> Interfaces<'a> {
    /// Those of a view.
    pub(super) fn of(view: &'a TopologyView) -> Self {
        Self { nics: view.desired.nics.iter().map(|nic| (&nic.id, nic)).collect(), seen: &view.interfaces }
    }

    /// What was seen of one.
    pub(super) fn seen(&self, id: &InterfaceId) -> Option<&'a InterfaceStatus> {
        self.seen.get(id)
    }

    /// One with its effective name, MAC and MTU.
    pub(super) fn render(&self, id: &InterfaceId, spec: &InterfaceSpec) -> v1::Interface {
        let (nic, seen) = (self.nics.get(id), self.seen(id));
        let owner = match &spec.owner {
            PodOwner::Pod(name) => v1::interface::Owner::Pod(name.to_string()),
            PodOwner::Netns(NetnsRef::Name(name)) => v1::interface::Owner::Netns(name.clone()),
            PodOwner::Netns(NetnsRef::Process(pid)) => v1::interface::Owner::Netns(format!("/proc/{pid}/ns/net")),
        };
        let name = nic.map(|nic| &nic.key.name).or(spec.name.as_ref());
        let mac = nic.map(|nic| nic.mac).or(spec.mac);
        let mtu = nic.and_then(|nic| nic.mtu).or(spec.mtu).map(crate::domain::mtu::Mtu::bytes);
        v1::Interface {
            owner: Some(owner),
            uid: spec.uid.as_ref().map(ToString::to_string).unwrap_or_default(),
            name: name.map(ToString::to_string).unwrap_or_default(),
            order: spec.order.into(),
            mac: mac.map(|mac| mac.to_string()).unwrap_or_default(),
            // On a device of the node the kernel chooses it: it is known when it was seen.
            mtu: mtu.or(seen.and_then(|seen| seen.mtu)).unwrap_or_default(),
            addresses: spec.addresses.iter().map(ToString::to_string).collect(),
            routes: spec.routes.iter().map(route).collect(),
            tx_checksum: if spec.tx_checksum { v1::Toggle::Unspecified } else { v1::Toggle::Off }.into(),
            status: seen.map(|seen| status(seen, nic.copied())),
        }
    }
}

/// A state on the wire.
pub(super) fn state(state: State) -> v1::State {
    match state {
        State::Ready => v1::State::Ready,
        State::Degraded => v1::State::Degraded,
        State::Pending => v1::State::Pending,
        State::Failed => v1::State::Failed,
    }
}

fn status(seen: &InterfaceStatus, nic: Option<&Nic>) -> v1::InterfaceStatus {
    v1::InterfaceStatus {
        state: state(seen.state).into(),
        reason: seen.reason.clone(),
        since: Some(seen.since.into()),
        index: seen.index.unwrap_or_default(),
        addresses: nic.iter().flat_map(|nic| &nic.addresses).map(ToString::to_string).collect(),
        carrier: seen.carrier,
        skipped_routes: seen.skipped_routes.iter().map(route).collect(),
        sandbox_id: seen.sandbox.as_ref().map(ToString::to_string).unwrap_or_default(),
    }
}
