//! A topology as something that can be drawn: boxes, and cables between them. Pure; `svg`, `mermaid` and `dot` write it.

mod card;
mod dot;
mod layers;
mod layout;
mod mermaid;
mod order;
mod place;
mod scene;
mod sign;
mod svg;
#[cfg(test)]
mod tests;

use podwire_proto::v1;

use self::sign::{Cable, Sign};
pub(crate) use self::{dot::dot, mermaid::mermaid, svg::svg};
use crate::{
    view,
    words::{self, clean, wrapped},
};

/// Columns that a line of a label takes at most; longer ones are broken or cut.
const LINE: usize = 30;

/// What is drawn.
#[derive(Debug)]
pub(crate) struct Picture {
    /// `lessons/12`.
    title: String,
    /// Its state, and how many of its interfaces have it.
    subtitle: String,
    sign: Sign,
    /// Pods in the order in which they are named, then what they are wired to.
    nodes: Vec<Node>,
    /// One for each interface.
    cables: Vec<Plug>,
}

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Pod,
    Bridge,
    Stitched,
    Direct,
    /// A device of the node.
    Device,
}

/// A box.
#[derive(Debug)]
struct Node {
    kind: Kind,
    name: String,
    sign: Sign,
    /// Lines below its name.
    notes: Vec<String>,
    /// For who points at it.
    hint: String,
}

/// An interface: the cable between a pod and a wire.
#[derive(Debug)]
struct Plug {
    pod: usize,
    wire: usize,
    /// Name inside the pod.
    name: String,
    addresses: Vec<String>,
    sign: Sign,
    cable: Cable,
    /// What happens to frames on the way to it, where the port is that of a bridge.
    impaired: String,
    hint: String,
}

impl Kind {
    /// The word for it.
    fn word(self) -> &'static str {
        match self {
            Self::Pod => "pod",
            Self::Bridge => "bridge",
            Self::Stitched => "link",
            Self::Direct => "direct link",
            Self::Device => "device of the node",
        }
    }
}

impl Plug {
    /// What is written at the cable's end whatever its state is, one line each: name and addresses.
    fn steady_lines(&self) -> Vec<String> {
        /// More addresses than this are counted.
        const SHOWN: usize = 3;
        let mut lines = vec![format!("{} {}", self.sign.symbol(), self.name)];
        lines.extend(self.addresses.iter().take(SHOWN).cloned());
        if self.addresses.len() > SHOWN {
            lines.push(format!("and {} more", self.addresses.len() - SHOWN));
        }
        lines
    }

    /// All that is written there: also what is not as it should be.
    fn lines(&self) -> Vec<String> {
        let mut lines = self.steady_lines();
        if self.sign != Sign::Ready && self.sign != Sign::Unknown {
            lines.push(self.sign.word().to_owned());
        }
        if !self.cable.word().is_empty() {
            lines.push(self.cable.word().to_owned());
        }
        if !self.impaired.is_empty() {
            lines.extend(wrapped(&format!("in: {}", self.impaired), LINE));
        }
        lines
    }
}

impl Node {
    /// What is written in the box whatever its state is, one line each: its name, what it is, and more about it.
    fn steady_lines(&self) -> Vec<String> {
        let symbol = if self.kind == Kind::Pod { "" } else { self.sign.symbol() };
        let mut lines = vec![format!("{symbol} {}", self.name).trim_start().to_owned()];
        lines.push(self.kind.word().to_owned());
        lines.extend(self.notes.iter().cloned());
        lines
    }

    /// All that is written there.
    fn lines(&self) -> Vec<String> {
        let mut lines = self.steady_lines();
        match self.sign {
            Sign::Ready | Sign::Unknown => {}
            _ if self.kind == Kind::Pod => lines.push("nothing plugged".to_owned()),
            other => lines[1] = format!("{}, {}", self.kind.word(), other.word()),
        }
        lines
    }
}

impl Picture {
    /// What there is to draw of a topology.
    pub(crate) fn new(topology: &v1::Topology) -> Self {
        let status = topology.status.clone().unwrap_or_default();
        let sign = Sign::of(status.state);
        let subtitle = match sign {
            Sign::Unknown => String::new(),
            sign => format!("{}, {} of {} interfaces", sign.word(), status.interfaces_ready, status.interfaces),
        };
        let mut picture = Self {
            title: words::cut(&clean(&format!("{}/{}", topology.namespace, topology.name)), 2 * LINE),
            subtitle,
            sign,
            nodes: Vec::new(),
            cables: Vec::new(),
        };
        let mut pods: Vec<String> = Vec::new();
        for owner in view::interfaces(topology).map(view::owner) {
            if !pods.contains(&owner) {
                picture.node(Kind::Pod, &owner, Sign::Unknown, &[], "");
                pods.push(owner);
            }
        }
        let pod = |interface: &v1::Interface| pods.iter().position(|pod| *pod == view::owner(interface));
        for bridge in &topology.bridges {
            let index = picture.bridge(bridge);
            let plugged = topology.attachments.iter().filter(|each| view::bridge_of(each) == Some(&bridge.name));
            plugged.for_each(|each| picture.attachment(each, index, &pod));
        }
        topology.links.iter().for_each(|link| picture.link(link, &pod));
        // Each VLAN of a device is a network of its own.
        let mut devices: Vec<String> = Vec::new();
        for device in topology.attachments.iter().filter_map(view::device) {
            if !devices.contains(&device) {
                let name = device.strip_prefix("device ").unwrap_or(&device);
                let index = picture.node(Kind::Device, name, Sign::Unknown, &[], "");
                let plugged = topology.attachments.iter().filter(|each| view::device(each).as_ref() == Some(&device));
                plugged.for_each(|each| picture.attachment(each, index, &pod));
                devices.push(device);
            }
        }
        picture.mark_absent();
        picture
    }

