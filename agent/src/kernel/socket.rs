//! One way to talk rtnetlink: blocking, batched, with time-outs and the kernel's own sentences.
//!
//! rtnetlink's connection is not used for requests: it cannot send several messages at once, turns a refused dump into
//! an empty list and does not flag interrupted ones. Its message builders are.

mod message;

use std::{io::ErrorKind, sync::LazyLock};

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

use crate::metrics::{Exchange, Metrics};

use super::{error::KernelError, operation::operation};
pub(super) use message::{Message, parse};

/// How long the kernel may take for one answer: RTNL is one lock for the whole node, and others hold it for seconds.
const ANSWER_SECONDS: u64 = 10;

/// Bytes of one send. The kernel may refuse each message of a batch, and says so into a buffer of ours that must not overflow.
const BATCH_BYTES: usize = 16 * 1024;

/// Messages of one send, for the same reason.
const BATCH_MESSAGES: usize = 64;

/// Objects that are asked for in one send: an answer takes up to 4 KiB of the receive buffer.
const ASKED_AT_ONCE: usize = 32;

/// Receive buffer in bytes, as much as the kernel allows of it.
const RECEIVE_BYTES: usize = 1024 * 1024;

/// Bytes of the largest datagram: the kernel fills at most 32 KiB for a dump (`netlink_recvmsg` of
/// net/netlink/af_netlink.c).
const DATAGRAM_BYTES: usize = 64 * 1024;

/// Tries of a dump under which the table changes.
const DUMP_TRIES: usize = 8;

/// What counts where nobody was told to: nobody reads it. To make one takes longer than to open a socket.
static UNREAD: LazyLock<Metrics> = LazyLock::new(Metrics::default);

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
    metrics: Metrics,
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
        Ok(Self { socket, sequence: 0, cookie, buffer: Vec::new(), metrics: UNREAD.clone() })
    }

    /// The same, and what it is asked counts here.
    pub(super) fn measured(self, metrics: &Metrics) -> Self {
        Self { metrics: metrics.clone(), ..self }
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
        let mut requests = requests.into_iter().peekable();
        while let Some(request) = requests.next() {
            pending.push(operation(&request.message));
            // One send may be a message longer than that.
            let last = requests.peek().is_none() || bytes.len() >= BATCH_BYTES || pending.len() >= BATCH_MESSAGES;
            self.append_request(&mut bytes, request, last);
            if last {
                self.flush(&mut bytes, &mut pending, &mut answers)?;
            }
        }
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
        let metrics = self.metrics.clone();
        let answers = metrics.netlink.exchange(Exchange::Get, 1, || {
            self.send(message, NLM_F_REQUEST, operation)?;
            self.receive(operation, false)
        })?;
        answers.messages.into_iter().next().ok_or_else(|| KernelError::Vanished("the object".to_owned()))
    }

    /// Asks for several objects in few system calls, and returns the kernel's answer for each.
    ///
    /// # Errors
    ///
    /// The socket itself failed.
    pub(super) fn get_each(
        &mut self,
        messages: &[RouteNetlinkMessage],
    ) -> Result<Vec<Result<RouteNetlinkMessage, KernelError>>, KernelError> {
        let mut answers = Vec::with_capacity(messages.len());
        for messages in messages.chunks(ASKED_AT_ONCE) {
            let base = self.sequence.wrapping_add(1);
            let mut bytes = Vec::new();
            for message in messages {
                self.append(&mut bytes, message.clone(), NLM_F_REQUEST);
            }
            let operation = messages.first().map_or("", operation);
            self.socket.send(&bytes, 0).map_err(|error| KernelError::io("send", operation, &error))?;
            let mut found: Vec<Option<Result<RouteNetlinkMessage, KernelError>>> =
                messages.iter().map(|_| None).collect();
            let mut missing = messages.len();
            while missing > 0 {
                let length = self.fill(operation)?;
                for message in parse(&self.buffer[..length], operation)? {
                    let (header, answer) = match message {
                        Message::Object { header, object, .. } => {
                            (header, object.ok_or_else(|| KernelError::Vanished("an object that parses".to_owned())))
                        }
                        Message::Answer { header, code, sentence } => {
                            let none = || KernelError::Vanished("the object".to_owned());
                            (header, verdict(operation, code, sentence).and_then(|()| Err(none())))
                        }
                        Message::Discipline { .. } | Message::Done { .. } => continue,
                    };
                    let at = header.sequence_number.wrapping_sub(base) as usize;
                    if let Some(slot) = found.get_mut(at).filter(|slot| slot.is_none()) {
                        *slot = Some(answer);
                        missing -= 1;
                    }
                }
            }
            answers.extend(found.into_iter().flatten());
        }
        Ok(answers)
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
            let metrics = self.metrics.clone();
            let dump = metrics.netlink.exchange(Exchange::Dump, 1, || {
                self.send(message.clone(), NLM_F_REQUEST | NLM_F_DUMP, operation)?;
                self.receive(operation, true)
            })?;
            if !dump.interrupted {
                return Ok(dump);
            }
        }
        Err(KernelError::Unsteady { operation, tries: DUMP_TRIES })
    }

    /// Appends a message of a batch. The kernel carries them out one after the other and tells of each that it refuses; so only
    /// the last one is acknowledged, and with it all before it of which nothing was said.
    fn append_request(&mut self, bytes: &mut Vec<u8>, request: Request, last: bool) {
        let acknowledge = if last { NLM_F_ACK } else { 0 };
        let mode = match request.mode {
            Mode::Change => 0,
            Mode::Create => NLM_F_CREATE | NLM_F_EXCL,
            Mode::Replace => NLM_F_CREATE | NLM_F_REPLACE,
        };
        self.append(bytes, request.message, NLM_F_REQUEST | acknowledge | mode);
    }

    fn append(&mut self, bytes: &mut Vec<u8>, message: RouteNetlinkMessage, flags: u16) {
        let message = self.finish(message, flags);
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
        let metrics = self.metrics.clone();
        let outcome =
            metrics.netlink.exchange(Exchange::Batch, pending.len(), || self.exchange(bytes, pending, first))?;
        answers.extend(outcome);
        bytes.clear();
        pending.clear();
        Ok(())
    }

    /// Sends messages, and waits until the kernel has said something to the last one.
    fn exchange(
        &mut self,
        bytes: &[u8],
        pending: &[&'static str],
        first: &'static str,
    ) -> Result<Vec<Result<(), KernelError>>, KernelError> {
        self.socket.send(bytes, 0).map_err(|error| KernelError::io("send", first, &error))?;
        let base = self.sequence.wrapping_sub(u32::try_from(pending.len()).unwrap_or(0));
        let mut outcome: Vec<Result<(), KernelError>> = pending.iter().map(|_| Ok(())).collect();
        loop {
            let length = self.fill(first)?;
            for message in parse(&self.buffer[..length], first)? {
                let Message::Answer { header, code, sentence } = message else { continue };
                let at = header.sequence_number.wrapping_sub(base).wrapping_sub(1) as usize;
                let Some(slot) = outcome.get_mut(at) else { continue };
                *slot = verdict(pending[at], code, sentence);
                if at + 1 == pending.len() {
                    return Ok(outcome);
                }
            }
        }
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
