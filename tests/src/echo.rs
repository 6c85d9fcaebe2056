//! ICMP echo from inside a network namespace: a `ping` that needs no program.

use std::{
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, OwnedFd},
    process,
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, recv, sendto,
            setsockopt, socket, sockopt::ReceiveTimeout,
        },
        time::TimeVal,
    },
};

use crate::netns;

const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REPLY_V4: u8 = 0;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// Sends one echo request to `to` from the network namespace `from` and waits for its answer. Returns the round trip.
///
/// # Errors
///
/// No answer within `patience`, or no way to send: no route, no such namespace.
pub fn echo(from: &str, to: IpAddr, patience: Duration) -> Result<Duration> {
    let handle = netns::inside(from, || open(to))?;
    let (packet, started) = (request(to), Instant::now());
    send(&handle, to, &packet).with_context(|| format!("send to {to} from `{from}`"))?;
    let mut buffer = [0; 2048];
    loop {
        let left = patience.saturating_sub(started.elapsed());
        let micros = i64::try_from(left.as_micros().max(1000)).context("patience")?;
        setsockopt(&handle, ReceiveTimeout, &TimeVal::new(micros / 1_000_000, micros % 1_000_000))?;
        match recv(handle.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Ok(length) if answers(to, &packet, &buffer[..length]) => return Ok(started.elapsed()),
            // Only now: an answer that is there is heard, however late this thread looks.
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) if left.is_zero() => {
                bail!("`{from}`: no answer from {to} within {patience:?}")
            }
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => return Err(error).context("receive"),
        }
    }
}

fn open(to: IpAddr) -> Result<OwnedFd> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp),
        IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).context("open an ICMP socket")
}

fn send(handle: &OwnedFd, to: IpAddr, packet: &[u8]) -> Result<()> {
    let sent = match SocketAddr::new(to, 0) {
        SocketAddr::V4(to) => sendto(handle.as_raw_fd(), packet, &SockaddrIn::from(to), MsgFlags::empty()),
        SocketAddr::V6(to) => sendto(handle.as_raw_fd(), packet, &SockaddrIn6::from(to), MsgFlags::empty()),
    }?;
    if sent == packet.len() { Ok(()) } else { bail!("{sent} of {} bytes sent", packet.len()) }
}

/// Type, code, checksum, identifier, sequence, data.
fn request(to: IpAddr) -> Vec<u8> {
    static SEQUENCE: AtomicU16 = AtomicU16::new(1);
    let kind = if to.is_ipv4() { ECHO_REQUEST_V4 } else { ECHO_REQUEST_V6 };
    let mut packet = vec![kind, 0, 0, 0];
    packet.extend(process::id().to_be_bytes().split_at(2).1);
    packet.extend(SEQUENCE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    packet.extend(b"podwire test echo. ");
    packet.push(b'!');
    if to.is_ipv4() {
        // The kernel fills in that of ICMPv6.
        let sum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

fn answers(to: IpAddr, packet: &[u8], received: &[u8]) -> bool {
    let (kind, icmp) = match to {
        IpAddr::V4(_) => {
            let header = received.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
            (ECHO_REPLY_V4, received.get(header..).unwrap_or_default())
        }
        IpAddr::V6(_) => (ECHO_REPLY_V6, received),
    };
    icmp.first() == Some(&kind) && icmp.get(4..) == Some(&packet[4..])
}

/// RFC 1071.
fn checksum(packet: &[u8]) -> u16 {
    let mut sum: u32 =
        packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}
