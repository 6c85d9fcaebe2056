//! What the kernel of this node can do, found by doing it in a namespace that nobody sees.

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkMessage, MacVlanMode},
};
use rtnetlink::{LinkBridge, LinkMacVlan, LinkMessageBuilder, LinkVeth, LinkVlan};

use crate::domain::{
    bpf::{Instruction, RET_K},
    impairment::Netem,
    queue::{Queue, Shaper},
};

use super::{
    KernelError, ethtool, link,
    netns::in_scratch,
    packet::{Devices, PacketSocket, Sight},
    queue,
    socket::{Mode, Request, RouteSocket},
    stitch,
};

/// Something that the kernel can do or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capability {
    /// The kernel's name of it.
    pub name: &'static str,
    /// Why not, in the kernel's words; `None`: it can.
    pub missing: Option<String>,
    /// What podwire needs it for.
    pub used_for: &'static str,
}

/// Tries everything that podwire may need.
///
/// # Errors
///
/// No namespace can be made: nothing works.
pub fn probe() -> Result<Vec<Capability>, KernelError> {
    in_scratch(|| {
        let mut socket = RouteSocket::open()?;
        let mut found = Vec::new();
        let mut note = |name, used_for, result: Result<(), KernelError>| {
            found.push(Capability { name, missing: result.err().map(|error| error.to_string()), used_for });
        };
        note("veth", "every link and every attachment to a bridge", veth(&mut socket));
        note("bridge", "bridges", new(&mut socket, LinkBridge::new("pw-br").build()));
        note("mirred", "STITCHED links", mirred(&mut socket));
        let netem = Queue { netem: Some(Netem::default()), shaper: None };
        note("netem", "impairments of links: delay, loss and the like", impaired(&mut socket, &netem));
        let tbf = Queue { netem: None, shaper: Some(Shaper { rate: 125_000, burst: 2000, queue: 2000 }) };
        note("tbf", "rates of links", impaired(&mut socket, &tbf));
        note("ethtool", "`tx_checksum` of interfaces", ethtool::set(10, false));
        note("altname", "the marks by which podwire knows its own interfaces", altname(&mut socket));
        note("macvlan", "attachments to devices of the node", macvlan(&mut socket));
        note("packet", "captures and `podwire verify`", packet());
        note("vlan", "VLANs of devices of the node", new(&mut socket, LinkVlan::new("pw-tag", 10, 1).build()));
        note("vlan_filtering", "VLANs on bridges", vlan_filtering(&mut socket));
        Ok(found)
    })?
}

fn new(socket: &mut RouteSocket, message: LinkMessage) -> Result<(), KernelError> {
    socket.call(RouteNetlinkMessage::NewLink(message), Mode::Create)
}

fn veth(socket: &mut RouteSocket) -> Result<(), KernelError> {
    new(socket, LinkMessageBuilder::<LinkVeth>::new("pw-a", "pw-b").index(10).build())
}

fn mirred(socket: &mut RouteSocket) -> Result<(), KernelError> {
    let requests: Vec<Request> = vec![stitch::add_hook(10), stitch::redirect(10, 10)];
    socket.batch(requests)?.into_iter().collect()
}

fn impaired(socket: &mut RouteSocket, queue: &Queue) -> Result<(), KernelError> {
    socket.batch(queue::impair(10, queue))?.into_iter().collect()
}

fn altname(socket: &mut RouteSocket) -> Result<(), KernelError> {
    socket.batch(vec![link::add_altname(10, "podwire.lessons.12.probe")])?.into_iter().collect()
}

fn macvlan(socket: &mut RouteSocket) -> Result<(), KernelError> {
    new(socket, LinkMacVlan::new("pw-mv", 10, MacVlanMode::Bridge).build())
}

/// Everything that a capture asks of a packet socket: stamps, tags beside the frame, filters, counts of drops.
fn packet() -> Result<(), KernelError> {
    let filter = vec![Instruction { code: RET_K, jt: 0, jf: 0, k: u32::MAX }];
    PacketSocket::open(&Devices::here()?, "pw-a", &Sight { receive_bytes: 64 * 1024, filter }).map(drop)
}

fn vlan_filtering(socket: &mut RouteSocket) -> Result<(), KernelError> {
    let message = LinkMessageBuilder::<LinkBridge>::new("pw-vlan").vlan_filtering(true).build();
    new(socket, message)
}
