//! Datagrams of rtnetlink, taken apart.

use std::borrow::Cow;

use netlink_packet_core::{NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use nix::libc;

use super::super::error::KernelError;

/// What the kernel said.
pub(in crate::kernel) enum Message {
    Object { header: NetlinkHeader, index: u32, object: Option<RouteNetlinkMessage> },
    Discipline { header: NetlinkHeader, body: Vec<u8> },
    Answer { header: NetlinkHeader, code: i32, sentence: String },
    Done { header: NetlinkHeader, code: i32 },
}

/// Splits a datagram into messages. Each is parsed by itself: one that does not parse does not hide the others.
pub(in crate::kernel) fn parse(mut bytes: &[u8], operation: &'static str) -> Result<Vec<Message>, KernelError> {
    let garbled = |problem: String| KernelError::Garbled { operation, problem };
    let mut messages = Vec::new();
    while bytes.len() >= HEADER_BYTES {
        let length = u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        let whole = bytes.get(..length).filter(|whole| whole.len() >= HEADER_BYTES);
        let whole = whole.ok_or_else(|| garbled(format!("a message of {length} bytes in {}", bytes.len())))?;
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
        let header = header(whole);
        if header.message_type == libc::RTM_NEWQDISC {
            messages.push(Message::Discipline { header, body: whole[HEADER_BYTES..].to_vec() });
            continue;
        }
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&brief(whole)).map(|message| message.payload) {
            Ok(NetlinkPayload::InnerMessage(object)) => {
                messages.push(Message::Object { header, index: 0, object: Some(object) });
            }
            Ok(NetlinkPayload::Error(answer)) => {
                let sentence = sentence(&answer.header);
                messages.push(Message::Answer { header, code: answer.raw_code(), sentence });
            }
            Ok(NetlinkPayload::Done(done)) => messages.push(Message::Done { header, code: done.code }),
            Ok(_) => {}
            Err(error) if whole.len() > HEADER_BYTES && header.message_type >= 16 => {
                tracing::debug!(operation, %error, "an entry of a table does not parse");
                messages.push(Message::Object { header, index: interface_index(whole), object: None });
            }
            Err(error) => return Err(garbled(error.to_string())),
        }
    }
    Ok(messages)
}

/// A message about a device without `IFLA_AF_SPEC` (26 of linux/if_link.h): half of its bytes are the settings and counters of IPv4
/// and IPv6, which nobody reads here, and to parse them takes longer than all the rest. What bridges tell of VLANs stays.
fn brief(whole: &[u8]) -> Cow<'_, [u8]> {
    const AF_SPEC: u16 = 26;
    // `struct ifinfomsg`, whose first byte is the address family.
    const BODY: usize = HEADER_BYTES + 16;
    let of_device = header(whole).message_type == libc::RTM_NEWLINK
        && whole.get(HEADER_BYTES).is_some_and(|family| i32::from(*family) == libc::AF_UNSPEC);
    let mut at = BODY;
    while let Some(&[a, b, c, d]) = of_device.then(|| whole.get(at..at + 4)).flatten() {
        let (length, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]) & 0x3fff);
        let next = at + length.next_multiple_of(4);
        if length < 4 || next > whole.len() {
            break;
        }
        if kind == AF_SPEC {
            let mut bytes = [&whole[..at], &whole[next..]].concat();
            let length = u32::try_from(bytes.len()).unwrap_or(0);
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            return bytes.into();
        }
        at = next;
    }
    whole.into()
}

/// Bytes of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

fn header(bytes: &[u8]) -> NetlinkHeader {
    let u32_at = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let u16_at = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    let mut header = NetlinkHeader::default();
    header.length = u32_at(0);
    header.message_type = u16_at(4);
    header.flags = u16_at(6);
    header.sequence_number = u32_at(8);
    header.port_number = u32_at(12);
    header
}

