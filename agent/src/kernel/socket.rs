//! One way to talk rtnetlink: blocking, batched, with time-outs and the kernel's own sentences.
//!
//! rtnetlink's connection is not used for requests: it cannot send several messages at once, turns a refused dump into
//! an empty list and does not flag interrupted ones. Its message builders are.

use std::io::ErrorKind;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::{
    errno::Errno,
    libc,
    sys::{
        socket::{
            getsockopt, setsockopt,
            sockopt::{self, ReceiveTimeout},
        },
        time::{TimeVal, TimeValLike},
    },
};

use super::{error::KernelError, operation::operation};

/// How long the kernel may take for one answer: RTNL is one lock for the whole node, and others hold it for seconds.
const ANSWER_SECONDS: u64 = 10;

/// Bytes of one send. The kernel answers each message of a batch at once, into a buffer of ours that must not overflow.
const BATCH_BYTES: usize = 16 * 1024;

/// Messages of one send, for the same reason.
const BATCH_MESSAGES: usize = 64;

/// Receive buffer in bytes, as much as the kernel allows of it.
const RECEIVE_BYTES: usize = 1024 * 1024;

/// Bytes of the largest datagram: the kernel fills at most 32 KiB for a dump (`netlink_recvmsg` of
/// net/netlink/af_netlink.c).
const DATAGRAM_BYTES: usize = 64 * 1024;

/// Tries of a dump under which the table changes.
const DUMP_TRIES: usize = 8;

/// Identity of a socket's network namespace.
#[derive(Debug, Clone, Copy)]
struct NetnsCookie;

nix::getsockopt_impl!(NetnsCookie, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, u64, sockopt::GetStruct<u64>);

/// What to do where the object is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Change what is there, or remove it.
    Change,
    /// Make it; refuse where it is there.
    Create,
    /// Make it, or change what is there.
    Replace,
}

/// One message of a batch.
#[derive(Debug, Clone)]
pub(super) struct Request {
    /// The message.
    pub(super) message: RouteNetlinkMessage,
    /// What to do where the object is there already.
    pub(super) mode: Mode,
}

/// A netlink socket of the namespace in which it was made.
pub(super) struct RouteSocket {
    socket: Socket,
    sequence: u32,
    cookie: u64,
    buffer: Vec<u8>,
}

