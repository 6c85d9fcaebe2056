//! Ways in for `tests/fuzz`: what is shown of an agent's answer, and what other programs and the kernel say.

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use podwire_proto::v1;

use crate::{arguments::Format, command, mark::Mark, netlink, output, picture, table, view, words};

/// A topology as `podwire graph` draws it: SVG, Mermaid, DOT.
pub fn drawn(topology: &v1::Topology) -> [String; 3] {
    let picture = picture::Picture::new(topology);
    [picture::svg(&picture), picture::mermaid(&picture), picture::dot(&picture)]
}

/// A topology as `podwire show` writes it to a terminal of so many columns.
pub fn shown(topology: &v1::Topology, width: Option<u16>) -> String {
    table::paint(&view::panel(topology, width))
}

/// A topology as `podwire get -o yaml` writes it, which a manifest can be.
pub fn document(topology: &v1::Topology) -> Option<String> {
    output::render(Format::Yaml, "Topology", topology).ok()
}

/// A program as `tcpdump -ddd` prints it.
pub fn program(text: &str) -> Option<Vec<v1::BpfInstruction>> {
    command::program(text)
}

/// Names of the devices of a datagram, and how many of them carry a mark of podwire's.
pub fn devices(datagram: &[u8]) -> (Vec<String>, usize) {
    let (mut names, mut marked) = (Vec::new(), 0);
    for message in netlink::split(datagram) {
        let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) else { continue };
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = message.payload else { continue };
        let device = netlink::device(&link);
        marked += usize::from(device.altnames.iter().filter_map(|altname| Mark::parse(altname)).count() > 0);
        names.push(device.name);
    }
    (names, marked)
}

/// Columns that a text takes on a terminal.
pub fn columns(text: &str) -> usize {
    words::columns(text)
}
