//! The annotation `k8s.v1.cni.cncf.io/networks` of a pod, in its three notations.

use super::{
    embedded::{self, Map},
    findings::Findings,
    honour,
    node::{Node, Value},
    source::Place,
};

/// The annotation.
pub(crate) const ANNOTATION: &str = "k8s.v1.cni.cncf.io/networks";

/// A network that a pod asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Selection {
    /// Where it is asked for.
    pub(crate) place: Option<Place>,
    /// Namespace of the definition; absent: the pod's.
    pub(crate) namespace: Option<String>,
    /// Name of the definition.
    pub(crate) name: String,
    /// Name of the interface; absent: `net<n>`.
    pub(crate) interface: Option<String>,
    /// Static addresses, with or without a prefix.
    pub(crate) ips: Vec<(Place, String)>,
    /// MAC address; empty: derived.
    pub(crate) mac: String,
}

/// Reads the annotation of the pod `of`.
pub(crate) fn read(node: &Node, of: &str, findings: &mut Findings<'_>) -> Vec<Selection> {
    let text = node.text().unwrap_or_default();
    if text.trim_start().starts_with(['[', '{']) || node.scalar().is_none() {
        let what = format!("annotation `{ANNOTATION}` of {of}");
        let Some(root) = embedded::json(node, &what, findings) else {
            return Vec::new();
        };
        let items = if root.is_map() { std::slice::from_ref(&root) } else { root.items() };
        return items.iter().filter_map(|item| object(item, of, findings)).collect();
    }
    let Some(scalar) = node.scalar() else {
        return Vec::new();
    };
    let map = Map::new(scalar, findings.text(node.place.source), node.place);
    let mut selections = Vec::new();
    let mut start = 0;
    for item in text.split(',') {
        let place = map.place(start + (item.len() - item.trim_start().len()));
        start += item.len() + 1;
        if !item.trim().is_empty() {
            selections.extend(short(item.trim(), place, of, findings));
        }
    }
    selections
}

/// `namespace/name@interface`.
fn short(text: &str, place: Place, of: &str, findings: &mut Findings<'_>) -> Option<Selection> {
    let (network, interface) = match text.split_once('@') {
        Some((network, interface)) => (network, Some(interface.to_owned())),
        None => (text, None),
    };
    let (namespace, name) = match network.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, network),
    };
    let selection =
        Selection { place: Some(place), namespace, name: name.to_owned(), interface, ..Selection::default() };
    if name.is_empty() || name.contains(['/', '@']) || selection.namespace.as_deref() == Some("") {
        findings
            .error(place, format!("`{text}` in the annotation of {of} is not a network"))
            .hint("write `name`, `namespace/name` or `namespace/name@interface`, separated by commas");
        return None;
    }
    check(&selection, place, of, findings).then_some(selection)
}

/// One object of the JSON list.
fn object(node: &Node, of: &str, findings: &mut Findings<'_>) -> Option<Selection> {
    if !node.is_map() {
        // Multus takes names in the list too.
        let place = node.place;
        if let Some(text) = node.text() {
            return short(text, place, of, findings);
        }
        findings.error(place, format!("a network of {of} is {}, not an object", node.kind()));
        return None;
    }
    honour::only(node, &["name", "namespace", "interface", "ips", "mac"], of, findings);
    let Some(name) = text(node, "name", of, findings).filter(|name| !name.is_empty()) else {
        findings.error(node.place, format!("a network of {of} has no `name`"));
        return None;
    };
    let ips = match node.get("ips") {
        None => Vec::new(),
        Some(ips @ Node { value: Value::List(items), .. }) => {
            let texts: Vec<_> = items.iter().filter_map(|item| Some((item.place, item.text()?.to_owned()))).collect();
            if texts.len() < items.len() {
                findings.error(ips.place, format!("`ips` of {of} are not all texts"));
            }
            texts
        }
        Some(ips) => ips.text().map(|text| (ips.place, text.to_owned())).into_iter().collect(),
    };
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let selection = Selection {
        place: Some(node.place),
        namespace: filled(text(node, "namespace", of, findings)),
        name,
        interface: filled(text(node, "interface", of, findings)),
        ips,
        mac: text(node, "mac", of, findings).unwrap_or_default(),
    };
    let place = node.get("interface").map_or(node.place, |interface| interface.place);
    check(&selection, place, of, findings).then_some(selection)
}

fn text(node: &Node, key: &str, of: &str, findings: &mut Findings<'_>) -> Option<String> {
    let value = node.get(key)?;
    if value.text().is_none() {
        findings.error(value.place, format!("`{key}` of a network of {of} is {}, not a text", value.kind()));
    }
    value.text().map(ToOwned::to_owned)
}

/// Whether the interface has a name that the kernel takes as it is.
fn check(selection: &Selection, place: Place, of: &str, findings: &mut Findings<'_>) -> bool {
    let Some(name) = &selection.interface else {
        return true;
    };
    let bent = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':' | '%');
    let reserved = ["", ".", "..", "lo", "all", "default"].contains(&name.as_str());
    let good = name.len() <= 15 && !name.contains(bent) && !reserved;
    if !good {
        findings
            .error(place, format!("`{name}` of {of} is not a name of an interface"))
            .hint("1 to 15 bytes without `/`, `:`, `%` and white space; not `lo`");
    }
    good
}
