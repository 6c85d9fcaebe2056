//! One change of a topology by a single call.

use super::{
    impairment::Impairment,
    name::ElementName,
    spec::{AttachmentSpec, BridgeSpec, InterfaceSpec, LinkMode, LinkSpec, PodOwner, Target, TopologySpec},
};

/// One change of a topology by a single call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Add a bridge.
    CreateBridge(BridgeSpec),
    /// Remove a bridge.
    DeleteBridge {
        /// Its name.
        name: ElementName,
        /// Remove its attachments too.
        cascade: bool,
    },
    /// Add a link.
    CreateLink(Box<LinkSpec>),
    /// Change a live link; `None`: leave that as it is.
    UpdateLink {
        /// Its name.
        name: ElementName,
        /// Whether the cable is plugged.
        up: Option<bool>,
        /// What happens to frames from `a` to `b`.
        a_to_b: Option<Impairment>,
        /// What happens to frames from `b` to `a`.
        b_to_a: Option<Impairment>,
    },
    /// Remove a link.
    DeleteLink(ElementName),
    /// Add an attachment.
    Attach(AttachmentSpec),
    /// Change a live attachment; `None`: leave that as it is.
    UpdateAttachment {
        /// Its name.
        name: ElementName,
        /// Whether the cable is plugged.
        up: Option<bool>,
        /// What happens to frames from the bridge to the interface.
        to_interface: Option<Impairment>,
    },
    /// Remove an attachment.
    Detach(ElementName),
}

/// Why a change does not fit the topology.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// What shall be changed or plugged into is not there.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// `bridge`, `link` or `attachment`.
        kind: &'static str,
        /// Its name.
        name: ElementName,
    },
    /// An element of that name is there and was asked for differently.
    #[error("{kind} `{name}` exists and differs in: {}", .fields.join(", "))]
    AlreadyExists {
        /// What it is: `bridge`, `link` or `attachment`.
        kind: &'static str,
        /// Its name.
        name: ElementName,
        /// Fields that differ, as the message calls them; `kind` where it is another kind of element.
        fields: Vec<&'static str>,
    },
    /// A bridge that has attachments is to go without them.
    #[error("bridge `{bridge}` has {} attachment(s): detach them or set `cascade`", .attachments.len())]
    BridgeInUse {
        /// The bridge.
        bridge: ElementName,
        /// Its attachments.
        attachments: Vec<ElementName>,
    },
    /// Elements of its kind cannot do that.
    #[error("{kind} `{name}`: {problem}")]
    Impossible {
        /// `link` or `attachment`.
        kind: &'static str,
        /// Its name.
        name: ElementName,
        /// Why, and what to do instead.
        problem: &'static str,
    },
}

const BRIDGE: &str = "bridge";
const LINK: &str = "link";
const ATTACHMENT: &str = "attachment";

