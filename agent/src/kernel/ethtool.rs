//! Whether a device leaves checksums to others, by ethtool over generic netlink (linux/ethtool_netlink.h,
//! Documentation/networking/ethtool-netlink.rst).

use std::collections::BTreeMap;

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};
use nix::{
    errno::Errno,
    libc,
    sys::{
        socket::{setsockopt, sockopt::ReceiveTimeout},
        time::{TimeVal, TimeValLike},
    },
};

use super::{
    KernelError, Netns,
    attribute::{attributes, push, u32_at},
};

/// Family of generic netlink's own requests, and its one request that matters here.
const GENL_ID_CTRL: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
/// `ETHTOOL_FLAG_OMIT_REPLY`.
const OMIT_REPLY: u32 = 2;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;

/// `NLA_F_NESTED`, which ethtool insists on.
const NESTED: u16 = 1 << 15;

/// The kernel's name of what a veth has: it takes frames whose checksum is not finished, and hands them on like that.
const FEATURE: &[u8] = b"tx-checksum-ip-generic\0";

/// Bytes of `struct nlmsghdr` and of `struct genlmsghdr`.
const HEADER_BYTES: usize = 16;
const GENERIC_BYTES: usize = 4;

/// Seconds that the kernel may take for an answer.
const ANSWER_SECONDS: i64 = 10;

/// Bytes of the largest datagram.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// Whether each device of a namespace leaves checksums to others, by index.
pub(super) fn tx_checksums(netns: &Netns) -> Result<BTreeMap<u32, bool>, KernelError> {
    netns.visit(|| {
        let mut socket = GenericSocket::open()?;
        let family = socket.family()?;
        let mut header = Vec::new();
        push(&mut header, ETHTOOL_A_FEATURES_HEADER | NESTED, &[]);
        let dump = i32_flags(libc::NLM_F_REQUEST | libc::NLM_F_DUMP);
        let answers = socket.call("ETHTOOL_MSG_FEATURES_GET", family, dump, ETHTOOL_MSG_FEATURES_GET, &header)?;
        Ok(answers.iter().filter_map(|body| features(body)).collect())
    })?
}

/// Lets a device of a namespace leave checksums to others, or finish them.
pub(super) fn set_tx_checksum(netns: &Netns, index: u32, on: bool) -> Result<(), KernelError> {
    netns.visit(move || set(index, on))?
}

/// The same in the namespace of the calling thread.
pub(super) fn set(index: u32, on: bool) -> Result<(), KernelError> {
    let mut socket = GenericSocket::open()?;
    let family = socket.family()?;
    let (mut header, mut bit, mut bits, mut bitset, mut body) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    push(&mut header, ETHTOOL_A_HEADER_DEV_INDEX, &index.to_ne_bytes());
    push(&mut header, ETHTOOL_A_HEADER_FLAGS, &OMIT_REPLY.to_ne_bytes());
    push(&mut bit, ETHTOOL_A_BITSET_BIT_NAME, FEATURE);
    if on {
        push(&mut bit, ETHTOOL_A_BITSET_BIT_VALUE, &[]);
    }
    push(&mut bits, ETHTOOL_A_BITSET_BITS_BIT | NESTED, &bit);
    push(&mut bitset, ETHTOOL_A_BITSET_BITS | NESTED, &bits);
    push(&mut body, ETHTOOL_A_FEATURES_HEADER | NESTED, &header);
    push(&mut body, ETHTOOL_A_FEATURES_WANTED | NESTED, &bitset);
    let flags = i32_flags(libc::NLM_F_REQUEST | libc::NLM_F_ACK);
    socket.call("ETHTOOL_MSG_FEATURES_SET", family, flags, ETHTOOL_MSG_FEATURES_SET, &body).map(drop)
}

fn i32_flags(flags: i32) -> u16 {
    u16::try_from(flags).unwrap_or_default()
}

