//! The network namespace of this process, by rtnetlink. Needs no privileges.

use std::{
    io::{self, ErrorKind},
    time::{Duration, Instant},
};

use netlink_packet_core::{NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{
    RouteNetlinkMessage,
    address::{AddressAttribute, AddressMessage},
    link::{LinkAttribute, LinkExtentMask, LinkFlags, LinkMessage, Prop},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::{
    libc,
    sys::{
        socket::{setsockopt, sockopt::ReceiveTimeout},
        time::{TimeVal, TimeValLike},
    },
};

/// `RTNLGRP_LINK` of linux/rtnetlink.h: every change of a device.
const LINK_GROUP: u32 = 1;

/// Bytes of the largest datagram: the kernel fills at most 32 KiB for a dump (`netlink_recvmsg` of
/// net/netlink/af_netlink.c).
const DATAGRAM_BYTES: usize = 64 * 1024;

/// Tries of a dump under which the table changes.
const DUMP_TRIES: usize = 8;

/// How long the kernel may take for a dump: RTNL is one lock for the whole node.
const ANSWER: Duration = Duration::from_secs(10);

/// The kernel does not show the own network namespace.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot {operation}\nhint: does the container's seccomp profile forbid AF_NETLINK? the runtime's default one allows it"
)]
pub(crate) struct NetlinkError {
    operation: &'static str,
    #[source]
    source: io::Error,
}

impl NetlinkError {
    fn from_io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { operation, source }
    }
}

/// A network device.
#[derive(Debug, Clone, Default)]
pub(crate) struct Device {
    /// Its index: devices that were made earlier have lower ones.
    pub(crate) index: u32,
    /// Its name.
    pub(crate) name: String,
    /// Further names.
    pub(crate) altnames: Vec<String>,
    /// Its MAC, as hexadecimal octets with colons.
    pub(crate) mac: String,
    /// Its MTU in bytes.
    pub(crate) mtu: u32,
    /// Its device group.
    pub(crate) group: u32,
    /// It is set up.
    pub(crate) up: bool,
    /// It sees its far end.
    pub(crate) carrier: bool,
    /// The kernel has noticed that: the first frame passes (RFC 2863 "up").
    pub(crate) running: bool,
    /// Its addresses, CIDR.
    pub(crate) addresses: Vec<String>,
}

/// Two sockets: one hears of changes, the other asks.
pub(crate) struct Netlink {
    events: Socket,
    requests: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens the sockets. Every change from now on is heard.
    pub(crate) fn open() -> Result<Self, NetlinkError> {
        let mut events = Socket::new(NETLINK_ROUTE).map_err(NetlinkError::from_io("open a netlink socket"))?;
        // Bound before it joins, or nothing arrives.
        events.bind_auto().map_err(NetlinkError::from_io("bind a netlink socket"))?;
        events.add_membership(LINK_GROUP).map_err(NetlinkError::from_io("follow changes of interfaces"))?;
        let mut requests = Socket::new(NETLINK_ROUTE).map_err(NetlinkError::from_io("open a netlink socket"))?;
        requests.bind_auto().map_err(NetlinkError::from_io("bind a netlink socket"))?;
        requests.connect(&SocketAddr::new(0, 0)).map_err(NetlinkError::from_io("connect a netlink socket"))?;
        patience(&requests, ANSWER)?;
        Ok(Self { events, requests, sequence: 0, buffer: Vec::new() })
    }