/// The spec after a change. `None`: it is as the change wants it already.
///
/// # Errors
///
/// The change does not fit what is there. Whether the changed spec is sound is not looked at: that is
/// [`check`](super::check::check).
pub fn edit(spec: &TopologySpec, edit: &Edit) -> Result<Option<TopologySpec>, EditError> {
    let mut changed = spec.clone();
    match edit {
        Edit::CreateBridge(bridge) => {
            let there = spec.bridges.iter().find(|b| b.name == bridge.name);
            if is_there(spec, &bridge.name, BRIDGE, there.map(|there| bridge_differences(there, bridge)))? {
                return Ok(None);
            }
            changed.bridges.push(bridge.clone());
        }
        Edit::CreateLink(link) => {
            let there = spec.links.iter().find(|l| l.name == link.name);
            if is_there(spec, &link.name, LINK, there.map(|there| link_differences(there, link)))? {
                return Ok(None);
            }
            changed.links.push((**link).clone());
        }
        Edit::Attach(attachment) => {
            let there = spec.attachments.iter().find(|a| a.name == attachment.name);
            let differences = there.map(|there| attachment_differences(there, attachment));
            if is_there(spec, &attachment.name, ATTACHMENT, differences)? {
                return Ok(None);
            }
            if let Target::Bridge(name) = &attachment.target
                && !spec.bridges.iter().any(|bridge| bridge.name == *name)
            {
                return Err(EditError::NotFound { kind: BRIDGE, name: name.clone() });
            }
            changed.attachments.push(attachment.clone());
        }
        Edit::DeleteBridge { name, cascade } => delete_bridge(&mut changed, name, *cascade)?,
        Edit::DeleteLink(name) => changed.links.retain(|link| link.name != *name),
        Edit::Detach(name) => changed.attachments.retain(|attachment| attachment.name != *name),
        Edit::UpdateLink { name, up, a_to_b, b_to_a } => {
            let link = changed.links.iter_mut().find(|link| link.name == *name);
            let link = link.ok_or_else(|| EditError::NotFound { kind: LINK, name: name.clone() })?;
            if up.is_some() && link.mode == LinkMode::Direct {
                let problem = "a link of LINK_MODE_DIRECT has no cable to plug or pull: make it LINK_MODE_STITCHED, or \
                               delete it";
                return Err(EditError::Impossible { kind: LINK, name: name.clone(), problem });
            }
            if (a_to_b.is_some() || b_to_a.is_some()) && link.mode == LinkMode::Direct {
                let problem = "a link of LINK_MODE_DIRECT has nothing between its ends that could impair it: make it \
                               LINK_MODE_STITCHED";
                return Err(EditError::Impossible { kind: LINK, name: name.clone(), problem });
            }
            link.up = up.unwrap_or(link.up);
            link.a_to_b = a_to_b.unwrap_or(link.a_to_b);
            link.b_to_a = b_to_a.unwrap_or(link.b_to_a);
        }
        Edit::UpdateAttachment { name, up, to_interface } => {
            let attachment = changed.attachments.iter_mut().find(|attachment| attachment.name == *name);
            let attachment = attachment.ok_or_else(|| EditError::NotFound { kind: ATTACHMENT, name: name.clone() })?;
            if up.is_some() && matches!(attachment.target, Target::Device(_)) {
                let problem = "an attachment to a device has no cable to plug or pull: detach it instead";
                return Err(EditError::Impossible { kind: ATTACHMENT, name: name.clone(), problem });
            }
            if to_interface.is_some() && matches!(attachment.target, Target::Device(_)) {
                let problem = "an attachment to a device has no port that could impair it: plug it into a bridge";
                return Err(EditError::Impossible { kind: ATTACHMENT, name: name.clone(), problem });
            }
            attachment.up = up.unwrap_or(attachment.up);
            attachment.to_interface = to_interface.unwrap_or(attachment.to_interface);
        }
    }
    Ok((changed != *spec).then_some(changed))
}

fn delete_bridge(spec: &mut TopologySpec, name: &ElementName, cascade: bool) -> Result<(), EditError> {
    let plugged = |attachment: &AttachmentSpec| attachment.target == Target::Bridge(name.clone());
    if !cascade {
        let attachments: Vec<ElementName> =
            spec.attachments.iter().filter(|a| plugged(a)).map(|a| a.name.clone()).collect();
        if !attachments.is_empty() {
            return Err(EditError::BridgeInUse { bridge: name.clone(), attachments });
        }
    }
    spec.bridges.retain(|bridge| bridge.name != *name);
    spec.attachments.retain(|attachment| !plugged(attachment));
    Ok(())
}

/// Whether an element to be made is there already. `differences`: from the one of the same name and kind.
fn is_there(
    spec: &TopologySpec,
    name: &ElementName,
    kind: &'static str,
    differences: Option<Vec<&'static str>>,
) -> Result<bool, EditError> {
    let Some(fields) = differences else {
        return match kind_of(spec, name) {
            None => Ok(false),
            Some(kind) => Err(EditError::AlreadyExists { kind, name: name.clone(), fields: vec!["kind"] }),
        };
    };
    if fields.is_empty() { Ok(true) } else { Err(EditError::AlreadyExists { kind, name: name.clone(), fields }) }
}

fn kind_of(spec: &TopologySpec, name: &ElementName) -> Option<&'static str> {
    if spec.bridges.iter().any(|bridge| bridge.name == *name) {
        Some(BRIDGE)
    } else if spec.links.iter().any(|link| link.name == *name) {
        Some(LINK)
    } else {
        spec.attachments.iter().any(|attachment| attachment.name == *name).then_some(ATTACHMENT)
    }
}

// The comparisons below take the structs apart, so that a new field cannot be forgotten.

fn bridge_differences(there: &BridgeSpec, asked: &BridgeSpec) -> Vec<&'static str> {
    let BridgeSpec {
        name: _,
        mtu,
        mac,
        ipam,
        hairpin,
        isolated,
        l2_profile,
        stp,
        mcast_snooping,
        ageing,
        vlan_aware,
        uplink,
    } = asked;
    only([
        ("mtu", there.mtu != *mtu),
        ("mac", there.mac != *mac),
        ("ipam", there.ipam != *ipam),
        ("hairpin", there.hairpin != *hairpin),
        ("isolated", there.isolated != *isolated),
        ("l2_profile", there.l2_profile != *l2_profile),
        ("stp", there.stp != *stp),
        ("multicast_snooping", there.mcast_snooping != *mcast_snooping),
        ("ageing", there.ageing != *ageing),
        ("vlan_aware", there.vlan_aware != *vlan_aware),
        ("uplink", there.uplink != *uplink),
    ])
}

