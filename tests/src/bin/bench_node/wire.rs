//! Netlink as bytes: what one would write who wants the kernel's price and nothing else.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
        sockopt::RcvBuf,
    },
};

// Message types, flags and attributes: linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h, pkt_sched.h, pkt_cls.h.
pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_DELLINK: u16 = 17;
pub(crate) const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_SETLINK: u16 = 19;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_GETADDR: u16 = 22;
pub(crate) const RTM_NEWQDISC: u16 = 36;
pub(crate) const RTM_NEWTFILTER: u16 = 44;
pub(crate) const RTM_NEWLINKPROP: u16 = 108;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u8 = 4;
const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_EXCL: u16 = 0x200;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;

/// An attribute of questions for devices, and RTEXT_FILTER_SKIP_STATS of it: without counters.
const IFLA_EXT_MASK: u16 = 29;
const SKIP_STATS: u32 = 8;

/// `struct nlmsghdr`.
const HEADER: usize = 16;

/// Bytes of `struct ifinfomsg`, after which the attributes of a link come.
pub(crate) const LINK_HEADER: usize = 16;

/// Bytes of `struct ifaddrmsg`.
pub(crate) const ADDRESS_HEADER: usize = 8;

/// Several messages for one send.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    messages: u32,
    /// Where the last one begins.
    last: usize,
}

impl Batch {
    /// Appends a message; `fill` writes what comes behind its header.
    pub(crate) fn message(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Body<'_>)) {
        self.append(kind, flags, fill);
    }

    /// Appends a question for a device.
    pub(crate) fn question(&mut self, index: u32) {
        self.append(RTM_GETLINK, 0, |body| {
            body.link(index, false);
            body.number(IFLA_EXT_MASK, SKIP_STATS);
        });
    }

    fn append(&mut self, kind: u16, flags: u16, fill: impl FnOnce(&mut Body<'_>)) {
        let start = self.bytes.len();
        (self.last, self.messages) = (start, self.messages + 1);
        self.bytes.resize(start + HEADER, 0);
        fill(&mut Body(&mut self.bytes));
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 4..start + 6].copy_from_slice(&kind.to_ne_bytes());
        self.bytes[start + 6..start + 8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        self.bytes[start + 8..start + 12].copy_from_slice(&self.messages.to_ne_bytes());
    }
}

/// The part of a message behind its header.
pub(crate) struct Body<'a>(&'a mut Vec<u8>);

impl Body<'_> {
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// `struct ifinfomsg`: up, or as it is.
    pub(crate) fn link(&mut self, index: u32, up: bool) {
        let flags = u32::from(up);
        self.raw(&[0; 4]);
        self.raw(&index.to_ne_bytes());
        self.raw(&flags.to_ne_bytes());
        self.raw(&flags.to_ne_bytes());
    }

    pub(crate) fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.raw(&length.to_ne_bytes());
        self.raw(&kind.to_ne_bytes());
        self.raw(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    pub(crate) fn number(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    pub(crate) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Body<'_>)) {
        let start = self.0.len();
        self.attribute(kind, &[]);
        fill(&mut Body(self.0));
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX);
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    }
}

/// A netlink socket of the namespace in which it was made.
#[derive(Debug)]
pub(crate) struct Wire(OwnedFd);

impl Wire {
    pub(crate) fn open() -> Result<Self> {
        let wire = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)
            .context("open a netlink socket")?;
        bind(wire.as_raw_fd(), &NetlinkAddr::new(0, 0)).context("bind a netlink socket")?;
        setsockopt(&wire, RcvBuf, &(1 << 20)).context("enlarge the receive buffer")?;
        Ok(Self(wire))
    }

    /// Sends all at once and waits for the acknowledgement of the last one; of the others the kernel tells those that it refuses.
    pub(crate) fn carry_out(&self, batch: &Batch) -> Result<()> {
        if batch.messages == 0 {
            return Ok(());
        }
        let (mut bytes, mut done) = (batch.bytes.clone(), false);
        // `nlmsg_flags` of `struct nlmsghdr`: its low byte.
        bytes[batch.last + 6] |= NLM_F_ACK;
        send(self.0.as_raw_fd(), &bytes, MsgFlags::empty()).context("send to netlink")?;
        let mut buffer = vec![0; 64 << 10];
        while !done {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).context("receive from netlink")?;
            for (kind, number, body) in messages(&buffer[..length]) {
                if kind == NLMSG_ERROR {
                    done = number == batch.messages;
                    let code = i32::from_ne_bytes(body.get(..4).context("a short answer")?.try_into()?);
                    ensure!(code == 0, "message {number} of {}: {}", batch.messages, Errno::from_raw(-code));
                }
            }
        }
        Ok(())
    }

    /// Sends questions, all at once, and hands every answer to `see`.
    pub(crate) fn ask(&self, batch: &Batch, mut see: impl FnMut(&[u8])) -> Result<()> {
        send(self.0.as_raw_fd(), &batch.bytes, MsgFlags::empty()).context("send to netlink")?;
        let mut missing = batch.messages;
        let mut buffer = vec![0; 64 << 10];
        while missing > 0 {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).context("receive from netlink")?;
            for (kind, _, body) in messages(&buffer[..length]) {
                ensure!(kind != NLMSG_ERROR, "netlink refuses a question");
                missing -= 1;
                see(body);
            }
        }
        Ok(())
    }

    /// Asks for a table and hands every entry to `see`.
    pub(crate) fn dump(&self, kind: u16, header: usize, mut see: impl FnMut(&[u8])) -> Result<()> {
        let mut batch = Batch::default();
        batch.message(kind, NLM_F_DUMP, |body| {
            body.raw(&vec![0; header]);
            if kind == RTM_GETLINK {
                body.number(IFLA_EXT_MASK, SKIP_STATS);
            }
        });
        send(self.0.as_raw_fd(), &batch.bytes, MsgFlags::empty()).context("send to netlink")?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()).context("receive from netlink")?;
            for (kind, _, body) in messages(&buffer[..length]) {
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => bail!("netlink refuses a dump"),
                    _ => see(body),
                }
            }
        }
    }
}

/// Type, sequence number and body of each message of a datagram.
fn messages(mut bytes: &[u8]) -> impl Iterator<Item = (u16, u32, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        let whole = bytes.get(..length.max(HEADER))?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        let kind = u16::from_ne_bytes(whole.get(4..6)?.try_into().ok()?);
        let number = u32::from_ne_bytes(whole.get(8..12)?.try_into().ok()?);
        Some((kind, number, &whole[HEADER..]))
    })
}

/// Kind and value of each attribute.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}
