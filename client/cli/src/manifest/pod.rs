//! Pods and the networks that they ask for.

use super::{
    findings::Findings,
    node::Node,
    selection::{self, ANNOTATION, Selection},
    source::Place,
};

/// The annotation that replaces the cluster's own network.
const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";

/// A pod with networks.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// Its namespace, if the manifest gives it.
    pub(crate) namespace: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// Where its name stands.
    pub(crate) place: Place,
    /// What it asks for, in order.
    pub(crate) selections: Vec<Selection>,
}

/// Reads a pod. None where it asks for no network.
pub(crate) fn read(object: &Node, findings: &mut Findings<'_>) -> Option<Pod> {
    let metadata = object.get("metadata")?;
    let annotations = metadata.get("annotations")?;
    if let Some(other) = annotations.get(DEFAULT_NETWORK) {
        findings.warn(other.place, format!("annotation `{DEFAULT_NETWORK}` is not honoured"));
    }
    let networks = annotations.get(ANNOTATION)?;
    let Some((name, place)) = metadata.get("name").and_then(|name| Some((name.text()?, name.place))) else {
        findings
            .error(metadata.place, "a pod with networks but without `metadata.name`")
            .hint("podwire plugs pods by name; a `generateName` is known only after the pod is made");
        return None;
    };
    let selections = selection::read(networks, &format!("pod `{name}`"), findings);
    let namespace = metadata.get("namespace").and_then(Node::text).map(ToOwned::to_owned);
    Some(Pod { namespace, name: name.to_owned(), place, selections })
}
