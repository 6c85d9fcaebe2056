//! Finds the keys of a Kubernetes object that slid out of their section: what is left when a page eats the indentation.

use super::{findings::Findings, node::Node};

/// Keys of a section that the object itself never has.
const SECTIONS: [(&str, &[&str]); 2] = [
    ("metadata", &["name", "namespace", "labels", "annotations", "generateName"]),
    (
        "spec",
        &["containers", "config", "affinity", "initContainers", "nodeName", "nodeSelector", "volumes", "hostNetwork"],
    ),
];

/// Reports each empty section whose keys stand beside it. Returns whether there is one.
pub(crate) fn check(object: &Node, findings: &mut Findings<'_>) -> bool {
    let mut slid = false;
    if !object.entries().iter().any(|(key, _)| key.text == "apiVersion" || key.text == "kind") {
        return slid;
    }
    for (section, keys) in SECTIONS {
        let empty = object.entries().iter().any(|(key, node)| key.text == section && node.is_null());
        let strays: Vec<_> = object.entries().iter().filter(|(key, _)| keys.contains(&key.text.as_str())).collect();
        let (true, Some((first, _))) = (empty, strays.first()) else {
            continue;
        };
        slid = true;
        let names: Vec<_> = strays.iter().map(|(key, _)| format!("`{}`", key.text)).collect();
        let names = names.join(", ");
        let (stand, them) = if strays.len() == 1 { ("stands", "it") } else { ("stand", "them") };
        findings.error(first.place, format!("`{section}` is empty and {names} {stand} at its own level")).hint(
            format!(
                "the indentation is lost: indent {names} and what is below {them} by two spaces, under `{section}:`"
            ),
        );
    }
    slid
}