/// Index of a device and whether it has the feature, from one message.
pub(super) fn features(body: &[u8]) -> Option<(u32, bool)> {
    let (mut index, mut on) = (None, false);
    for (kind, value) in attributes(body) {
        match kind {
            ETHTOOL_A_FEATURES_HEADER => {
                let found = attributes(value).find(|(kind, _)| *kind == ETHTOOL_A_HEADER_DEV_INDEX);
                index = found.map(|(_, value)| u32_at(value, 0));
            }
            ETHTOOL_A_FEATURES_ACTIVE => {
                let bits = attributes(value).filter(|(kind, _)| *kind == ETHTOOL_A_BITSET_BITS);
                let mut names = bits.flat_map(|(_, bits)| attributes(bits)).flat_map(|(_, bit)| attributes(bit));
                on = names.any(|(kind, name)| kind == ETHTOOL_A_BITSET_BIT_NAME && name == FEATURE);
            }
            _ => {}
        }
    }
    Some((index?, on))
}

/// A socket of generic netlink in the namespace in which it was made.
struct GenericSocket {
    socket: Socket,
    sequence: u32,
}

impl GenericSocket {
    fn open() -> Result<Self, KernelError> {
        let failed =
            |operation| move |error: std::io::Error| KernelError::io(operation, "a generic netlink socket", &error);
        let mut socket = Socket::new(NETLINK_GENERIC).map_err(failed("open"))?;
        socket.bind_auto().map_err(failed("bind"))?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(failed("connect"))?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(ANSWER_SECONDS))
            .map_err(|errno| KernelError::call("set SO_RCVTIMEO of", "a generic netlink socket", errno))?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The number of ethtool's family, which the kernel chooses at its start.
    fn family(&mut self) -> Result<u16, KernelError> {
        const OPERATION: &str = "CTRL_CMD_GETFAMILY";
        let mut body = Vec::new();
        push(&mut body, CTRL_ATTR_FAMILY_NAME, b"ethtool\0");
        let flags = i32_flags(libc::NLM_F_REQUEST | libc::NLM_F_ACK);
        let answers = self.call(OPERATION, GENL_ID_CTRL, flags, CTRL_CMD_GETFAMILY, &body)?;
        let mut all = answers.iter().flat_map(|body| attributes(body));
        let found = all.find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID);
        let id = found.and_then(|(_, value)| value.get(..2)?.try_into().ok()).map(u16::from_ne_bytes);
        id.ok_or_else(|| KernelError::Vanished("the family `ethtool` of generic netlink".to_owned()))
    }

    /// Sends a request and returns the bodies of all answers, up to the end that the kernel says.
    fn call(
        &mut self,
        operation: &'static str,
        family: u16,
        flags: u16,
        command: u8,
        body: &[u8],
    ) -> Result<Vec<Vec<u8>>, KernelError> {
        self.sequence += 1;
        let length = u32::try_from(HEADER_BYTES + GENERIC_BYTES + body.len()).unwrap_or(u32::MAX);
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(family.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend([0; 4]);
        message.extend([command, 1, 0, 0]);
        message.extend(body);
        self.socket.send(&message, 0).map_err(|error| KernelError::io("send", operation, &error))?;
        let mut found = Vec::new();
        loop {
            let mut buffer = Vec::with_capacity(DATAGRAM_BYTES);
            self.socket
                .recv(&mut buffer, 0)
                .map_err(|error| KernelError::io("receive the answer to", operation, &error))?;
            if !answers(&buffer, self.sequence, operation, &mut found)? {
                return Ok(found);
            }
        }
    }
}

/// Adds the bodies of a datagram's answers to a request. False: the kernel has nothing more to say.
pub(super) fn answers(
    mut datagram: &[u8],
    sequence: u32,
    operation: &'static str,
    found: &mut Vec<Vec<u8>>,
) -> Result<bool, KernelError> {
    while datagram.len() >= HEADER_BYTES {
        let length = u32_at(datagram, 0) as usize;
        let Some(message) = datagram.get(..length).filter(|message| message.len() >= HEADER_BYTES) else { break };
        match i32::from(u16::from_ne_bytes([message[4], message[5]])) {
            _ if u32_at(message, 8) != sequence => {}
            libc::NLMSG_DONE => return Ok(false),
            libc::NLMSG_ERROR => {
                let code = u32_at(message, HEADER_BYTES).cast_signed();
                if code == 0 {
                    return Ok(false);
                }
                let errno = Errno::from_raw(code.saturating_abs());
                return Err(KernelError::Netlink { operation, errno, sentence: String::new() });
            }
            _ => found.push(message.get(HEADER_BYTES + GENERIC_BYTES..).unwrap_or_default().to_vec()),
        }
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}
