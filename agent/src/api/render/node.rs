//! The node and its named network namespaces.

use podwire_proto::v1;

use crate::{
    api::limits::MESSAGE_BYTES,
    domain::check::{MAX_ELEMENTS, MAX_PORTS_PER_BRIDGE},
    panel::{Capability, NamedNetns, Node},
};

/// What the agent knows of its node.
pub(crate) fn node(node: &Node, max_topologies: usize) -> v1::GetNodeResponse {
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    v1::GetNodeResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        node_name: node.name.clone(),
        kernel: node.kernel.clone(),
        pods: node.pods.to_owned(),
        netns_dir: node.netns_dir.display().to_string(),
        capabilities: node.capabilities.iter().map(capability).collect(),
        node_devices: node.node_devices.clone(),
        limits: Some(v1::Limits {
            message_bytes: number(MESSAGE_BYTES),
            topologies: number(max_topologies),
            elements_per_topology: number(MAX_ELEMENTS),
            attachments_per_bridge: number(MAX_PORTS_PER_BRIDGE),
        }),
        store_problem: node.store_problem.clone().unwrap_or_default(),
    }
}

/// A named network namespace.
pub(crate) fn netns(netns: NamedNetns) -> v1::Netns {
    v1::Netns { name: netns.name, path: netns.path.display().to_string(), owned: netns.owned }
}

fn capability(capability: &Capability) -> v1::Capability {
    v1::Capability {
        name: capability.name.to_owned(),
        available: capability.missing.is_none(),
        reason: capability.missing.clone().unwrap_or_default(),
        used_for: capability.used_for.to_owned(),
    }
}
