//! What a notification of the kernel says, as far as it matters: that something changed, and of what kind.

use nix::libc;

/// Bytes of `struct nlmsghdr` (linux/netlink.h).
const HEADER_BYTES: usize = 16;

/// Protocol of the routes that podwire makes (linux/rtnetlink.h).
const RTPROT_STATIC: u8 = libc::RTPROT_STATIC;

/// A notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rumour {
    /// A device: its index and its name.
    Device(u32, String),
    /// An address or a route: on the device of this index, or on nobody knows which.
    Change(Option<u32>),
    /// A queueing discipline or a filter, of the device of this index: matters in panels.
    Filters(Option<u32>),
    /// The namespace of this id has ended.
    Gone(i32),
}

/// The notifications of a datagram that matter. Whatever does not parse is left out: a look says what is true.
pub(super) fn rumours(mut bytes: &[u8]) -> Vec<Rumour> {
    let mut found = Vec::new();
    while let Some(header) = bytes.get(..HEADER_BYTES) {
        let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let Some(message) = bytes.get(..length).filter(|message| message.len() >= HEADER_BYTES) else { break };
        found.extend(rumour(message));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn rumour(message: &[u8]) -> Option<Rumour> {
    let kind = u16::from_ne_bytes([message[4], message[5]]);
    let flags = i32::from(u16::from_ne_bytes([message[6], message[7]]));
    let body = &message[HEADER_BYTES..];
    match kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => Some(device(body).unwrap_or(Rumour::Change(None))),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => Some(Rumour::Change(index(body))),
        // Routing daemons change routes all the time, and none of those is ours. A new route matters where it takes
        // the place of one.
        libc::RTM_DELROUTE => (protocol(body) == Some(RTPROT_STATIC)).then(|| Rumour::Change(outgoing(body))),
        libc::RTM_NEWROUTE => (flags & libc::NLM_F_REPLACE != 0).then(|| Rumour::Change(outgoing(body))),
        libc::RTM_NEWTFILTER | libc::RTM_DELTFILTER | libc::RTM_NEWQDISC | libc::RTM_DELQDISC => {
            Some(Rumour::Filters(index(body)))
        }
        libc::RTM_DELNSID => nsid(body).map(Rumour::Gone),
        _ => None,
    }
}

/// `rtm_protocol` of `struct rtmsg`.
fn protocol(body: &[u8]) -> Option<u8> {
    body.get(5).copied()
}

/// The index of a device: in `struct ifinfomsg`, `ifaddrmsg` and `tcmsg` the second four bytes.
fn index(body: &[u8]) -> Option<u32> {
    body.get(4..8)?.try_into().ok().map(u32::from_ne_bytes)
}

/// The attribute `RTA_OIF` (4) behind `struct rtmsg`, 12 bytes (linux/rtnetlink.h).
fn outgoing(body: &[u8]) -> Option<u32> {
    attribute(body.get(12..)?, 4)?.get(..4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// `ifi_index` of `struct ifinfomsg`, 16 bytes, and the attribute `IFLA_IFNAME` (3) behind it (linux/if_link.h).
fn device(body: &[u8]) -> Option<Rumour> {
    let index = index(body)?;
    let name = attribute(body.get(16..)?, 3)?;
    let name = String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned();
    Some(Rumour::Device(index, name))
}

/// The attribute `NETNSA_NSID` (1) behind `struct rtgenmsg`, padded to four bytes (linux/net_namespace.h).
fn nsid(body: &[u8]) -> Option<i32> {
    attribute(body.get(4..)?, 1)?.get(..4)?.try_into().ok().map(i32::from_ne_bytes)
}

/// The value of the first attribute of a kind.
fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    while attributes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        let own = u16::from_ne_bytes([attributes[2], attributes[3]]) & 0x3fff;
        let value = attributes.get(4..length)?;
        if own == kind {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER_BYTES + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(body);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn route(protocol: u8) -> [u8; 12] {
        [2, 24, 0, 0, 254, protocol, 0, 1, 0, 0, 0, 0]
    }

    #[test]
    fn what_routing_daemons_do_is_not_heard() {
        let ospf = message(libc::RTM_DELROUTE, 0, &route(188));
        let ours = message(libc::RTM_DELROUTE, 0, &route(4));
        let new = message(libc::RTM_NEWROUTE, 0, &route(188));
        let replaced = message(libc::RTM_NEWROUTE, u16::try_from(libc::NLM_F_REPLACE).unwrap(), &route(188));
        assert_eq!(rumours(&[ospf, new].concat()), []);
        assert_eq!(rumours(&[ours, replaced].concat()), [Rumour::Change(None), Rumour::Change(None)]);
    }

    #[test]
    fn the_end_of_a_namespace_names_its_id() {
        let body = [[0, 0, 0, 0], [8, 0, 1, 0], 7_i32.to_ne_bytes()].concat();
        assert_eq!(rumours(&message(libc::RTM_DELNSID, 0, &body)), [Rumour::Gone(7)]);
    }

    #[test]
    fn a_device_is_told_by_its_index_and_name() {
        let head = [[0; 4], 7_u32.to_ne_bytes(), [0; 4], [0; 4]].concat();
        let mtu = [&[8, 0, 4, 0][..], &1500_u32.to_ne_bytes()].concat();
        let name = [&[8, 0, 3, 0][..], b"up0\0"].concat();
        let told = |parts: &[&[u8]]| rumours(&message(libc::RTM_NEWLINK, 0, &parts.concat()));
        assert_eq!(told(&[&head, &mtu, &name]), [Rumour::Device(7, "up0".to_owned())]);
        assert_eq!(told(&[&head, &mtu]), [Rumour::Change(None)], "one without a name is somebody's");
    }

    #[test]
    fn addresses_filters_and_routes_name_their_device() {
        let head = [[0; 4], 7_u32.to_ne_bytes()].concat();
        assert_eq!(rumours(&message(libc::RTM_NEWADDR, 0, &head)), [Rumour::Change(Some(7))]);
        assert_eq!(rumours(&message(libc::RTM_DELTFILTER, 0, &head)), [Rumour::Filters(Some(7))]);
        let route = [&route(4)[..], &[8, 0, 4, 0], &7_u32.to_ne_bytes()].concat();
        assert_eq!(rumours(&message(libc::RTM_DELROUTE, 0, &route)), [Rumour::Change(Some(7))]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u16..120) {
            rumours(&bytes);
            rumours(&message(kind, 0, &bytes));
        }
    }
}