    /// All devices by index, without their addresses.
    pub(crate) fn devices(&mut self) -> Result<Vec<Device>, NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let answers = self.dump(&RouteNetlinkMessage::GetLink(message), "list the interfaces")?;
        let links = answers.into_iter().filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(device(&link)),
            _ => None,
        });
        let mut devices: Vec<Device> = links.collect();
        devices.sort_by_key(|device| device.index);
        Ok(devices)
    }

    /// Adds the addresses of devices.
    pub(crate) fn add_addresses(&mut self, devices: &mut [Device]) -> Result<(), NetlinkError> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        for answer in self.dump(&request, "list the addresses")? {
            let RouteNetlinkMessage::NewAddress(message) = answer else { continue };
            let Some(device) = devices.iter_mut().find(|device| device.index == message.header.index) else { continue };
            // Of IPv4 the own address is IFA_LOCAL and IFA_ADDRESS the peer's; IPv6 has IFA_ADDRESS alone.
            let local = message.attributes.iter().find_map(|attribute| match attribute {
                AddressAttribute::Local(address) => Some(address),
                _ => None,
            });
            let address = local.or_else(|| {
                message.attributes.iter().find_map(|attribute| match attribute {
                    AddressAttribute::Address(address) => Some(address),
                    _ => None,
                })
            });
            device.addresses.extend(address.map(|address| format!("{address}/{}", message.header.prefix_len)));
        }
        Ok(())
    }

    /// Waits until a device has changed, or may have; `false`: not before `until`.
    pub(crate) fn changed(&mut self, until: Instant) -> Result<bool, NetlinkError> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            patience(&self.events, left)?;
            self.buffer.clear();
            self.buffer.reserve(DATAGRAM_BYTES);
            match self.events.recv(&mut self.buffer, 0) {
                Ok(_) => return Ok(true),
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted | ErrorKind::WouldBlock | ErrorKind::TimedOut => {}
                    // More changes than the socket holds: whoever looks sees what they came to.
                    _ if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(true),
                    _ => return Err(NetlinkError { operation: "follow changes of interfaces", source: error }),
                },
            }
        }
    }

    /// A whole table, as often as it takes to get one that did not change meanwhile.
    fn dump(
        &mut self,
        request: &RouteNetlinkMessage,
        operation: &'static str,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            self.sequence += 1;
            let mut header = NetlinkHeader::default();
            header.flags = NLM_F_REQUEST | NLM_F_DUMP;
            header.sequence_number = self.sequence;
            let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request.clone()));
            message.finalize();
            let mut bytes = vec![0; message.buffer_len()];
            message.serialize(&mut bytes);
            self.requests.send(&bytes, 0).map_err(NetlinkError::from_io(operation))?;
            if let Some(table) = self.table(operation)? {
                return Ok(table);
            }
        }
        Err(NetlinkError { operation, source: io::Error::other("it changes all the time") })
    }

    /// Reads a table; `None`: it changed meanwhile.
    fn table(&mut self, operation: &'static str) -> Result<Option<Vec<RouteNetlinkMessage>>, NetlinkError> {
        let (mut table, mut interrupted) = (Vec::new(), false);
        loop {
            self.buffer.clear();
            self.buffer.reserve(DATAGRAM_BYTES);
            match self.requests.recv(&mut self.buffer, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(NetlinkError { operation, source: error }),
            }
            for message in split(&self.buffer) {
                // An entry that does not parse is none of ours: we know what we call ours.
                let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message) else { continue };
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
                match message.payload {
                    NetlinkPayload::InnerMessage(object) => table.push(object),
                    NetlinkPayload::Done(_) => return Ok((!interrupted).then_some(table)),
                    NetlinkPayload::Error(error) => return Err(NetlinkError { operation, source: error.to_io() }),
                    _ => {}
                }
            }
        }
    }
}

/// Sets how long a socket waits.
fn patience(socket: &Socket, time: Duration) -> Result<(), NetlinkError> {
    // 0 would mean for ever.
    let microseconds = i64::try_from(time.as_micros()).unwrap_or(i64::MAX).max(1000);
    setsockopt(socket, ReceiveTimeout, &TimeVal::microseconds(microseconds))
        .map_err(|errno| NetlinkError { operation: "set the time-out of a netlink socket", source: errno.into() })
}

/// The messages of a datagram.
pub(crate) fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let message = bytes.get(..length).filter(|message| !message.is_empty())?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// A device as its message shows it.
pub(crate) fn device(link: &LinkMessage) -> Device {
    let flags = link.header.flags;
    let mut device = Device {
        index: link.header.index,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        running: flags.contains(LinkFlags::Running),
        ..Device::default()
    };
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name.clone_from(name),
            LinkAttribute::Address(octets) => {
                device.mac = octets.iter().map(|octet| format!("{octet:02x}")).collect::<Vec<_>>().join(":");
            }
            LinkAttribute::Mtu(mtu) => device.mtu = *mtu,
            LinkAttribute::Group(group) => device.group = *group,
            LinkAttribute::PropList(properties) => {
                device.altnames.extend(properties.iter().filter_map(|property| match property {
                    Prop::AltIfName(name) => Some(name.clone()),
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    device
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_loopback_is_seen() -> Result<(), NetlinkError> {
        let mut netlink = Netlink::open()?;
        let mut devices = netlink.devices()?;
        netlink.add_addresses(&mut devices)?;
        assert!(devices.iter().any(|device| device.name == "lo" && device.index == 1), "{devices:?}");
        Ok(())
    }

    proptest! {
        #[test]
        fn any_datagram_ends(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(split(&bytes).count() <= bytes.len());
        }
    }
}