impl RouteSocket {
    /// Opens a socket in the namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub(super) fn open() -> Result<Self, KernelError> {
        let failed = |operation| move |error: std::io::Error| KernelError::io(operation, "a netlink socket", &error);
        let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed("open"))?;
        socket.bind_auto().map_err(failed("bind"))?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(failed("connect"))?;
        socket.set_ext_ack(true).map_err(failed("set NETLINK_EXT_ACK of"))?;
        socket.set_cap_ack(true).map_err(failed("set NETLINK_CAP_ACK of"))?;
        socket.set_netlink_get_strict_chk(true).map_err(failed("set NETLINK_GET_STRICT_CHK of"))?;
        socket.set_rx_buf_sz(i32::try_from(RECEIVE_BYTES).unwrap_or(i32::MAX)).map_err(failed("set SO_RCVBUF of"))?;
        let seconds = TimeVal::seconds(i64::try_from(ANSWER_SECONDS).unwrap_or(i64::MAX));
        let call = |operation| move |errno| KernelError::call(operation, "a netlink socket", errno);
        setsockopt(&socket, ReceiveTimeout, &seconds).map_err(call("set SO_RCVTIMEO of"))?;
        let cookie = getsockopt(&socket, NetnsCookie).map_err(call("get SO_NETNS_COOKIE of"))?;
        Ok(Self { socket, sequence: 0, cookie, buffer: Vec::new() })
    }

    /// Identity of its namespace.
    pub(super) fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Sends messages in few system calls and returns what the kernel said to each. A message that fails does not
    /// keep the following ones from being carried out.
    ///
    /// # Errors
    ///
    /// The socket itself failed: what was carried out is unknown.
    pub(super) fn batch(&mut self, requests: Vec<Request>) -> Result<Vec<Result<(), KernelError>>, KernelError> {
        let mut answers = Vec::with_capacity(requests.len());
        let mut pending: Vec<&'static str> = Vec::new();
        let mut bytes = Vec::with_capacity(BATCH_BYTES);
        for request in requests {
            let operation = operation(&request.message);
            self.append(&mut bytes, request);
            pending.push(operation);
            if bytes.len() >= BATCH_BYTES || pending.len() >= BATCH_MESSAGES {
                self.flush(&mut bytes, &mut pending, &mut answers)?;
            }
        }
        self.flush(&mut bytes, &mut pending, &mut answers)?;
        Ok(answers)
    }

    /// Sends one message.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub(super) fn call(&mut self, message: RouteNetlinkMessage, mode: Mode) -> Result<(), KernelError> {
        self.batch(vec![Request { message, mode }])?.into_iter().collect()
    }

    /// Asks for one object.
    ///
    /// # Errors
    ///
    /// The kernel's words; `is_gone` where it is not there.
    pub(super) fn get(&mut self, message: RouteNetlinkMessage) -> Result<RouteNetlinkMessage, KernelError> {
        let operation = operation(&message);
        self.send(message, NLM_F_REQUEST, operation)?;
        let answers = self.receive(operation, false)?;
        answers.messages.into_iter().next().ok_or_else(|| KernelError::Vanished("the object".to_owned()))
    }

    /// Asks for a whole table, as often as it takes to get one that did not change meanwhile. Entries that do not
    /// parse are left out and counted.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub(super) fn dump(&mut self, message: &RouteNetlinkMessage) -> Result<Dump, KernelError> {
        let operation = operation(message);
        for _ in 0..DUMP_TRIES {
            self.send(message.clone(), NLM_F_REQUEST | NLM_F_DUMP, operation)?;
            let dump = self.receive(operation, true)?;
            if !dump.interrupted {
                return Ok(dump);
            }
        }
        Err(KernelError::Unsteady { operation, tries: DUMP_TRIES })
    }

    fn append(&mut self, bytes: &mut Vec<u8>, request: Request) {
        let flags = NLM_F_REQUEST
            | NLM_F_ACK
            | match request.mode {
                Mode::Change => 0,
                Mode::Create => NLM_F_CREATE | NLM_F_EXCL,
                Mode::Replace => NLM_F_CREATE | NLM_F_REPLACE,
            };
        let message = self.finish(request.message, flags);
        let start = bytes.len().next_multiple_of(4);
        bytes.resize(start + message.buffer_len(), 0);
        message.serialize(&mut bytes[start..]);
    }

    fn finish(&mut self, message: RouteNetlinkMessage, flags: u16) -> NetlinkMessage<RouteNetlinkMessage> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        message
    }

    fn flush(
        &mut self,
        bytes: &mut Vec<u8>,
        pending: &mut Vec<&'static str>,
        answers: &mut Vec<Result<(), KernelError>>,
    ) -> Result<(), KernelError> {
        let Some(first) = pending.first().copied() else { return Ok(()) };
        self.socket.send(bytes, 0).map_err(|error| KernelError::io("send", first, &error))?;
        let base = self.sequence.wrapping_sub(u32::try_from(pending.len()).unwrap_or(0));
        let mut outcome: Vec<Option<Result<(), KernelError>>> = pending.iter().map(|_| None).collect();
        let mut missing = pending.len();
        while missing > 0 {
            let length = self.fill(first)?;
            for message in parse(&self.buffer[..length], first)? {
                let Message::Answer { header, code, sentence } = message else { continue };
                let at = header.sequence_number.wrapping_sub(base).wrapping_sub(1) as usize;
                if let Some(slot) = outcome.get_mut(at).filter(|slot| slot.is_none()) {
                    *slot = Some(verdict(pending[at], code, sentence));
                    missing -= 1;
                }
            }
        }
        answers.extend(outcome.into_iter().flatten());
        bytes.clear();
        pending.clear();
        Ok(())
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16, operation: &'static str) -> Result<(), KernelError> {
        let message = self.finish(message, flags);
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.socket.send(&bytes, 0).map(drop).map_err(|error| KernelError::io("send", operation, &error))
    }

    fn receive(&mut self, operation: &'static str, all: bool) -> Result<Dump, KernelError> {
        let mut dump = Dump::default();
        loop {
            let length = self.fill(operation)?;
            for message in parse(&self.buffer[..length], operation)? {
                match message {
                    Message::Object { header, index, object } if header.sequence_number == self.sequence => {
                        dump.interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                        match object {
                            Some(object) => dump.messages.push(object),
                            None => dump.unparsed.push(index),
                        }
                        if !all {
                            return Ok(dump);
                        }
                    }
                    Message::Answer { header, code, sentence } if header.sequence_number == self.sequence => {
                        verdict(operation, code, sentence)?;
                        return Ok(dump);
                    }
                    Message::Done { header, code } if header.sequence_number == self.sequence => {
                        dump.interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                        verdict(operation, code, String::new())?;
                        return Ok(dump);
                    }
                    Message::Discipline { header, body } if header.sequence_number == self.sequence => {
                        dump.interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                        dump.disciplines.push(body);
                    }
                    Message::Object { .. }
                    | Message::Discipline { .. }
                    | Message::Answer { .. }
                    | Message::Done { .. } => {}
                }
            }
        }
    }

    /// Reads one datagram into the buffer; returns its length.
    fn fill(&mut self, operation: &'static str) -> Result<usize, KernelError> {
        loop {
            self.buffer.clear();
            self.buffer.reserve(DATAGRAM_BYTES);
            match self.socket.recv(&mut self.buffer, libc::MSG_TRUNC) {
                Ok(length) if length == self.buffer.len() => return Ok(length),
                Ok(length) => {
                    let problem = format!("a datagram of {length} bytes, {DATAGRAM_BYTES} are the most");
                    return Err(KernelError::Garbled { operation, problem });
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => {
                        return Err(KernelError::Silent { operation, seconds: ANSWER_SECONDS });
                    }
                    _ => return Err(KernelError::io("receive the answer to", operation, &error)),
                },
            }
        }
    }
}

