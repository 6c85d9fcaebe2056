//! The blocks of a pcapng file, as draft-ietf-opsawg-pcapng has them, in the byte order of the node.

use std::ops::Range;

/// Block types, section 11.1.
const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// `LINKTYPE_ETHERNET`.
const ETHERNET: u16 = 1;

/// Options: of the section header, of interfaces, of packets, of statistics.
const SHB_USERAPPL: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const ISB_STARTTIME: u16 = 2;
const ISB_ENDTIME: u16 = 3;
const ISB_IFRECV: u16 = 4;
const ISB_IFDROP: u16 = 5;
const ISB_USRDELIV: u16 = 8;

/// Bytes of the two addresses of a frame, after which a VLAN tag stands.
const ADDRESSES: usize = 12;

/// Which way a frame went, as the interface sees it: the values of `epb_flags`, bits 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Inbound = 1,
    Outbound = 2,
}

/// A frame for a file.
pub(super) struct Packet<'a> {
    /// Number of its interface.
    pub(super) interface: u32,
    /// Nanoseconds since 1970.
    pub(super) stamp: u64,
    /// What is kept of it, without the tag.
    pub(super) bytes: &'a [u8],
    /// Bytes that it had, without the tag.
    pub(super) length: usize,
    /// Protocol and control information of the tag that stood beside it.
    pub(super) vlan: Option<(u16, u16)>,
    /// Which way it went.
    pub(super) direction: Direction,
}

/// What is known of an interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Frames that were accepted.
    pub(super) received: u64,
    /// Frames that were dropped.
    pub(super) dropped: u64,
    /// Frames in the file.
    pub(super) delivered: u64,
}

/// Begins a file.
pub(super) fn section(file: &mut Vec<u8>) {
    block(file, SECTION_HEADER, |body| {
        word(body, 0x1a2b_3c4d);
        half(body, 1);
        half(body, 0);
        // Length of the section: not known.
        body.extend(u64::MAX.to_ne_bytes());
        option(body, SHB_USERAPPL, concat!("podwire ", env!("CARGO_PKG_VERSION")).as_bytes());
        option(body, 0, &[]);
    });
}

/// Describes the next interface.
pub(super) fn interface(file: &mut Vec<u8>, name: &str, description: &str, snap_length: u32) {
    block(file, INTERFACE_DESCRIPTION, |body| {
        half(body, ETHERNET);
        half(body, 0);
        word(body, snap_length);
        option(body, IF_NAME, name.as_bytes());
        option(body, IF_DESCRIPTION, description.as_bytes());
        // Nanoseconds: 10 to the power of -9.
        option(body, IF_TSRESOL, &[9]);
        option(body, 0, &[]);
    });
}

/// Adds a frame, with at most `snap_length` bytes of it; returns where its block stands.
pub(super) fn packet(file: &mut Vec<u8>, packet: &Packet<'_>, snap_length: usize) -> Range<usize> {
    let begin = file.len();
    block(file, ENHANCED_PACKET, |body| {
        let tag = packet.vlan.filter(|_| packet.bytes.len() >= ADDRESSES);
        let extra = if tag.is_some() { 4 } else { 0 };
        let kept = (packet.bytes.len() + extra).min(snap_length);
        word(body, packet.interface);
        stamp(body, packet.stamp);
        word(body, number(kept));
        word(body, number(packet.length + extra));
        let data = body.len();
        if let Some((protocol, control)) = tag {
            body.extend(&packet.bytes[..ADDRESSES]);
            body.extend(protocol.to_be_bytes());
            body.extend(control.to_be_bytes());
            body.extend(&packet.bytes[ADDRESSES..]);
        } else {
            body.extend(packet.bytes);
        }
        body.truncate(data + kept);
        pad(body, kept);
        option(body, EPB_FLAGS, &(packet.direction as u32).to_ne_bytes());
        option(body, 0, &[]);
    });
    begin..file.len()
}

