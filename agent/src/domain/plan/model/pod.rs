//! The namespace of a pod of the model: addresses and routes behave as Linux 6.18 was seen to.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;

use crate::domain::{
    desired::route_identity,
    ipam::contains,
    mac::Mac,
    mtu::Mtu,
    observed::{LinkKind, PodLink, PodRoute, PodState},
    spec::RouteSpec,
    step::NewNic,
};

use super::{Peer, Refused, sandbox};

/// IPv6 leaves devices of a smaller MTU (RFC 8200).
const IPV6_MINIMUM: u32 = 1280;

#[derive(Debug, Clone)]
pub(in crate::domain::plan) struct PodDevice {
    pub name: String,
    pub mac: Option<Mac>,
    pub mtu: u32,
    pub up: bool,
    pub ours: bool,
    pub enslaved: bool,
    /// Of a veth without the peer, which is in `peer`.
    pub kind: LinkKind,
    pub peer: Option<Peer>,
    pub altnames: Vec<String>,
    pub addresses: Vec<IpNetwork>,
}

impl PodDevice {
    /// Something that the pod made itself.
    pub(in crate::domain::plan) fn foreign(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            mac: None,
            mtu: 1500,
            up: true,
            ours: false,
            enslaved: false,
            kind: LinkKind::Other,
            peer: None,
            altnames: Vec::new(),
            addresses: Vec::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub(in crate::domain::plan) struct PodNamespace {
    number: u32,
    next: u32,
    pub devices: BTreeMap<u32, PodDevice>,
    pub routes: Vec<PodRoute>,
}

impl PodNamespace {
    /// With the loopback device and the CNI's, which has a default route.
    pub(super) fn new(number: u32) -> Self {
        let mut pod = Self { number, next: 1, devices: BTreeMap::new(), routes: Vec::new() };
        pod.insert(PodDevice::foreign("lo"));
        let eth0 = pod.insert(PodDevice::foreign("eth0"));
        pod.add_address(eth0, "10.244.0.7/24".parse().unwrap()).unwrap();
        let default = RouteSpec {
            destination: "0.0.0.0/0".parse().unwrap(),
            via: Some("10.244.0.1".parse().unwrap()),
            metric: 0,
            unless_present: false,
        };
        pod.add_route(eth0, &default).unwrap();
        pod
    }

    pub(in crate::domain::plan) fn insert(&mut self, device: PodDevice) -> u32 {
        let index = self.next;
        self.next += 1;
        self.devices.insert(index, device);
        index
    }

    pub(super) fn create(&mut self, nic: &NewNic, peer: Option<Peer>, most: u32) -> Result<u32, Refused> {
        self.is_free(nic.key.name.as_str())?;
        let mtu = nic.mtu.map_or(1500, Mtu::bytes);
        if mtu > most {
            return Err("EINVAL: MTU".to_owned());
        }
        let (ours, up, kind) = (true, false, LinkKind::Veth { peer: None });
        let foreign = PodDevice::foreign(nic.key.name.as_str());
        Ok(self.insert(PodDevice { mac: Some(nic.mac), mtu, ours, up, kind, peer, ..foreign }))
    }

    /// Names and altnames are unique together.
    pub(super) fn is_free(&self, name: &str) -> Result<(), Refused> {
        let taken = |device: &PodDevice| device.name == name || device.altnames.iter().any(|other| other == name);
        if self.devices.values().any(taken) { Err(format!("EEXIST: {name}")) } else { Ok(()) }
    }

    pub(super) fn index_of(&self, name: &str) -> Result<u32, Refused> {
        let found = self.devices.iter().find(|(_, device)| device.name == name);
        found.map(|(index, _)| *index).ok_or_else(|| format!("ENODEV: {name}"))
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<PodDevice> {
        self.routes.retain(|route| route.device != Some(index));
        self.devices.remove(&index)
    }

    pub(super) fn add_altname(&mut self, index: u32, altname: &str) -> Result<(), Refused> {
        self.is_free(altname)?;
        self.device(index).altnames.push(altname.to_owned());
        Ok(())
    }

    fn device(&mut self, index: u32) -> &mut PodDevice {
        self.devices.get_mut(&index).unwrap()
    }

    /// Down takes all routes and the IPv6 addresses along; up brings the routes of the addresses back.
    pub(in crate::domain::plan) fn set_up(&mut self, index: u32, up: bool) {
        let device = self.device(index);
        if device.up == up {
            return;
        }
        device.up = up;
        if up {
            for address in device.addresses.clone() {
                self.connect(index, address);
            }
        } else {
            device.addresses.retain(IpNetwork::is_ipv4);
            self.routes.retain(|route| route.device != Some(index));
        }
    }

    /// IPv6 goes where the MTU has become too small for it.
    pub(super) fn shrink(&mut self, index: u32) {
        if self.device(index).mtu < IPV6_MINIMUM {
            self.device(index).addresses.retain(IpNetwork::is_ipv4);
            self.routes.retain(|route| route.device != Some(index) || route.destination.is_ipv4());
        }
    }

    pub(in crate::domain::plan) fn add_address(&mut self, index: u32, address: IpNetwork) -> Result<(), Refused> {
        let device = self.device(index);
        let same = |now: &&IpNetwork| now.ip() == address.ip() && (now.prefix() == address.prefix() || now.is_ipv6());
        if let Some(same) = device.addresses.iter().find(same) {
            return Err(format!("EEXIST: {same}"));
        }
        if address.is_ipv6() && device.mtu < IPV6_MINIMUM {
            return Err("EINVAL: IPv6 is off".to_owned());
        }
        device.addresses.push(address);
        if device.up {
            self.connect(index, address);
        }
        Ok(())
    }

    fn connect(&mut self, index: u32, address: IpNetwork) {
        let route = connected(index, address);
        if !(self.routes.contains(&route) || address.is_ipv4() && address.prefix() == 32) {
            self.routes.push(route);
        }
    }

    /// The first IPv4 address of a subnet takes the others along, the last one all IPv4 routes.
    pub(in crate::domain::plan) fn remove_address(&mut self, index: u32, address: IpNetwork) {
        let device = self.device(index);
        let Some(at) = device.addresses.iter().position(|now| *now == address) else { return };
        let same = |other: &IpNetwork| connected(0, *other) == connected(0, address);
        let first = !device.addresses[..at].iter().any(same);
        device.addresses.retain(|now| *now != address && !(address.is_ipv4() && first && same(now)));
        let left = device.addresses.clone();
        if !left.iter().any(same) {
            let gone = connected(index, address);
            self.routes.retain(|route| *route != gone);
        }
        if address.is_ipv4() && !left.iter().any(IpNetwork::is_ipv4) {
            self.routes.retain(|route| route.device != Some(index) || route.destination.is_ipv6());
        }
    }

    pub(in crate::domain::plan) fn add_route(&mut self, index: u32, route: &RouteSpec) -> Result<(), Refused> {
        let (destination, metric) = route_identity(route);
        if !self.device(index).up {
            return Err("ENETDOWN".to_owned());
        }
        if self.routes.iter().any(|now| now.destination == destination && now.metric == metric) {
            return Err("EEXIST".to_owned());
        }
        let mut near = self.routes.iter().filter(|now| now.device == Some(index) && now.via.is_none());
        if let Some(via) = route.via
            && !near.any(|now| contains(&now.destination, via))
        {
            return Err(format!("ENETUNREACH: {via} of {:?} {:?}", self.devices[&index], self.routes));
        }
        self.routes.push(PodRoute { destination, via: route.via, metric, device: Some(index) });
        Ok(())
    }

    pub(in crate::domain::plan) fn remove_route(&mut self, index: u32, route: &RouteSpec) {
        let (destination, metric) = route_identity(route);
        let gone = PodRoute { destination, via: route.via, metric, device: Some(index) };
        self.routes.retain(|now| *now != gone);
    }

    pub(super) fn look(&self, carrier: impl Fn(u32) -> bool) -> PodState {
        let links = self.devices.iter().map(|(index, device)| {
            let carrier = carrier(*index);
            let kind = match (&device.kind, &device.peer) {
                (LinkKind::Veth { .. }, Some(Peer::Pod(pod, index))) => {
                    LinkKind::Veth { peer: Some((pod.clone(), *index)) }
                }
                (kind, _) => kind.clone(),
            };
            let link = PodLink {
                index: *index,
                mac: device.mac,
                mtu: device.mtu,
                up: device.up,
                carrier,
                operational: carrier,
                ours: device.ours,
                enslaved: device.enslaved,
                kind,
                altnames: device.altnames.clone(),
                addresses: device.addresses.clone(),
            };
            (device.name.clone(), link)
        });
        PodState {
            sandbox: sandbox(self.number),
            links: links.collect(),
            unreadable: Vec::new(),
            routes: self.routes.clone(),
        }
    }
}

/// The route that comes with an address.
fn connected(index: u32, address: IpNetwork) -> PodRoute {
    let destination = IpNetwork::new(address.network(), address.prefix()).unwrap();
    PodRoute { destination, via: None, metric: if address.is_ipv4() { 0 } else { 256 }, device: Some(index) }
}
