//! The panel of a topology as text: what `brctl show` and `ip addr` say, in one look.

use podwire_proto::v1;

use crate::{
    state,
    table::Table,
    words::{columns, wrapped},
};

pub(crate) mod impairment;
#[cfg(test)]
mod tests;

/// Text is not broken into shorter lines than this.
const LEAST: usize = 20;

/// A topology: its wires, what is plugged into them, and why something is not READY.
pub(crate) fn panel(topology: &v1::Topology, width: Option<u16>) -> String {
    let room = width.map_or(usize::MAX, usize::from);
    let mut text = heading(topology, room);
    let mut wires = Wires::new();
    for bridge in &topology.bridges {
        wires.bridge(bridge, topology);
    }
    for link in &topology.links {
        wires.link(link);
    }
    wires.devices(topology);
    if wires.any {
        text.push_str("\n\n");
        text.push_str(&wires.table.render(width));
    }
    let impaired = wires.impaired;
    for (title, lines) in [
        ("impaired:", &impaired),
        ("not READY:", &wires.reasons),
        ("routes left out, the pod has its own:", &wires.skipped),
    ] {
        if !lines.is_empty() {
            text.push_str("\n\n");
            text.push_str(title);
            for line in lines {
                // What does not fit goes on below, further in.
                let pieces = wrapped(line, room.saturating_sub(4).max(LEAST));
                for (index, piece) in pieces.iter().enumerate() {
                    text.extend([if index == 0 { "\n  " } else { "\n    " }, piece]);
                }
            }
        }
    }
    text
}

/// Routes of a topology that were left out, one sentence each.
pub(crate) fn skipped_routes(topology: &v1::Topology) -> Vec<String> {
    let mut skipped = Vec::new();
    for interface in interfaces(topology) {
        for route in interface.status.iter().flat_map(|status| &status.skipped_routes) {
            skipped.push(format!("{}: route {} is left out: the pod has its own", name(interface), describe(route)));
        }
    }
    skipped
}

/// All interfaces of a topology.
pub(crate) fn interfaces(topology: &v1::Topology) -> impl Iterator<Item = &v1::Interface> {
    let links = topology.links.iter().flat_map(|link| link.a.iter().chain(far(link)));
    topology.attachments.iter().filter_map(|attachment| attachment.interface.as_ref()).chain(links)
}

/// `bb1/net1`.
pub(crate) fn name(interface: &v1::Interface) -> String {
    let name = if interface.name.is_empty() { "?" } else { &interface.name };
    format!("{}/{name}", owner(interface))
}

/// Whose interface it is: `bb1`, `netns lab1`.
pub(crate) fn owner(interface: &v1::Interface) -> String {
    match &interface.owner {
        Some(v1::interface::Owner::Pod(pod)) => pod.clone(),
        Some(v1::interface::Owner::Netns(netns)) => format!("netns {netns}"),
        None => String::new(),
    }
}

/// What happens to frames of a direction, in words, as the kernel has it where it has. Empty: nothing.
pub(crate) fn impaired(seen: Option<&v1::DirectionStatus>, asked: Option<&v1::Impairment>) -> String {
    let it = seen.and_then(|seen| seen.impairment.as_ref()).or(asked);
    it.map(impairment::describe).unwrap_or_default()
}

/// The other end of a link.
pub(crate) fn far(link: &v1::Link) -> Option<&v1::Interface> {
    match &link.far_end {
        Some(v1::link::FarEnd::B(interface)) => Some(interface),
        None => None,
    }
}

/// The subnets of an IPAM, one on each line.
pub(crate) fn subnets(ipam: Option<&v1::Ipam>) -> String {
    let subnets: Vec<_> = ipam.iter().flat_map(|ipam| &ipam.subnets).map(|subnet| subnet.cidr.as_str()).collect();
    subnets.join("\n")
}

/// The addresses that an interface has, else those that it was asked to have.
pub(crate) fn addresses(interface: &v1::Interface) -> String {
    let given = interface.status.as_ref().map(|status| &status.addresses).filter(|given| !given.is_empty());
    given.unwrap_or(&interface.addresses).join("\n")
}

/// A number; nothing for 0.
pub(crate) fn number(number: u32) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

