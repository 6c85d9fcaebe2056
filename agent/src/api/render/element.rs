//! Bridges, links and attachments.

use std::collections::BTreeMap;

use podwire_proto::v1;

use crate::{
    domain::{
        bridge::L2Profile,
        name::{ElementName, PodName},
        spec::{AttachmentSpec, BridgeSpec, End, InterfaceId, LinkMode, LinkSpec, MacvlanMode, PodOwner, Target},
        status::{InterfaceStatus, State},
        uplink::{UplinkSpec, VlanId, Way},
        vlans::Membership,
    },
    panel::{ChangeError, TopologyView},
};

use super::{
    impairment::{direction, from_interface, impairment},
    interface::{Interfaces, state},
    ipam::ipam,
};

/// One bridge of a topology.
///
/// # Errors
///
/// There is none of that name. So have `link` and `attachment`.
pub(crate) fn bridge(view: &TopologyView, name: &ElementName) -> Result<v1::Bridge, ChangeError> {
    let found = view.intent.spec.bridges.iter().find(|bridge| bridge.name == *name);
    Ok(Elements::of(view).bridge(found.ok_or_else(|| missing("bridge", view, name))?))
}

/// One link of a topology.
pub(crate) fn link(view: &TopologyView, name: &ElementName) -> Result<v1::Link, ChangeError> {
    let found = view.intent.spec.links.iter().find(|link| link.name == *name);
    Ok(Elements::of(view).link(found.ok_or_else(|| missing("link", view, name))?))
}

/// One attachment of a topology.
pub(crate) fn attachment(view: &TopologyView, name: &ElementName) -> Result<v1::Attachment, ChangeError> {
    let found = view.intent.spec.attachments.iter().find(|attachment| attachment.name == *name);
    Ok(Elements::of(view).attachment(found.ok_or_else(|| missing("attachment", view, name))?))
}

/// All bridges of some topologies, by name within each.
pub(crate) fn bridges(views: &[TopologyView]) -> Vec<v1::list_bridges_response::Item> {
    let of = |view: &TopologyView| {
        let (topology, elements) = (view.key().name.to_string(), Elements::of(view));
        let mut specs: Vec<_> = view.intent.spec.bridges.iter().collect();
        specs.sort_by(|x, y| x.name.cmp(&y.name));
        let item =
            |spec| v1::list_bridges_response::Item { topology: topology.clone(), bridge: Some(elements.bridge(spec)) };
        specs.into_iter().map(item).collect::<Vec<_>>()
    };
    views.iter().flat_map(of).collect()
}

/// All links of some topologies, by name within each.
pub(crate) fn links(views: &[TopologyView]) -> Vec<v1::list_links_response::Item> {
    let of = |view: &TopologyView| {
        let (topology, elements) = (view.key().name.to_string(), Elements::of(view));
        let mut specs: Vec<_> = view.intent.spec.links.iter().collect();
        specs.sort_by(|x, y| x.name.cmp(&y.name));
        let item = |spec| v1::list_links_response::Item { topology: topology.clone(), link: Some(elements.link(spec)) };
        specs.into_iter().map(item).collect::<Vec<_>>()
    };
    views.iter().flat_map(of).collect()
}

/// All attachments of some topologies, by name within each; of one pod only, if it is given.
pub(crate) fn attachments(views: &[TopologyView], pod: Option<&PodName>) -> Vec<v1::list_attachments_response::Item> {
    let wanted = |spec: &&AttachmentSpec| {
        pod.is_none_or(|pod| matches!(&spec.interface.owner, PodOwner::Pod(owner) if owner == pod))
    };
    let of = |view: &TopologyView| {
        let (topology, elements) = (view.key().name.to_string(), Elements::of(view));
        let mut specs: Vec<_> = view.intent.spec.attachments.iter().filter(wanted).collect();
        specs.sort_by(|x, y| x.name.cmp(&y.name));
        let item = |spec| v1::list_attachments_response::Item {
            topology: topology.clone(),
            attachment: Some(elements.attachment(spec)),
        };
        specs.into_iter().map(item).collect::<Vec<_>>()
    };
    views.iter().flat_map(of).collect()
}

