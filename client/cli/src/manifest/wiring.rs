//! Definitions and pods to one topology: bridges, and an attachment for each network of each pod.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnetwork::IpNetwork;
use podwire_proto::v1;

use super::{
    Options,
    definition::{Definition, Plugin},
    element::Names,
    findings::Findings,
    pod::Pod,
    segment::Segment,
    selection::Selection,
    source::Place,
};

/// The VLAN of a port of a bridge for which none was asked.
const DEFAULT_VLAN: u32 = 1;

/// Definitions that a hint lists at most.
const LISTED: usize = 10;

/// Wires the pods by the definitions.
pub(crate) fn wire(
    definitions: &[Definition],
    pods: &[Pod],
    options: &Options,
    findings: &mut Findings<'_>,
) -> Option<v1::Topology> {
    let name = options.topology.clone();
    if name.is_none() {
        findings.error(None, "networks and pods make a topology without a name").hint("name it with `--topology NAME`");
    }
    let namespace = namespace(pods, options, findings);
    if pods.is_empty() && !findings.failed() {
        let place = definitions.first().map(|definition| definition.place);
        findings
            .error(place, "no pod asks for a network")
            .hint("give the pods as well: `-f networks.yaml -f pods.yaml`");
    }
    let by_name = index(definitions, findings);
    let mut wiring =
        Wiring { names: Names::default(), trunked: BTreeSet::new(), bridges: Vec::new(), attachments: Vec::new() };
    // Bridges first, in the order of use, so that they get the names that are theirs.
    let asked: Vec<_> = pods
        .iter()
        .flat_map(|pod| pod.selections.iter().enumerate().map(move |(index, selection)| (pod, index, selection)))
        .filter_map(|(pod, index, selection)| {
            let definition = find(&by_name, pod, selection, &namespace, findings)?;
            Some((pod, index, selection, definition))
        })
        .collect();
    wiring.trunked = asked.iter().filter_map(|(.., definition)| trunked(definition)).collect();
    let mut used = BTreeSet::new();
    for (_, _, _, definition) in &asked {
        if used.insert((&definition.namespace, &definition.name)) {
            wiring.bridge(definition, findings);
        }
    }
    let mut taken = BTreeSet::new();
    for (pod, index, selection, definition) in asked {
        let interface = selection.interface.clone().unwrap_or_else(|| format!("net{}", index + 1));
        if !taken.insert((pod.name.clone(), interface.clone())) {
            findings.error(selection.place, format!("pod `{}` gets two interfaces `{interface}`", pod.name));
        }
        wiring.attach(pod, index, interface, selection, definition, findings);
    }
    let bridges = wiring.bridges.into_iter().map(|segment| segment.bridge).collect();
    let attachments = wiring.attachments;
    Some(v1::Topology { namespace, name: name?, bridges, attachments, ..v1::Topology::default() })
}

/// The one namespace of all pods.
fn namespace(pods: &[Pod], options: &Options, findings: &mut Findings<'_>) -> String {
    let fallback = options.namespace.as_deref().unwrap_or("default");
    let of = |pod: &Pod| pod.namespace.clone().unwrap_or_else(|| fallback.to_owned());
    let mut seen = BTreeSet::new();
    let Some(first) = pods.first() else {
        return fallback.to_owned();
    };
    for pod in pods {
        if !seen.insert(pod.name.clone()) {
            findings.error(pod.place, format!("pod `{}` is there twice", pod.name));
        }
        if of(pod) != of(first) {
            findings
                .error(
                    pod.place,
                    format!(
                        "pod `{}` is in namespace `{}`, pod `{}` in `{}`",
                        pod.name,
                        of(pod),
                        first.name,
                        of(first)
                    ),
                )
                .hint("pods of two namespaces never share a topology: apply each namespace by itself");
        }
    }
    if let Some(asked) = options.namespace.as_ref().filter(|asked| **asked != of(first)) {
        let message =
            format!("pod `{}` is in namespace `{}`, not in `{asked}` of `--namespace`", first.name, of(first));
        findings.error(first.place, message);
    }
    of(first)
}

type ByName<'a> = BTreeMap<(&'a str, &'a str), &'a Definition>;

fn index<'a>(definitions: &'a [Definition], findings: &mut Findings<'_>) -> ByName<'a> {
    let mut by_name = ByName::new();
    for definition in definitions {
        if by_name.insert((&definition.namespace, &definition.name), definition).is_some() {
            let message = format!("definition `{}/{}` is there twice", definition.namespace, definition.name);
            findings.error(definition.place, message);
        }
    }
    by_name
}

fn find<'a>(
    by_name: &ByName<'a>,
    pod: &Pod,
    selection: &Selection,
    namespace: &str,
    findings: &mut Findings<'_>,
) -> Option<&'a Definition> {
    let namespace = selection.namespace.as_deref().unwrap_or(namespace);
    let found = by_name.get(&(namespace, selection.name.as_str()));
    if found.is_none() {
        let message =
            format!("pod `{}` asks for `{namespace}/{}`, which no manifest defines", pod.name, selection.name);
        let known: Vec<_> =
            by_name.keys().take(LISTED).map(|(namespace, name)| format!("`{namespace}/{name}`")).collect();
        let problem = findings.error(selection.place, message);
        problem.hint(if known.is_empty() {
            "give the definitions too: `-f networks.yaml -f pods.yaml`".to_owned()
        } else {
            format!("the definitions are {}", known.join(", "))
        });
    }
    found.copied()
}

struct Wiring<'a> {
    names: Names,
    /// Bridges that have a trunk: they tell VLANs apart. On others a VLAN is a LAN of its own.
    trunked: BTreeSet<&'a str>,
    bridges: Vec<Segment<'a>>,
    attachments: Vec<v1::Attachment>,
}

