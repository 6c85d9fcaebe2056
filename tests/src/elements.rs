//! Short ways to say the messages of the API; a test adds what it is about by `..`.

use std::time::Duration;

use podwire_proto::v1::{
    Attachment, Bridge, DirectionStatus, Interface, InterfaceStatus, Ipam, Link, Route, State, Subnet, Topology,
    TopologyStatus, UpdateAttachmentRequest, UpdateLinkRequest, attachment::Target, interface::Owner, link::FarEnd,
};

/// A topology of the namespace `lessons`.
pub fn topology(name: &str) -> Topology {
    Topology { namespace: "lessons".into(), name: name.into(), ..Topology::default() }
}

/// A lease.
pub fn lease(time: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(time).ok()
}

/// A bridge with IPAM of one subnet.
pub fn lan(name: &str, cidr: &str) -> Bridge {
    Bridge { ipam: ipam(cidr), ..bridge(name) }
}

/// A bridge.
pub fn bridge(name: &str) -> Bridge {
    Bridge { name: name.into(), ..Bridge::default() }
}

/// IPAM of one subnet.
pub fn ipam(cidr: &str) -> Option<Ipam> {
    Some(Ipam { subnets: vec![Subnet { cidr: cidr.into(), ..Subnet::default() }], routes: vec![] })
}

/// An interface of a pod. `name` may be empty.
pub fn nic(pod: &str, name: &str) -> Interface {
    Interface { owner: Some(Owner::Pod(pod.into())), name: name.into(), ..Interface::default() }
}

/// An interface with static addresses.
pub fn nic_at(pod: &str, name: &str, addresses: &[&str]) -> Interface {
    Interface { addresses: addresses.iter().map(|&each| each.into()).collect(), ..nic(pod, name) }
}

/// An interface of a network namespace.
pub fn nic_of_netns(netns: &str, name: &str) -> Interface {
    Interface { owner: Some(Owner::Netns(netns.into())), name: name.into(), ..Interface::default() }
}

/// An attachment to a bridge.
pub fn plug(name: &str, interface: Interface, bridge: &str) -> Attachment {
    let target = Some(Target::Bridge(bridge.into()));
    Attachment { name: name.into(), interface: Some(interface), target, ..Attachment::default() }
}

/// A link.
pub fn link(name: &str, a: Interface, b: Interface) -> Link {
    Link { name: name.into(), a: Some(a), far_end: Some(FarEnd::B(b)), ..Link::default() }
}

/// Plugs the cable of a link of the topology `12`, or pulls it.
pub fn cable(link: &str, up: bool) -> UpdateLinkRequest {
    let (namespace, topology) = ("lessons".into(), "12".into());
    UpdateLinkRequest { namespace, topology, name: link.into(), up: Some(up), ..UpdateLinkRequest::default() }
}

/// Plugs the cable of an attachment of the topology `12`, or pulls it.
pub fn attachment_cable(attachment: &str, up: bool) -> UpdateAttachmentRequest {
    let (namespace, topology) = ("lessons".into(), "12".into());
    UpdateAttachmentRequest { namespace, topology, name: attachment.into(), up: Some(up), ..Default::default() }
}

/// A route.
pub fn route(destination: &str, via: &str, metric: u32) -> Route {
    Route { destination: destination.into(), via: via.into(), metric, unless_present: false }
}

/// All interfaces of a topology with the state that the agent saw, as `pod/name`.
pub fn states(topology: &Topology) -> Vec<(String, State)> {
    interfaces(topology)
        .map(|each| {
            let owner = match &each.owner {
                Some(Owner::Pod(name) | Owner::Netns(name)) => name.as_str(),
                None => "",
            };
            let state = each.status.as_ref().map_or(State::Unspecified, InterfaceStatus::state);
            (format!("{owner}/{}", each.name), state)
        })
        .collect()
}

/// All interfaces of a topology: those of links, then those of attachments.
pub fn interfaces(topology: &Topology) -> impl Iterator<Item = &Interface> {
    let of_links = topology.links.iter().flat_map(|link| {
        let b = link.far_end.as_ref().map(|FarEnd::B(b)| b);
        link.a.iter().chain(b)
    });
    of_links.chain(topology.attachments.iter().filter_map(|each| each.interface.as_ref()))
}

/// The state of a topology.
pub fn state(topology: &Topology) -> State {
    topology.status.as_ref().map_or(State::Unspecified, TopologyStatus::state)
}

/// A topology without what another look at the same wires may say: since when, until when, with which indexes, and what
/// has passed.
pub fn timeless(mut topology: Topology) -> Topology {
    if let Some(status) = &mut topology.status {
        (status.since, status.lease_expires) = (None, None);
    }
    let forget = |interface: &mut Interface| {
        if let Some(status) = &mut interface.status {
            *status = InterfaceStatus { since: None, index: 0, sandbox_id: String::new(), ..std::mem::take(status) };
        }
    };
    let reset = |direction: &mut DirectionStatus| direction.counters = None;
    for bridge in &mut topology.bridges {
        bridge.status.iter_mut().for_each(|status| status.since = None);
    }
    for link in &mut topology.links {
        link.status.iter_mut().for_each(|status| status.since = None);
        link.a.iter_mut().for_each(forget);
        link.far_end.iter_mut().for_each(|FarEnd::B(b)| forget(b));
        link.a_to_b_status.iter_mut().chain(&mut link.b_to_a_status).for_each(reset);
    }
    for attachment in &mut topology.attachments {
        attachment.interface.iter_mut().for_each(forget);
        attachment.to_interface_status.iter_mut().chain(&mut attachment.from_interface_status).for_each(reset);
    }
    topology
}