/// The elements of a topology, ready to be rendered.
pub(super) struct Elements<'a> {
    view: &'a TopologyView,
    interfaces: Interfaces<'a>,
    plugged: BTreeMap<&'a ElementName, Vec<&'a InterfaceStatus>>,
}

impl<'a> Elements<'a> {
    /// Those of a view.
    pub(super) fn of(view: &'a TopologyView) -> Self {
        let interfaces = Interfaces::of(view);
        let mut plugged: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for attachment in &view.intent.spec.attachments {
            if let Target::Bridge(bridge) = &attachment.target {
                let seen = interfaces.seen(&id(&attachment.name, End::Only));
                plugged.entry(bridge).or_default().extend(seen);
            }
        }
        Self { view, interfaces, plugged }
    }

    /// A bridge with its effective values.
    pub(super) fn bridge(&self, spec: &BridgeSpec) -> v1::Bridge {
        // They are sorted by name.
        let devices = &self.view.desired.bridges;
        let device = devices.binary_search_by(|device| device.name.cmp(&spec.name)).ok().map(|at| &devices[at]);
        let parts = self.plugged.get(&spec.name).into_iter().flatten().copied();
        v1::Bridge {
            name: spec.name.to_string(),
            mtu: device.map(|device| device.mtu).or(spec.mtu).unwrap_or_default().bytes(),
            mac: device.map(|device| device.mac).or(spec.mac).map(|mac| mac.to_string()).unwrap_or_default(),
            ipam: spec.ipam.as_ref().map(ipam),
            hairpin: spec.hairpin,
            isolated: spec.isolated,
            l2_profile: match spec.l2_profile {
                L2Profile::Transparent => v1::L2Profile::Transparent,
                L2Profile::Hub => v1::L2Profile::Hub,
                L2Profile::Standard => v1::L2Profile::Standard,
            }
            .into(),
            stp: spec.stp,
            multicast_snooping: spec.mcast_snooping,
            ageing: spec.ageing.map(|seconds| prost_types::Duration { seconds: seconds.into(), nanos: 0 }),
            vlan_aware: spec.vlan_aware,
            uplink: spec.uplink.as_ref().map(|uplink| {
                let (vlan, bridge_port) = way(uplink);
                v1::Uplink { parent: uplink.parent.to_string(), vlan, bridge_port }
            }),
            status: Some(self.worst(parts.chain(self.interfaces.seen(&id(&spec.name, End::Only))))),
        }
    }

    /// A link with its effective values.
    pub(super) fn link(&self, spec: &LinkSpec) -> v1::Link {
        let (a, b) = (id(&spec.name, End::A), id(&spec.name, End::B));
        let ports = &self.view.ports;
        let parts = [&a, &b].into_iter().filter_map(|id| self.interfaces.seen(id));
        v1::Link {
            name: spec.name.to_string(),
            mode: match spec.mode {
                LinkMode::Stitched => v1::LinkMode::Stitched,
                LinkMode::Direct => v1::LinkMode::Direct,
            }
            .into(),
            up: toggle(Some(spec.up)).into(),
            ipam: spec.ipam.as_ref().map(ipam),
            status: Some(self.worst(parts)),
            a: Some(self.interfaces.render(&a, &spec.a)),
            far_end: Some(v1::link::FarEnd::B(self.interfaces.render(&b, &spec.b))),
            a_to_b: impairment(&spec.a_to_b),
            b_to_a: impairment(&spec.b_to_a),
            a_to_b_status: direction(ports.get(&a), ports.get(&b)),
            b_to_a_status: direction(ports.get(&b), ports.get(&a)),
        }
    }