impl<'a> Wiring<'a> {
    /// Makes the bridge of a definition, or sees that it agrees with the one that is there.
    fn bridge(&mut self, definition: &'a Definition, findings: &mut Findings<'_>) {
        let Plugin::Bridge { bridge: value, hairpin, isolated, .. } = &definition.plugin else {
            return;
        };
        let vlan = self.vlan(&definition.plugin);
        if let Some(segment) = self.bridges.iter_mut().find(|it| it.value == *value && it.vlan == vlan) {
            segment.share(definition, findings);
            return;
        }
        let name = if vlan > DEFAULT_VLAN { format!("{value}-vlan{vlan}") } else { value.clone() };
        let name = self.names.claim(&name);
        self.bridges.push(Segment::new(name, (value.clone(), vlan), definition, *hairpin, *isolated));
    }

    /// The VLAN that is the LAN of a definition; 0: its bridge tells them apart.
    fn vlan(&self, plugin: &Plugin) -> u32 {
        match plugin {
            Plugin::Bridge { bridge, vlan, .. } if !self.trunked.contains(bridge.as_str()) => (*vlan).max(DEFAULT_VLAN),
            _ => 0,
        }
    }

    fn attach(
        &mut self,
        pod: &Pod,
        index: usize,
        interface: String,
        selection: &Selection,
        definition: &Definition,
        findings: &mut Findings<'_>,
    ) {
        let addressing = &definition.addressing;
        let name = self.names.claim(&format!("{}-{interface}", pod.name));
        let addresses = if selection.ips.is_empty() {
            addressing.addresses.clone()
        } else {
            addresses(&selection.ips, definition, pod, findings)
        };
        let mut attachment = v1::Attachment {
            name,
            interface: Some(v1::Interface {
                owner: Some(v1::interface::Owner::Pod(pod.name.clone())),
                name: interface,
                order: u32::try_from(index + 1).unwrap_or(u32::MAX),
                mac: selection.mac.clone(),
                addresses,
                routes: addressing.routes.clone(),
                ..v1::Interface::default()
            }),
            ..v1::Attachment::default()
        };
        match &definition.plugin {
            Plugin::Bridge { bridge: value, hairpin, isolated, vlan, trunk, untagged } => {
                let of = self.vlan(&definition.plugin);
                let Some(segment) = self.bridges.iter().find(|it| it.value == *value && it.vlan == of) else {
                    return;
                };
                attachment.hairpin = toggle(*hairpin, segment.bridge.hairpin).into();
                attachment.isolated = toggle(*isolated, segment.bridge.isolated).into();
                attachment.vlan = segment.bridge.vlan_aware.then(|| membership(*vlan, trunk, *untagged));
                attachment.target = Some(v1::attachment::Target::Bridge(segment.bridge.name.clone()));
            }
            Plugin::Macvlan { parent, mode } => {
                if let Some(interface) = &mut attachment.interface {
                    interface.mtu = definition.mtu;
                }
                let ipam = addressing.ipam.clone();
                let device =
                    v1::NodeDevice { parent: parent.clone(), mode: (*mode).into(), ipam, ..Default::default() };
                attachment.target = Some(v1::attachment::Target::Device(device));
            }
        }
        self.attachments.push(attachment);
    }
}

/// The `bridge` of a definition that has a trunk.
fn trunked(definition: &Definition) -> Option<&str> {
    match &definition.plugin {
        Plugin::Bridge { bridge, trunk, .. } if !trunk.is_empty() => Some(bridge),
        _ => None,
    }
}

/// The VLANs of a port as the plugin makes it.
fn membership(vlan: u32, trunk: &[v1::VlanRange], untagged: bool) -> v1::PortVlan {
    if trunk.is_empty() {
        return v1::PortVlan { access: vlan.max(DEFAULT_VLAN), ..v1::PortVlan::default() };
    }
    let default = if untagged { DEFAULT_VLAN } else { 0 };
    let native = if vlan > 0 { vlan } else { default };
    v1::PortVlan { access: 0, trunk: trunk.to_vec(), native }
}

/// The wish of an attachment where the bridge's default differs from it.
fn toggle(wanted: bool, default: bool) -> v1::Toggle {
    match (wanted, default) {
        (true, false) => v1::Toggle::On,
        (false, true) => v1::Toggle::Off,
        _ => v1::Toggle::Unspecified,
    }
}

/// The addresses of the annotation, each with a prefix: its own or that of the subnet that it lies in.
fn addresses(ips: &[(Place, String)], definition: &Definition, pod: &Pod, findings: &mut Findings<'_>) -> Vec<String> {
    let subnets = definition.addressing.ipam.iter().flat_map(|ipam| &ipam.subnets).map(|subnet| subnet.cidr.as_str());
    let known = subnets.chain(definition.addressing.addresses.iter().map(String::as_str));
    let known: Vec<IpNetwork> = known.filter_map(|cidr| cidr.parse().ok()).collect();
    let mut addresses = Vec::new();
    for (place, text) in ips {
        if text.contains('/') && text.parse::<IpNetwork>().is_ok() {
            addresses.push(text.clone());
            continue;
        }
        let Ok(address) = text.parse::<IpAddr>() else {
            findings.error(*place, format!("`{text}` of pod `{}` is not an address", pod.name));
            continue;
        };
        match known.iter().find(|subnet| subnet.contains(address)) {
            Some(subnet) => addresses.push(format!("{address}/{}", subnet.prefix())),
            None => {
                findings
                    .error(*place, format!("no subnet of definition `{}` holds `{address}`", definition.name))
                    .hint("write the address with its prefix length, such as `10.0.0.5/24`");
            }
        }
    }
    addresses
}