fn heading(topology: &v1::Topology, room: usize) -> String {
    let mut first = format!("topology {}/{}", topology.namespace, topology.name);
    let mut second = Vec::new();
    if let Some(status) = &topology.status {
        first.extend([format!("  {}", state::word(status.state))]);
        first.extend([format!("  {} of {} interfaces", status.interfaces_ready, status.interfaces)]);
        if !status.panel.is_empty() {
            second.push(format!("panel {}", status.panel));
        }
        if !state::owner(status.owner).is_empty() {
            second.push(format!("owned by {}", state::owner(status.owner)));
        }
        if let Some(left) = state::until(status.lease_expires.as_ref()) {
            second.push(format!("lease ends in {left}"));
        }
    }
    if topology.generation > 0 {
        second.push(format!("generation {}", topology.generation));
    }
    let second = second.join("  ");
    let fits = columns(&first).max(columns(&second)) <= room;
    let lines: Vec<_> = [first, second].into_iter().filter(|line| !line.is_empty()).collect();
    if fits {
        return lines.join("\n");
    }
    lines.iter().flat_map(|line| wrapped(line, room.max(LEAST))).collect::<Vec<_>>().join("\n")
}

/// The table of a panel while it grows.
struct Wires {
    table: Table,
    reasons: Vec<String>,
    skipped: Vec<String>,
    impaired: Vec<String>,
    any: bool,
}

impl Wires {
    fn new() -> Self {
        let table = Table::new(["WIRE", "ADDRESSES", "MAC", "MTU", "CARRIER", "STATE"]).spare(["MAC", "MTU"]);
        Self { table, reasons: Vec::new(), skipped: Vec::new(), impaired: Vec::new(), any: false }
    }

    fn bridge(&mut self, bridge: &v1::Bridge, topology: &v1::Topology) {
        let status = bridge.status.as_ref();
        let subnets = subnets(bridge.ipam.as_ref());
        self.wire(format!("bridge {}{}", bridge.name, uplink(bridge)), subnets, bridge.mac.clone(), bridge.mtu, status);
        let plugged: Vec<_> =
            topology.attachments.iter().filter(|attachment| bridge_of(attachment) == Some(&bridge.name)).collect();
        let told = self.reasons.len();
        self.ports(&plugged);
        self.own(&format!("bridge {}", bridge.name), status, told);
    }

    fn link(&mut self, link: &v1::Link) {
        let direct = if link.mode == i32::from(v1::LinkMode::Direct) { " direct" } else { "" };
        let subnets = subnets(link.ipam.as_ref());
        self.wire(format!("link {}{direct}", link.name), subnets, String::new(), 0, link.status.as_ref());
        let ends: Vec<_> = link.a.iter().chain(far(link)).collect();
        if let [a, b] = ends.as_slice() {
            let (a, b) = (name(a), name(b));
            self.impair(&format!("{a} to {b}"), link.a_to_b_status.as_ref(), link.a_to_b.as_ref());
            self.impair(&format!("{b} to {a}"), link.b_to_a_status.as_ref(), link.b_to_a.as_ref());
        }
        let told = self.reasons.len();
        for (index, end) in ends.iter().enumerate() {
            self.end(end, pulled(link.up), index + 1 == ends.len());
        }
        self.own(&format!("link {}", link.name), link.status.as_ref(), told);
    }

    fn devices(&mut self, topology: &v1::Topology) {
        let mut parents: Vec<String> = Vec::new();
        for attachment in &topology.attachments {
            if let Some(parent) = device(attachment).filter(|parent| !parents.contains(parent)) {
                parents.push(parent);
            }
        }
        for wanted in parents {
            self.wire(wanted.clone(), String::new(), String::new(), 0, None);
            let plugged: Vec<_> =
                topology.attachments.iter().filter(|attachment| device(attachment).as_ref() == Some(&wanted)).collect();
            self.ports(&plugged);
        }
    }

    fn ports(&mut self, attachments: &[&v1::Attachment]) {
        for (index, attachment) in attachments.iter().enumerate() {
            if let Some(interface) = &attachment.interface {
                let (seen, asked) = (attachment.to_interface_status.as_ref(), attachment.to_interface.as_ref());
                self.impair(&format!("to {}", name(interface)), seen, asked);
                self.end(interface, pulled(attachment.up), index + 1 == attachments.len());
            }
        }
    }

