//! Whether a change may be tried at all: limits, permissions, what the kernel can do. Nothing is touched here.

use crate::domain::{
    check,
    edit::EditError,
    impairment::Impairment,
    name::{ElementName, TopologyKey},
    spec::{LinkMode, PodOwner, Target, TopologySpec},
    uplink::{Way, asked},
};

use super::{
    error::ChangeError,
    request::{EngineConfig, Node},
};

/// Refuses what is wrong with a spec by itself or on this node.
pub(super) fn admit(spec: &TopologySpec, config: &EngineConfig, node: &Node) -> Result<(), ChangeError> {
    if let Some((what, subject, limit)) = check::limits(spec) {
        return Err(ChangeError::Limit { what, subject, limit });
    }
    let violations = check::check(spec);
    if !violations.is_empty() {
        return Err(ChangeError::Invalid(violations));
    }
    allowed(spec, config)?;
    supported(spec, node)
}

const SHARED: &str = "start the agent with --node-device for each device that pods may share";

fn allowed(spec: &TopologySpec, config: &EngineConfig) -> Result<(), ChangeError> {
    for (_, interface, path) in spec.interfaces() {
        if matches!(interface.owner, PodOwner::Netns(_)) && !config.allow_netns {
            return Err(ChangeError::NotAllowed {
                field: format!("{path}.netns"),
                what: format!("naming a network namespace (`{}`)", interface.owner),
                remedy: "start the agent with --allow-netns, or name a pod",
            });
        }
    }
    for (_, uplink, path) in asked(spec) {
        if !config.node_devices.contains(&uplink.parent) {
            return Err(ChangeError::NotAllowed {
                field: format!("{path}.parent"),
                what: format!("device `{}`", uplink.parent),
                remedy: SHARED,
            });
        }
    }
    for (i, attachment) in spec.attachments.iter().enumerate() {
        if let Target::Device(device) = &attachment.target
            && !config.node_devices.contains(&device.parent)
        {
            return Err(ChangeError::NotAllowed {
                field: format!("attachments[{i}].device.parent"),
                what: format!("device `{}`", device.parent),
                remedy: SHARED,
            });
        }
    }
    Ok(())
}

fn supported(spec: &TopologySpec, node: &Node) -> Result<(), ChangeError> {
    let stitched = spec.links.iter().find(|link| link.mode == LinkMode::Stitched);
    let device = spec.attachments.iter().find(|a| matches!(a.target, Target::Device(_)));
    let strict =
        spec.interfaces().find(|(_, it, _)| !it.tx_checksum).map(|(id, ..)| format!("`tx_checksum` of `{id}`"));
    let impairments: Vec<_> = impairments(spec).collect();
    let wanted = |has: fn(&Impairment) -> bool| {
        impairments.iter().find(|(_, it)| has(it)).map(|(name, _)| format!("the impairment of `{name}`"))
    };
    let uplinked = spec.attachments.iter().find(|attachment| attachment.target.uplink().is_some());
    let vlan = asked(spec).find(|(_, uplink, _)| matches!(uplink.way, Way::Vlan(_)));
    let vlan = vlan.map(|(name, uplink, _)| format!("{uplink} for `{name}`"));
    let aware = spec.bridges.iter().find(|bridge| bridge.vlan_aware);
    let needs = [
        ("bridge", spec.bridges.first().map(|b| format!("bridge `{}`", b.name))),
        ("veth", spec.links.first().map(|l| format!("link `{}`", l.name))),
        ("mirred", stitched.map(|l| format!("STITCHED link `{}`", l.name))),
        ("mirred", uplinked.map(|a| format!("attachment `{}`", a.name))),
        ("vlan", vlan),
        ("vlan_filtering", aware.map(|b| format!("bridge `{}`, which is `vlan_aware`", b.name))),
        ("netem", wanted(|it| it.netem.is_some())),
        ("tbf", wanted(|it| it.rate.is_some())),
        ("ethtool", strict),
        ("macvlan", device.map(|a| format!("attachment `{}`", a.name))),
    ];
    for (feature, needed_for) in needs {
        let lacking = node.capabilities.iter().find(|c| c.name == feature).and_then(|c| c.missing.as_ref());
        if let (Some(needed_for), Some(reason)) = (needed_for, lacking) {
            return Err(ChangeError::Unsupported { feature: feature.to_owned(), reason: reason.clone(), needed_for });
        }
    }
    Ok(())
}

fn impairments(spec: &TopologySpec) -> impl Iterator<Item = (&ElementName, &Impairment)> {
    let links = spec.links.iter().flat_map(|link| [(&link.name, &link.a_to_b), (&link.name, &link.b_to_a)]);
    links.chain(spec.attachments.iter().map(|attachment| (&attachment.name, &attachment.to_interface)))
}

/// What an edit cannot do, with the topology in which it was tried.
pub(super) fn edit_error(error: EditError, key: &TopologyKey) -> ChangeError {
    let within = |name: &dyn std::fmt::Display| format!("{key}/{name}");
    match error {
        EditError::NotFound { kind, name } => ChangeError::NotFound { kind, name: within(&name) },
        EditError::AlreadyExists { kind, name, fields } => {
            ChangeError::AlreadyExists { kind, name: within(&name), fields }
        }
        EditError::BridgeInUse { bridge, attachments } => ChangeError::BridgeInUse {
            bridge: within(&bridge),
            attachments: attachments.iter().map(ToString::to_string).collect(),
        },
        EditError::Impossible { kind, name, problem } => ChangeError::Impossible { kind, name: within(&name), problem },
    }
}
