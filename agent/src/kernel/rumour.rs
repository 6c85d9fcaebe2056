//! What a notification of the kernel says, as far as it matters: that something changed, and of what kind.

use nix::libc;

/// Bytes of `struct nlmsghdr` (linux/netlink.h).
const HEADER_BYTES: usize = 16;

/// Protocol of the routes that podwire makes (linux/rtnetlink.h).
const RTPROT_STATIC: u8 = libc::RTPROT_STATIC;

/// A notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rumour {
    /// A device, an address or a route.
    Change,
    /// A queueing discipline or a filter: matters in panels.
    Filters,
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
        libc::RTM_NEWLINK | libc::RTM_DELLINK | libc::RTM_NEWADDR | libc::RTM_DELADDR => Some(Rumour::Change),
        // Routing daemons change routes all the time, and none of those is ours. A new route matters where it takes
        // the place of one.
        libc::RTM_DELROUTE => (protocol(body) == Some(RTPROT_STATIC)).then_some(Rumour::Change),
        libc::RTM_NEWROUTE => (flags & libc::NLM_F_REPLACE != 0).then_some(Rumour::Change),
        libc::RTM_NEWTFILTER | libc::RTM_DELTFILTER | libc::RTM_NEWQDISC | libc::RTM_DELQDISC => Some(Rumour::Filters),
        libc::RTM_DELNSID => nsid(body).map(Rumour::Gone),
        _ => None,
    }
}

/// `rtm_protocol` of `struct rtmsg`.
fn protocol(body: &[u8]) -> Option<u8> {
    body.get(5).copied()
}

/// The attribute `NETNSA_NSID` (1) behind `struct rtgenmsg`, padded to four bytes (linux/net_namespace.h).
fn nsid(body: &[u8]) -> Option<i32> {
    let mut attributes = body.get(4..)?;
    while attributes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        let kind = u16::from_ne_bytes([attributes[2], attributes[3]]) & 0x3fff;
        let value = attributes.get(4..length)?;
        if kind == 1 {
            return value.get(..4)?.try_into().ok().map(i32::from_ne_bytes);
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
        assert_eq!(rumours(&[ours, replaced].concat()), [Rumour::Change, Rumour::Change]);
    }

    #[test]
    fn the_end_of_a_namespace_names_its_id() {
        let body = [[0, 0, 0, 0], [8, 0, 1, 0], 7_i32.to_ne_bytes()].concat();
        assert_eq!(rumours(&message(libc::RTM_DELNSID, 0, &body)), [Rumour::Gone(7)]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u16..120) {
            rumours(&bytes);
            rumours(&message(kind, 0, &bytes));
        }
    }
}
