//! NetworkAttachmentDefinitions: a CNI configuration under a name.

use podwire_proto::v1;

use super::{
    embedded,
    findings::Findings,
    honour,
    ipam::{self, Addressing},
    node::{Node, Value},
    source::Place,
};

/// What the `bridge` plugin calls a bridge without a name.
const DEFAULT_BRIDGE: &str = "cni0";

/// A network that pods ask for by name.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its configuration in the manifest.
    pub(crate) place: Place,
    /// What its interfaces are plugged into.
    pub(crate) plugin: Plugin,
    /// MTU of its interfaces; 0: not given.
    pub(crate) mtu: u32,
    /// How its interfaces get their addresses.
    pub(crate) addressing: Addressing,
}

/// What the interfaces of a definition are plugged into.
#[derive(Clone, Debug)]
pub(crate) enum Plugin {
    /// A bridge.
    Bridge {
        /// The definition's `bridge`.
        bridge: String,
        /// A frame may leave by the port it came in.
        hairpin: bool,
        /// Its ports do not reach each other.
        isolated: bool,
        /// The VLAN whose frames have no tag; 0: the bridge's default one.
        vlan: u32,
        /// VLANs whose frames have tags.
        trunk: Vec<v1::VlanRange>,
        /// Frames without a tag stay in the default VLAN.
        untagged: bool,
    },
    /// A device of the node.
    Macvlan {
        /// The device.
        parent: String,
        /// Its mode.
        mode: v1::MacvlanMode,
    },
}

/// Reads a definition. `namespace` is that of one without.
pub(crate) fn read(object: &Node, namespace: &str, findings: &mut Findings<'_>) -> Option<Definition> {
    let metadata = object.get("metadata");
    let Some(name) = metadata.and_then(|metadata| metadata.get("name")).and_then(Node::text) else {
        findings.error(object.place, "a NetworkAttachmentDefinition without `metadata.name`");
        return None;
    };
    let of = format!("definition `{name}`");
    let namespace = metadata.and_then(|metadata| metadata.get("namespace")).and_then(Node::text).unwrap_or(namespace);
    let Some(config) = object.get("spec").and_then(|spec| spec.get("config")) else {
        findings
            .error(object.place, format!("{of} has no `spec.config`"))
            .hint("a configuration in the node's CNI directory cannot be seen from here: write it into `spec.config`");
        return None;
    };
    let place = config.place;
    let config = embedded::json(config, &format!("`spec.config` of {of}"), findings)?;
    let config = plugin(&config, &of, findings)?;
    let known = ["name", "cniVersion", "cniVersions", "type", "plugin", "delegate", "ipam", "mtu", "disableCheck"];
    delegate(config, &of, findings);
    let plugin = match config.get("type").and_then(Node::text) {
        Some("bridge") => bridge(config, &known, &of, findings)?,
        _ => macvlan(config, &known, &of, findings)?,
    };
    let addressing = ipam::read(config.get("ipam"), &of, findings);
    let mtu = mtu(config, &of, findings);
    Some(Definition { namespace: namespace.to_owned(), name: name.to_owned(), place, plugin, mtu, addressing })
}

/// The configuration of the one plugin that makes the interface, out of a list of plugins.
fn plugin<'a>(config: &'a Node, of: &str, findings: &mut Findings<'_>) -> Option<&'a Node> {
    let supported = |node: &Node| matches!(node.get("type").and_then(Node::text), Some("bridge" | "macvlan"));
    if !config.is_map() {
        findings.error(config.place, format!("`spec.config` of {of} is {}, not an object", config.kind()));
        return None;
    }
    let Some(plugins) = config.get("plugins") else {
        if supported(config) {
            return Some(config);
        }
        let node = config.get("type");
        let name = node.and_then(Node::text).unwrap_or_default();
        findings
            .error(
                node.map_or(config.place, |node| node.place),
                format!("plugin type `{name}` of {of} is not one of `bridge`, `macvlan`"),
            )
            .hint(
                "podwire makes bridges and macvlan interfaces; wires between two pods are links of a topology document",
            );
        return None;
    };
    honour::only(config, &["name", "cniVersion", "cniVersions", "plugins", "disableCheck"], of, findings);
    let Some(main) = plugins.items().iter().find(|plugin| supported(plugin)) else {
        findings.error(plugins.place, format!("no plugin of {of} is a `bridge` or a `macvlan`"));
        return None;
    };
    for other in plugins.items().iter().filter(|other| !std::ptr::eq(*other, main)) {
        let name = other.get("type").and_then(Node::text).unwrap_or_default();
        findings.warn(other.place, format!("plugin `{name}` of {of} is not honoured"));
    }
    Some(main)
}

/// Multus' `delegate` says again what the configuration says; anything else in it has no effect.
fn delegate(config: &Node, of: &str, findings: &mut Findings<'_>) {
    for (key, value) in config.get("delegate").map_or(&[][..], Node::entries) {
        let again = config.get(&key.text).is_some_and(|own| own.text().is_some() && own.text() == value.text());
        if !again && !value.is_void() {
            findings.warn(key.place, format!("`delegate.{}` of {of} is not honoured", key.text));
        }
    }
}