    /// Pods into which nothing is plugged are shown as not there.
    fn mark_absent(&mut self) {
        for (index, node) in self.nodes.iter_mut().enumerate().filter(|(_, node)| node.kind == Kind::Pod) {
            let mut own = self.cables.iter().filter(|plug| plug.pod == index);
            if own.all(|plug| plug.cable == Cable::Missing) {
                node.sign = Sign::Pending;
            }
        }
    }

    fn node(&mut self, kind: Kind, name: &str, sign: Sign, notes: &[String], reason: &str) -> usize {
        let name = clean(name);
        let hint = [format!("{} {name}", kind.word()), clean(reason)];
        let hint = hint.into_iter().filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        let notes = notes.iter().flat_map(|note| wrapped(&clean(note), LINE)).collect();
        self.nodes.push(Node { kind, name: words::cut(&name, LINE), sign, notes, hint });
        self.nodes.len() - 1
    }

    fn bridge(&mut self, bridge: &v1::Bridge) -> usize {
        let mut notes = vec![view::subnets(bridge.ipam.as_ref()).replace('\n', ", ")];
        match bridge.l2_profile() {
            v1::L2Profile::Hub => notes.push("hub".to_owned()),
            v1::L2Profile::Standard => notes.push("standard 802.1D".to_owned()),
            v1::L2Profile::Unspecified | v1::L2Profile::Transparent => {}
        }
        if bridge.stp {
            notes.push("spanning tree".to_owned());
        }
        notes.push(view::uplink(bridge).trim_start().to_owned());
        notes.retain(|note| !note.is_empty());
        let status = bridge.status.clone().unwrap_or_default();
        self.node(Kind::Bridge, &bridge.name, Sign::of(status.state), &notes, &status.reason)
    }

    fn link(&mut self, link: &v1::Link, pod: &impl Fn(&v1::Interface) -> Option<usize>) {
        let kind = if link.mode() == v1::LinkMode::Direct { Kind::Direct } else { Kind::Stitched };
        let pulled = link.up() == v1::Toggle::Off;
        let mut notes = Vec::new();
        if pulled {
            notes.push(Cable::Pulled.word().to_owned());
        }
        let (a, b) = (link.a.as_ref(), view::far(link));
        let ways = [(a, b, &link.a_to_b_status, &link.a_to_b), (b, a, &link.b_to_a_status, &link.b_to_a)];
        for (from, to, seen, asked) in ways {
            let words = view::impaired(seen.as_ref(), asked.as_ref());
            if let (Some(from), Some(to), false) = (from, to, words.is_empty()) {
                notes.push(format!("{} to {}: {words}", view::owner(from), view::owner(to)));
            }
        }
        let status = link.status.clone().unwrap_or_default();
        let index = self.node(kind, &link.name, Sign::of(status.state), &notes, &status.reason);
        for end in [a, b].into_iter().flatten() {
            if let Some(pod) = pod(end) {
                self.plug(end, pod, index, pulled, String::new());
            }
        }
    }

    fn attachment(&mut self, it: &v1::Attachment, wire: usize, pod: &impl Fn(&v1::Interface) -> Option<usize>) {
        let Some((interface, pod)) = it.interface.as_ref().and_then(|each| Some((each, pod(each)?))) else { return };
        let impaired = view::impaired(it.to_interface_status.as_ref(), it.to_interface.as_ref());
        self.plug(interface, pod, wire, it.up() == v1::Toggle::Off, impaired);
    }

    fn plug(&mut self, interface: &v1::Interface, pod: usize, wire: usize, pulled: bool, impaired: String) {
        let status = interface.status.clone().unwrap_or_default();
        let sign = Sign::of(status.state);
        let name = clean(if interface.name.is_empty() { "?" } else { &interface.name });
        let all = view::addresses(interface);
        let mut hint = vec![clean(&view::name(interface)), clean(&all.replace('\n', ", ")), clean(&interface.mac)];
        hint.push(format!("{}: {}", sign.word(), clean(&status.reason)).trim_end_matches(": ").to_owned());
        hint.retain(|line| !line.is_empty());
        self.cables.push(Plug {
            pod,
            wire,
            name: words::cut(&name, LINE),
            addresses: all.lines().map(|line| words::cut(&clean(line), LINE + 13)).collect(),
            sign,
            cable: Cable::of(interface.status.as_ref(), pulled),
            impaired,
            hint: hint.join("\n"),
        });
    }
}
