//! An Antidote lesson definition: devices and the connections between them.

use std::collections::BTreeMap;

use ipnetwork::IpNetwork;
use podwire_proto::v1;

use super::{
    Options,
    element::{self, Names},
    findings::Findings,
    node::Node,
};

/// Reads a lesson: each connection is a link, the n-th connection of an endpoint is its `net<n>`.
pub(crate) fn read(document: &Node, options: &Options, findings: &mut Findings<'_>) -> Option<v1::Topology> {
    let name = name(document, options, findings)?;
    let mut interfaces = BTreeMap::new();
    for endpoint in list(document, "endpoints", findings) {
        match endpoint.get("name").and_then(Node::text) {
            Some(name) if interfaces.contains_key(name) => {
                findings.error(endpoint.place, format!("endpoint `{name}` is there twice"));
            }
            Some(name) => {
                interfaces.insert(name.to_owned(), 0);
            }
            None => {
                findings.error(endpoint.place, "an endpoint without `name`");
            }
        }
    }
    let mut names = Names::default();
    let connections = list(document, "connections", findings);
    let links: Vec<_> =
        connections.iter().filter_map(|connection| link(connection, &mut interfaces, &mut names, findings)).collect();
    if connections.is_empty() {
        findings.warn(document.place, format!("lesson `{name}` has no connections: its topology is empty"));
    }
    Some(v1::Topology { name, links, ..v1::Topology::default() })
}

fn name(document: &Node, options: &Options, findings: &mut Findings<'_>) -> Option<String> {
    if let Some(name) = &options.topology {
        return Some(name.clone());
    }
    let Some(slug) = document.get("slug") else {
        findings.error(document.place, "the lesson has no `slug`").hint("name its topology with `--topology NAME`");
        return None;
    };
    let text = slug.text().unwrap_or_default();
    if !element::is_valid(text) {
        findings
            .error(slug.place, format!("slug `{text}` is not a name of a topology: 1 to 63 of a-z, 0-9 and `-`"))
            .hint(format!("name its topology with `--topology {}`", element::valid(text)));
        return None;
    }
    Some(text.to_owned())
}

fn list<'a>(document: &'a Node, key: &str, findings: &mut Findings<'_>) -> &'a [Node] {
    let Some(node) = document.get(key) else {
        return &[];
    };
    if !matches!(node.value, super::node::Value::List(_)) {
        findings.error(node.place, format!("`{key}` is {}, not a list", node.kind()));
    }
    node.items()
}

fn link(
    connection: &Node,
    interfaces: &mut BTreeMap<String, u32>,
    names: &mut Names,
    findings: &mut Findings<'_>,
) -> Option<v1::Link> {
    for (key, value) in connection.entries() {
        if !["a", "b", "subnet"].contains(&key.text.as_str()) && !value.is_void() {
            findings.warn(key.place, format!("`{}` of a connection is not honoured", key.text));
        }
    }
    let (a, b) = (end(connection, "a", interfaces, findings), end(connection, "b", interfaces, findings));
    let ipam = connection.get("subnet").filter(|subnet| !subnet.is_void()).map(|subnet| ipam(subnet, findings));
    let (a, b) = (a?, b?);
    if a == b {
        findings.error(connection.place, format!("endpoint `{a}` is connected to itself"));
        return None;
    }
    let mut interface = |pod: &str| {
        let number = interfaces.get_mut(pod)?;
        *number += 1;
        let owner = Some(v1::interface::Owner::Pod(pod.to_owned()));
        Some(v1::Interface { owner, name: format!("net{number}"), order: *number, ..v1::Interface::default() })
    };
    Some(v1::Link {
        name: names.claim(&format!("{a}-{b}")),
        a: interface(&a),
        far_end: interface(&b).map(v1::link::FarEnd::B),
        mode: v1::LinkMode::Stitched.into(),
        ipam: ipam.flatten(),
        ..v1::Link::default()
    })
}

fn end(connection: &Node, key: &str, known: &BTreeMap<String, u32>, findings: &mut Findings<'_>) -> Option<String> {
    let Some(node) = connection.get(key) else {
        findings.error(connection.place, format!("a connection without `{key}`"));
        return None;
    };
    let name = node.text().unwrap_or_default();
    if known.contains_key(name) {
        return Some(name.to_owned());
    }
    let names: Vec<_> = known.keys().take(10).map(|name| format!("`{name}`")).collect();
    findings.error(node.place, format!("no endpoint `{name}`")).hint(format!("the endpoints are {}", names.join(", ")));
    None
}

fn ipam(node: &Node, findings: &mut Findings<'_>) -> Option<v1::Ipam> {
    let text = node.text().unwrap_or_default();
    match text.parse::<IpNetwork>() {
        Ok(network) if text.contains('/') && network.ip() == network.network() => {
            let subnet = v1::Subnet { cidr: text.to_owned(), ..v1::Subnet::default() };
            Some(v1::Ipam { subnets: vec![subnet], routes: Vec::new() })
        }
        Ok(network) if text.contains('/') => {
            findings.error(node.place, format!("subnet `{text}` has host bits")).hint(format!(
                "write `{}/{}`",
                network.network(),
                network.prefix()
            ));
            None
        }
        _ => {
            findings.error(node.place, format!("subnet `{text}` is not a CIDR such as `10.31.0.0/24`"));
            None
        }
    }
}