/// Tells what is known of an interface since `since`.
pub(super) fn statistics(file: &mut Vec<u8>, interface: u32, counts: Counts, since: u64, now: u64) {
    block(file, INTERFACE_STATISTICS, |body| {
        word(body, interface);
        stamp(body, now);
        for (code, time) in [(ISB_STARTTIME, since), (ISB_ENDTIME, now)] {
            let mut halves = Vec::with_capacity(8);
            stamp(&mut halves, time);
            option(body, code, &halves);
        }
        option(body, ISB_IFRECV, &counts.received.to_ne_bytes());
        option(body, ISB_IFDROP, &counts.dropped.to_ne_bytes());
        option(body, ISB_USRDELIV, &counts.delivered.to_ne_bytes());
        option(body, 0, &[]);
    });
}

/// A block: type, length, body, length again.
fn block(file: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = file.len();
    word(file, kind);
    word(file, 0);
    body(file);
    let length = number(file.len() - begin + 4);
    file[begin + 4..begin + 8].copy_from_slice(&length.to_ne_bytes());
    word(file, length);
}

/// An option: code, length, value, padded to 32 bits. Code 0 ends a list.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    half(body, code);
    half(body, u16::try_from(value.len()).unwrap_or(u16::MAX));
    body.extend(value);
    pad(body, value.len());
}

/// Zeros up to the next 32 bits after `length` bytes.
fn pad(body: &mut Vec<u8>, length: usize) {
    body.resize(body.len() + length.next_multiple_of(4) - length, 0);
}

/// A time: the upper 32 bits first, whatever the byte order.
fn stamp(body: &mut Vec<u8>, time: u64) {
    word(body, u32::try_from(time >> 32).unwrap_or(u32::MAX));
    word(body, u32::try_from(time & 0xffff_ffff).unwrap_or(u32::MAX));
}

fn word(body: &mut Vec<u8>, value: u32) {
    body.extend(value.to_ne_bytes());
}

fn half(body: &mut Vec<u8>, value: u16) {
    body.extend(value.to_ne_bytes());
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type and body of each block; panics where the lengths do not meet.
    fn blocks(mut file: &[u8]) -> Vec<(u32, &[u8])> {
        let mut found = Vec::new();
        while !file.is_empty() {
            let at = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
            let length = at(4) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(at(length - 4) as usize, length, "both lengths");
            found.push((at(0), &file[8..length - 4]));
            file = &file[length..];
        }
        found
    }

    #[test]
    fn every_block_is_whole_and_aligned() {
        let mut file = Vec::new();
        section(&mut file);
        interface(&mut file, "bb1/net1", "link w1", 262_144);
        for length in 0..70 {
            let bytes = vec![7; length];
            let direction = Direction::Outbound;
            let frame = Packet { interface: 0, stamp: 1, bytes: &bytes, length, vlan: Some((0x8100, 42)), direction };
            packet(&mut file, &frame, 48);
        }
        statistics(&mut file, 0, Counts::default(), 0, 1);
        let kinds: Vec<u32> = blocks(&file).iter().map(|block| block.0).collect();
        assert_eq!((kinds.len(), kinds[0], kinds[1], kinds[2], kinds[72]), (73, SECTION_HEADER, 1, 6, 5));
    }

    #[test]
    fn a_tag_is_put_back_and_counts_as_part_of_the_frame() {
        let mut file = Vec::new();
        let bytes: Vec<u8> = (0..20).collect();
        let direction = Direction::Inbound;
        let frame = Packet {
            interface: 3,
            stamp: 5 << 32 | 9,
            bytes: &bytes,
            length: 100,
            vlan: Some((0x88a8, 0x602a)),
            direction,
        };
        packet(&mut file, &frame, 18);
        let body = blocks(&file)[0].1;
        let words: Vec<u32> = body[..20].chunks(4).map(|w| u32::from_ne_bytes(w.try_into().unwrap())).collect();
        assert_eq!(words, [3, 5, 9, 18, 104]);
        assert_eq!(body[20..38], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x88, 0xa8, 0x60, 0x2a, 12, 13]);
        assert_eq!(body[40..48], [2u16.to_ne_bytes(), 4u16.to_ne_bytes(), 1u16.to_ne_bytes(), [0, 0]].concat());
    }
}