fn link_differences(there: &LinkSpec, asked: &LinkSpec) -> Vec<&'static str> {
    const A: [&str; 10] = [
        "a.pod",
        "a.netns",
        "a.uid",
        "a.name",
        "a.order",
        "a.mac",
        "a.mtu",
        "a.addresses",
        "a.routes",
        "a.tx_checksum",
    ];
    const B: [&str; 10] = [
        "b.pod",
        "b.netns",
        "b.uid",
        "b.name",
        "b.order",
        "b.mac",
        "b.mtu",
        "b.addresses",
        "b.routes",
        "b.tx_checksum",
    ];
    let LinkSpec { name: _, a, b, mode, up, ipam, a_to_b, b_to_a } = asked;
    let mut fields = interface_differences(&there.a, a, A);
    fields.extend(interface_differences(&there.b, b, B));
    fields.extend(only([
        ("mode", there.mode != *mode),
        ("up", there.up != *up),
        ("ipam", there.ipam != *ipam),
        ("a_to_b", there.a_to_b != *a_to_b),
        ("b_to_a", there.b_to_a != *b_to_a),
    ]));
    fields
}

fn attachment_differences(there: &AttachmentSpec, asked: &AttachmentSpec) -> Vec<&'static str> {
    const INTERFACE: [&str; 10] = [
        "interface.pod",
        "interface.netns",
        "interface.uid",
        "interface.name",
        "interface.order",
        "interface.mac",
        "interface.mtu",
        "interface.addresses",
        "interface.routes",
        "interface.tx_checksum",
    ];
    let AttachmentSpec { name: _, interface, target, hairpin, isolated, flood, mcast_flood, vlan, up, to_interface } =
        asked;
    let mut fields = interface_differences(&there.interface, interface, INTERFACE);
    fields.extend(match (&there.target, target) {
        (Target::Bridge(there), Target::Bridge(asked)) => only([("bridge", there != asked)]),
        (Target::Device(there), Target::Device(asked)) => only([
            ("device.parent", there.parent != asked.parent),
            ("device.mode", there.mode != asked.mode),
            ("device.ipam", there.ipam != asked.ipam),
        ]),
        (Target::Uplink(there), Target::Uplink(asked)) => only([
            ("device.parent", there.uplink.parent != asked.uplink.parent),
            ("device.vlan", there.uplink.way != asked.uplink.way),
            ("device.ipam", there.ipam != asked.ipam),
        ]),
        (Target::Device(_), Target::Uplink(_)) | (Target::Uplink(_), Target::Device(_)) => vec!["device"],
        (Target::Bridge(_), Target::Device(_) | Target::Uplink(_))
        | (Target::Device(_) | Target::Uplink(_), Target::Bridge(_)) => vec!["bridge", "device"],
    });
    fields.extend(only([
        ("hairpin", there.hairpin != *hairpin),
        ("isolated", there.isolated != *isolated),
        ("flood", there.flood != *flood),
        ("multicast_flood", there.mcast_flood != *mcast_flood),
        ("vlan", there.vlan != *vlan),
        ("up", there.up != *up),
        ("to_interface", there.to_interface != *to_interface),
    ]));
    fields
}

fn interface_differences(there: &InterfaceSpec, asked: &InterfaceSpec, names: [&'static str; 10]) -> Vec<&'static str> {
    let InterfaceSpec { owner, uid, name, order, mac, mtu, addresses, routes, tx_checksum } = asked;
    let [pod, netns, of_uid, of_name, of_order, of_mac, of_mtu, of_addresses, of_routes, of_tx_checksum] = names;
    let other_owner = there.owner != *owner;
    let either = |is: fn(&PodOwner) -> bool| is(owner) || is(&there.owner);
    only([
        (pod, other_owner && either(|owner| matches!(owner, PodOwner::Pod(_)))),
        (netns, other_owner && either(|owner| matches!(owner, PodOwner::Netns(_)))),
        (of_uid, there.uid != *uid),
        (of_name, there.name != *name),
        (of_order, there.order != *order),
        (of_mac, there.mac != *mac),
        (of_mtu, there.mtu != *mtu),
        (of_addresses, there.addresses != *addresses),
        (of_routes, there.routes != *routes),
        (of_tx_checksum, there.tx_checksum != *tx_checksum),
    ])
}

/// The names of those that are so.
fn only<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests;