/// `ifi_index` of `struct ifinfomsg`, which follows the header of every message about a device.
fn interface_index(message: &[u8]) -> u32 {
    let bytes = message.get(HEADER_BYTES + 4..HEADER_BYTES + 8).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u32::from_ne_bytes)
}

/// The kernel's sentence: attribute `NLMSGERR_ATTR_MSG` (1) behind the header of the message that was refused, which
/// `NETLINK_CAP_ACK` keeps to the header alone.
fn sentence(payload: &[u8]) -> String {
    let mut attributes = payload.get(HEADER_BYTES..).unwrap_or_default();
    while attributes.len() >= 4 {
        let length = usize::from(u16::from_ne_bytes([attributes[0], attributes[1]]));
        let kind = u16::from_ne_bytes([attributes[2], attributes[3]]) & 0x3fff;
        let Some(value) = attributes.get(4..length) else { break };
        if kind == 1 {
            return String::from_utf8_lossy(value).trim_end_matches('\0').to_owned();
        }
        attributes = &attributes[length.next_multiple_of(4).min(attributes.len())..];
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::LinkAttribute;
    use proptest::prelude::*;

    use super::*;

    const IFLA_IFNAME: u16 = 3;
    const IFLA_MTU: u16 = 4;
    const IFLA_AF_SPEC: u16 = 26;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(4 + value.len()).unwrap();
        let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn link(family: i32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![0; 16];
        body[0] = u8::try_from(family).unwrap();
        body.extend(attributes.concat());
        let mut bytes = u32::try_from(HEADER_BYTES + body.len()).unwrap().to_ne_bytes().to_vec();
        bytes.extend(libc::RTM_NEWLINK.to_ne_bytes());
        bytes.resize(HEADER_BYTES, 0);
        [bytes, body].concat()
    }

    fn attributes(bytes: &[u8]) -> Vec<LinkAttribute> {
        let messages = parse(bytes, "a test").unwrap();
        let [Message::Object { object: Some(RouteNetlinkMessage::NewLink(link)), .. }] = messages.as_slice() else {
            panic!("{} messages", messages.len());
        };
        link.attributes.clone()
    }

    #[test]
    fn what_is_told_of_a_device_is_read_without_the_settings_of_its_address_families() {
        let (name, mtu) = (attribute(IFLA_IFNAME, b"net1\0"), attribute(IFLA_MTU, &1500_u32.to_ne_bytes()));
        let spec = attribute(IFLA_AF_SPEC, &attribute(2, &attribute(1, &[0; 132])));
        let both = [LinkAttribute::IfName("net1".to_owned()), LinkAttribute::Mtu(1500)];
        for parts in [[&spec, &name, &mtu], [&name, &spec, &mtu], [&name, &mtu, &spec]] {
            assert_eq!(attributes(&link(libc::AF_UNSPEC, &parts.map(Clone::clone))), both);
        }
        let two = [link(libc::AF_UNSPEC, std::slice::from_ref(&spec)), link(libc::AF_UNSPEC, &[name])].concat();
        assert_eq!(parse(&two, "a test").unwrap().len(), 2, "the length of the first is that of what came");
        assert_eq!(
            brief(&link(libc::AF_BRIDGE, std::slice::from_ref(&spec))).len(),
            32 + spec.len(),
            "VLANs are in there"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            parts in proptest::collection::vec((0_u16..24, prop::sample::select(vec![3, 26, 0x801a]), any::<u32>()), 0..6),
            cut in 0_usize..8,
        ) {
            let part = |(length, kind, value): (u16, u16, u32)| {
                [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &value.to_ne_bytes()].concat()
            };
            let mut bytes = parts.into_iter().map(part).collect::<Vec<_>>().concat();
            bytes.truncate(bytes.len().saturating_sub(cut));
            let message = link(libc::AF_UNSPEC, &[bytes]);
            let brief = brief(&message);
            prop_assert!(brief.len() <= message.len());
            prop_assert_eq!(header(&brief).length as usize, brief.len());
        }
    }
}
