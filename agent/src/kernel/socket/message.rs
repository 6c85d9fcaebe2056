//! Datagrams of rtnetlink, taken apart.

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
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(whole).map(|message| message.payload) {
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