/// A table.
#[derive(Debug, Default)]
pub(super) struct Dump {
    /// Its entries.
    pub(super) messages: Vec<RouteNetlinkMessage>,
    /// Interface indexes of devices that do not parse; of no meaning for other tables.
    pub(super) unparsed: Vec<u32>,
    /// Bodies of queueing disciplines: no crate types their options, and some do not parse as attributes.
    pub(super) disciplines: Vec<Vec<u8>>,
    interrupted: bool,
}

/// A message of a datagram.
pub(super) enum Message {
    Object { header: NetlinkHeader, index: u32, object: Option<RouteNetlinkMessage> },
    Discipline { header: NetlinkHeader, body: Vec<u8> },
    Answer { header: NetlinkHeader, code: i32, sentence: String },
    Done { header: NetlinkHeader, code: i32 },
}

/// Splits a datagram into messages. Each is parsed by itself: one that does not parse does not hide the others.
pub(super) fn parse(mut bytes: &[u8], operation: &'static str) -> Result<Vec<Message>, KernelError> {
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

fn verdict(operation: &'static str, code: i32, sentence: String) -> Result<(), KernelError> {
    match code {
        0 => Ok(()),
        code => Err(KernelError::Netlink { operation, errno: Errno::from_raw(code.saturating_abs()), sentence }),
    }
}

impl std::fmt::Debug for RouteSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteSocket").field("cookie", &self.cookie).finish_non_exhaustive()
    }
}
