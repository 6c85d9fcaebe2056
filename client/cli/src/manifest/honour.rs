//! Warns of what a manifest asks for and podwire does not do.

use super::{findings::Findings, node::Node};

/// Why some keys of a CNI configuration are not honoured.
const REASONS: [(&str, &str); 7] = [
    ("isGateway", "no bridge of podwire has an address on the node: nobody answers at the gateway's address"),
    ("isDefaultGateway", "no bridge of podwire has an address on the node, and the pod keeps its default route"),
    ("ipMasq", "no frame of a topology leaves it, so there is nothing to masquerade"),
    ("promiscMode", "a bridge needs no promiscuous mode to forward every frame"),
    ("forceAddress", "no bridge of podwire has an address on the node"),
    ("dns", "podwire does not write resolv.conf"),
    ("capabilities", "what the runtime would pass comes from the annotation only"),
];

/// Warns of each key of a mapping that asks for something and is not among the `known` ones. `of` names the mapping's owner.
pub(crate) fn only(node: &Node, known: &[&str], of: &str, findings: &mut Findings<'_>) {
    for (key, value) in node.entries() {
        if known.contains(&key.text.as_str()) || value.is_void() {
            continue;
        }
        let problem = findings.warn(key.place, format!("`{}` of {of} is not honoured", key.text));
        if let Some((_, reason)) = REASONS.iter().find(|(name, _)| *name == key.text) {
            problem.hint(*reason);
        }
    }
}