    /// An attachment with its effective values.
    pub(super) fn attachment(&self, spec: &AttachmentSpec) -> v1::Attachment {
        let target = match &spec.target {
            Target::Bridge(name) => v1::attachment::Target::Bridge(name.to_string()),
            Target::Device(device) => v1::attachment::Target::Device(v1::NodeDevice {
                parent: device.parent.to_string(),
                mode: match device.mode {
                    MacvlanMode::Bridge => v1::MacvlanMode::Bridge,
                    MacvlanMode::Private => v1::MacvlanMode::Private,
                    MacvlanMode::Vepa => v1::MacvlanMode::Vepa,
                }
                .into(),
                ipam: device.ipam.as_ref().map(ipam),
                vlan: None,
                bridge_port: false,
            }),
            Target::Uplink(target) => {
                let (vlan, bridge_port) = way(&target.uplink);
                v1::attachment::Target::Device(v1::NodeDevice {
                    parent: target.uplink.parent.to_string(),
                    mode: v1::MacvlanMode::Unspecified.into(),
                    ipam: target.ipam.as_ref().map(ipam),
                    vlan,
                    bridge_port,
                })
            }
        };
        let port = self.view.ports.get(&id(&spec.name, End::Only));
        v1::Attachment {
            name: spec.name.to_string(),
            interface: Some(self.interfaces.render(&id(&spec.name, End::Only), &spec.interface)),
            target: Some(target),
            hairpin: toggle(spec.hairpin).into(),
            isolated: toggle(spec.isolated).into(),
            flood: toggle(spec.flood).into(),
            multicast_flood: toggle(spec.mcast_flood).into(),
            vlan: spec.vlan.as_ref().map(membership),
            up: toggle(Some(spec.up)).into(),
            to_interface: impairment(&spec.to_interface),
            to_interface_status: direction(None, port),
            from_interface_status: port.map(from_interface),
        }
    }

    /// The worst of some interfaces; that of the topology as a whole where there are none. It is in that state since the
    /// first of the worst came into it, and READY since the last of all did.
    fn worst(&self, parts: impl Iterator<Item = &'a InterfaceStatus>) -> v1::Status {
        let parts: Vec<_> = parts.collect();
        if let (true, Some((whole, reason))) = (parts.is_empty(), &self.view.trouble) {
            return v1::Status {
                state: state(*whole).into(),
                reason: reason.clone(),
                since: Some(self.view.since.into()),
            };
        }
        let worst = parts.iter().map(|part| part.state).max().unwrap_or(State::Ready);
        let those = || parts.iter().filter(|part| part.state == worst);
        let since = those().map(|part| part.since);
        let since = if worst == State::Ready { since.max() } else { since.min() };
        v1::Status {
            state: state(worst).into(),
            reason: those().map(|part| part.reason.clone()).next().unwrap_or_default(),
            since: Some(since.unwrap_or(self.view.since).into()),
        }
    }
}

fn id(element: &ElementName, end: End) -> InterfaceId {
    InterfaceId { element: element.clone(), end }
}

fn membership(vlan: &Membership) -> v1::PortVlan {
    let number = |vlan: VlanId| u32::from(vlan.number());
    match vlan {
        Membership::Access(vlan) => v1::PortVlan { access: number(*vlan), ..v1::PortVlan::default() },
        Membership::Trunk { tagged, native } => {
            let range = |(first, last): &(VlanId, VlanId)| v1::VlanRange { first: number(*first), last: number(*last) };
            let trunk = tagged.iter().map(range).collect();
            v1::PortVlan { access: 0, trunk, native: native.map(number).unwrap_or_default() }
        }
    }
}

/// `vlan` and `bridge_port` of an uplink.
fn way(uplink: &UplinkSpec) -> (Option<u32>, bool) {
    match uplink.way {
        Way::Vlan(vlan) => (Some(vlan.number().into()), false),
        Way::BridgePort => (None, true),
    }
}

fn toggle(on: Option<bool>) -> v1::Toggle {
    match on {
        None => v1::Toggle::Unspecified,
        Some(true) => v1::Toggle::On,
        Some(false) => v1::Toggle::Off,
    }
}

fn missing(kind: &'static str, view: &TopologyView, name: &ElementName) -> ChangeError {
    ChangeError::NotFound { kind, name: format!("{}/{name}", view.key()) }
}
