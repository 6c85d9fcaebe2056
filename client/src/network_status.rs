//! The annotation by which other tools learn of a pod's further interfaces.

use std::fmt::Write;

use crate::{Error, client::Client, v1};

/// Name of the annotation: section 5 of the [specification] of the Network Plumbing Working Group.
///
/// [specification]: https://github.com/k8snetworkplumbingwg/multi-net-spec
pub const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

impl Client {
    /// The text that Multus would have written into the annotation [`NETWORK_STATUS`] of a pod, for the interfaces that
    /// podwire has in it: see [`network_status`].
    ///
    /// # Errors
    ///
    /// The agent cannot list the namespace's topologies.
    pub async fn network_status(&self, namespace: &str, pod: &str) -> Result<String, Error> {
        Ok(network_status(&self.list_topologies(Some(namespace)).await?, pod))
    }
}

/// The text that Multus would have written into the annotation [`NETWORK_STATUS`] of a pod: a JSON list with a map for
/// each interface that is there, by index. The keys are those of version 1.3 of the [specification] and of its Go type
/// `NetworkStatus`:
///
/// - `name`: namespace and bridge, link or (of a device of the node) attachment, `lessons/lan1`: what a
///   NetworkAttachmentDefinition is to Multus.
/// - `interface`, `mac`, `mtu` in bytes.
/// - `ips`: addresses without prefix length, as Multus writes them.
/// - `default`: always false. The entry of the cluster's own network is not podwire's to know: whoever writes the
///   annotation keeps it.
/// - `dns`: always empty.
///
/// [specification]: https://github.com/k8snetworkplumbingwg/multi-net-spec
pub fn network_status(topologies: &[v1::Topology], pod: &str) -> String {
    let mut entries: Vec<(u32, String)> = topologies.iter().flat_map(|topology| entries(topology, pod)).collect();
    entries.sort();
    let entries: Vec<String> = entries.into_iter().map(|(_, text)| text).collect();
    // As Multus lays it out.
    format!("[{}]", entries.join(","))
}

/// The entries of one topology with their interface indexes.
fn entries(topology: &v1::Topology, pod: &str) -> Vec<(u32, String)> {
    let ends = topology.links.iter().flat_map(|link| {
        let far_end = link.far_end.as_ref().map(|v1::link::FarEnd::B(b)| b);
        link.a.iter().chain(far_end).map(|end| (link.name.as_str(), end))
    });
    let plugged = topology.attachments.iter().filter_map(|attachment| {
        let name = match &attachment.target {
            Some(v1::attachment::Target::Bridge(bridge)) => bridge,
            Some(v1::attachment::Target::Device(_)) | None => &attachment.name,
        };
        Some((name.as_str(), attachment.interface.as_ref()?))
    });
    let own = |(_, interface): &(&str, &v1::Interface)| matches!(&interface.owner, Some(v1::interface::Owner::Pod(owner)) if owner == pod);
    let there = |(network, interface): (&str, &v1::Interface)| {
        let index = interface.status.as_ref()?.index;
        (index > 0).then(|| (index, entry(&format!("{}/{network}", topology.namespace), interface)))
    };
    ends.chain(plugged).filter(own).filter_map(there).collect()
}

fn entry(network: &str, interface: &v1::Interface) -> String {
    let mut text = format!("{{\n    \"name\": {}", Quoted(network));
    let mut field = |name: &str, value: String| {
        // Writing into a string does not fail.
        let _ = write!(text, ",\n    \"{name}\": {value}");
    };
    field("interface", Quoted(&interface.name).to_string());
    let addresses = interface.status.iter().flat_map(|status| &status.addresses);
    let ips = addresses.map(|cidr| cidr.split('/').next().unwrap_or_default());
    let ips: Vec<String> = ips.map(|ip| format!("        {}", Quoted(ip))).collect();
    if !ips.is_empty() {
        field("ips", format!("[\n{}\n    ]", ips.join(",\n")));
    }
    field("mac", Quoted(&interface.mac).to_string());
    if interface.mtu > 0 {
        field("mtu", interface.mtu.to_string());
    }
    field("default", "false".to_owned());
    field("dns", "{}".to_owned());
    text.push_str("\n}");
    text
}

/// A JSON string.
struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\0'..='\x1f' => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::{Attachment, Bridge, Interface, Link, Topology};

    fn seen(mut interface: v1::Interface, index: u32, addresses: &[&str]) -> v1::Interface {
        let addresses = addresses.iter().map(|&each| each.into()).collect();
        interface.status = Some(v1::InterfaceStatus { index, addresses, ..Default::default() });
        interface
    }

    #[test]
    fn interfaces_stand_by_index_as_multus_lays_them_out() {
        let mut topology: v1::Topology = Topology::new("lessons", "12")
            .bridge(Bridge::new("lan1"))
            .link(Link::new("w1").between(Interface::pod("bb1").name("net\"2"), Interface::pod("bb2").name("net1")))
            .attach(Attachment::new("bb1-lan1").pod("bb1").interface("net1").bridge("lan1"))
            .attach(Attachment::new("bb1-later").pod("bb1").interface("net3").bridge("lan1"))
            .into();
        topology.links[0].a = topology.links[0].a.take().map(|end| seen(end, 7, &[]));
        let first = topology.attachments[0].interface.take().unwrap();
        let first = v1::Interface { mac: "02:00:00:00:00:01".into(), mtu: 1500, ..first };
        topology.attachments[0].interface = Some(seen(first, 3, &["10.0.0.2/24", "fd00::2/64"]));
        let expected = r#"[{
    "name": "lessons/lan1",
    "interface": "net1",
    "ips": [
        "10.0.0.2",
        "fd00::2"
    ],
    "mac": "02:00:00:00:00:01",
    "mtu": 1500,
    "default": false,
    "dns": {}
},{
    "name": "lessons/w1",
    "interface": "net\"2",
    "mac": "",
    "default": false,
    "dns": {}
}]"#;
        assert_eq!(network_status(&[topology], "bb1"), expected);
    }

    #[test]
    fn a_pod_without_interfaces_has_an_empty_list() {
        assert_eq!(network_status(&[], "bb1"), "[]");
    }
}