    /// Says what happens to frames, as the kernel has it where it has.
    fn impair(&mut self, way: &str, seen: Option<&v1::DirectionStatus>, asked: Option<&v1::Impairment>) {
        let words = impaired(seen, asked);
        if !words.is_empty() {
            self.impaired.push(format!("{way}  {words}"));
        }
    }

    fn wire(&mut self, name: String, subnets: String, mac: String, mtu: u32, status: Option<&v1::Status>) {
        self.any = true;
        let word = status.map(|status| state::word(status.state)).unwrap_or_default();
        self.table.row([name, subnets, mac, number(mtu), String::new(), word]);
    }

    /// Says why a wire is not READY, unless what is plugged into it said so: then there are more reasons than `told`.
    fn own(&mut self, name: &str, status: Option<&v1::Status>, told: usize) {
        let Some(status) = status.filter(|status| !status.reason.is_empty()) else { return };
        if self.reasons.len() == told && status.state != i32::from(v1::State::Ready) {
            self.reasons.push(format!("{name}  {}: {}", state::word(status.state), status.reason));
        }
    }

    fn end(&mut self, interface: &v1::Interface, pulled: bool, last: bool) {
        let branch = if last { "└─" } else { "├─" };
        let name = name(interface);
        let status = interface.status.as_ref();
        let carrier = match status {
            _ if pulled => "pulled",
            Some(status) if status.index == 0 => "",
            Some(status) if status.carrier => "up",
            Some(_) => "none",
            None => "",
        };
        let word = status.map(|status| state::word(status.state)).unwrap_or_default();
        if let Some(status) = status {
            if status.state != i32::from(v1::State::Ready) {
                let since = state::ago(status.since.as_ref()).map(|since| format!(" for {since}")).unwrap_or_default();
                let reason = if status.reason.is_empty() { String::new() } else { format!(": {}", status.reason) };
                self.reasons.push(format!("{name}  {word}{since}{reason}"));
            }
            self.skipped.extend(status.skipped_routes.iter().map(|route| format!("{name}  {}", describe(route))));
        }
        let (mac, mtu) = (interface.mac.clone(), number(interface.mtu));
        self.table.row([format!("{branch} {name}"), addresses(interface), mac, mtu, carrier.to_owned(), word]);
    }
}

/// What an attachment to a device of the node is plugged into.
pub(crate) fn device(attachment: &v1::Attachment) -> Option<String> {
    match &attachment.target {
        Some(v1::attachment::Target::Device(device)) => Some(node_device(device)),
        _ => None,
    }
}

/// The bridge that an attachment is plugged into.
pub(crate) fn bridge_of(attachment: &v1::Attachment) -> Option<&str> {
    match &attachment.target {
        Some(v1::attachment::Target::Bridge(bridge)) => Some(bridge),
        _ => None,
    }
}

/// What an attachment to a device of the node is plugged into: `device eth0`, `device eth0 vlan 100`, `port of br0`.
pub(crate) fn node_device(device: &v1::NodeDevice) -> String {
    match device.vlan {
        _ if device.bridge_port => format!("port of {}", device.parent),
        Some(vlan) => format!("device {} vlan {vlan}", device.parent),
        None => format!("device {}", device.parent),
    }
}

/// What a bridge reaches of the node's network: ` uplink eth0 vlan 100`, ` uplink port of br0`, or nothing.
pub(crate) fn uplink(bridge: &v1::Bridge) -> String {
    match &bridge.uplink {
        None => String::new(),
        Some(v1::Uplink { parent, vlan: Some(vlan), .. }) => format!(" uplink {parent} vlan {vlan}"),
        Some(v1::Uplink { parent, .. }) => format!(" uplink port of {parent}"),
    }
}

fn pulled(up: i32) -> bool {
    up == i32::from(v1::Toggle::Off)
}

fn describe(route: &v1::Route) -> String {
    if route.via.is_empty() { route.destination.clone() } else { format!("{} via {}", route.destination, route.via) }
}