fn bridge(config: &Node, known: &[&str], of: &str, findings: &mut Findings<'_>) -> Option<Plugin> {
    let own = ["bridge", "hairpinMode", "isolated", "portIsolation", "vlan", "vlanTrunk", "preserveDefaultVlan"];
    let known = [known, &own].concat();
    honour::only(config, &known, of, findings);
    let bridge = match config.get("bridge") {
        Some(node) => node.text(),
        None => Some(DEFAULT_BRIDGE),
    };
    let Some(bridge) = bridge.filter(|bridge| !bridge.is_empty()) else {
        findings.error(config.place, format!("`bridge` of {of} is not a name"));
        return None;
    };
    let isolated = flag(config, "isolated", of, findings) || flag(config, "portIsolation", of, findings);
    Some(Plugin::Bridge {
        bridge: bridge.to_owned(),
        hairpin: flag(config, "hairpinMode", of, findings),
        isolated,
        vlan: config.get("vlan").filter(|node| !node.is_void()).map_or(0, |node| vlan(node, 0, "vlan", of, findings)),
        trunk: trunk(config, of, findings),
        // As the plugin has it.
        untagged: config.get("preserveDefaultVlan").is_none_or(|_| flag(config, "preserveDefaultVlan", of, findings)),
    })
}

/// The id of a VLAN, `least` to 4094.
fn vlan(node: &Node, least: u32, key: &str, of: &str, findings: &mut Findings<'_>) -> u32 {
    let id = node.integer().and_then(|id| u32::try_from(id).ok()).filter(|id| (least..=4094).contains(id));
    id.unwrap_or_else(|| {
        findings.error(node.place, format!("`{key}` of {of} is not a VLAN id: {least} to 4094 are"));
        least
    })
}

/// `vlanTrunk`: a list of `{minID, maxID}` and of `{id}`.
fn trunk(config: &Node, of: &str, findings: &mut Findings<'_>) -> Vec<v1::VlanRange> {
    let mut ranges = Vec::new();
    for item in config.get("vlanTrunk").map_or(&[][..], Node::items) {
        let mut id = |key: &str| item.get(key).map(|node| vlan(node, 1, &format!("vlanTrunk.{key}"), of, findings));
        match (id("id"), id("minID"), id("maxID")) {
            (Some(id), None, None) => ranges.push(v1::VlanRange { first: id, last: 0 }),
            (None, Some(first), Some(last)) if first <= last => ranges.push(v1::VlanRange { first, last }),
            _ => {
                findings.error(
                    item.place,
                    format!("an item of `vlanTrunk` of {of} is neither `id` nor `minID` to `maxID`"),
                );
            }
        }
    }
    ranges
}

fn macvlan(config: &Node, known: &[&str], of: &str, findings: &mut Findings<'_>) -> Option<Plugin> {
    honour::only(config, &[known, &["master", "mode"]].concat(), of, findings);
    let mode = config.get("mode");
    let place = mode.map_or(config.place, |mode| mode.place);
    let mode = match mode.map(|mode| mode.text().unwrap_or_default()) {
        None | Some("bridge" | "") => v1::MacvlanMode::Bridge,
        Some("private") => v1::MacvlanMode::Private,
        Some("vepa") => v1::MacvlanMode::Vepa,
        Some("passthru") => {
            findings.error(place, format!("macvlan mode `passthru` of {of} is not supported")).hint(
                "a pod in it changes the MAC address of the node's own device; use `bridge`, `private` or `vepa`",
            );
            return None;
        }
        Some(other) => {
            findings.error(place, format!("macvlan mode `{other}` of {of} is not one of `bridge`, `private`, `vepa`"));
            return None;
        }
    };
    let Some(parent) = config.get("master").and_then(Node::text).filter(|parent| !parent.is_empty()) else {
        findings
            .error(config.place, format!("{of} has no `master`"))
            .hint("name the device of the node: podwire does not guess the one of the default route");
        return None;
    };
    Some(Plugin::Macvlan { parent: parent.to_owned(), mode })
}

fn flag(config: &Node, key: &str, of: &str, findings: &mut Findings<'_>) -> bool {
    let Some(node) = config.get(key) else {
        return false;
    };
    node.boolean().unwrap_or_else(|| {
        findings.error(node.place, format!("`{key}` of {of} is {}, not `true` or `false`", node.kind()));
        false
    })
}

fn mtu(config: &Node, of: &str, findings: &mut Findings<'_>) -> u32 {
    let Some(node) = config.get("mtu") else {
        return 0;
    };
    let mtu = node.integer().and_then(|mtu| u32::try_from(mtu).ok());
    mtu.filter(|mtu| *mtu <= 65535 && !matches!(node.value, Value::List(_))).unwrap_or_else(|| {
        findings.error(node.place, format!("`mtu` of {of} is not a number of bytes up to 65535"));
        0
    })
}
