//! Raw frames in and out of an interface in a network namespace, as a network device would send and see them.

use std::{
    io::IoSliceMut,
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    sys::{
        socket::{
            AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, TimestampingFlag,
            Timestamps, bind, recv, recvmsg, send, setsockopt, socket,
            sockopt::{RcvBufForce, ReceiveTimeout, Timestamping},
        },
        time::TimeVal,
    },
};

use crate::netns;

/// Where LLDP frames go; a bridge by 802.1D keeps them to itself.
pub const LLDP: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e];
/// Where LACP frames go.
pub const LACP: [u8; 6] = [0x01, 0x80, 0xc2, 0x00, 0x00, 0x02];

/// A packet socket on one interface. Open it before the frame is sent: the kernel keeps what comes in between.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
    place: String,
    mac: [u8; 6],
}

impl Tap {
    /// Opens a tap on `interface` in the network namespace `pod`.
    ///
    /// # Errors
    ///
    /// No such namespace or interface.
    pub fn open(pod: &str, interface: &str) -> Result<Self> {
        let place = format!("{pod}/{interface}");
        let (socket, mac) = netns::inside(pod, || {
            let all = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
                .context("open a packet socket")?;
            let link = getifaddrs()?
                .filter(|each| each.interface_name == interface)
                .find_map(|each| each.address?.as_link_addr().copied())
                .with_context(|| format!("no interface `{interface}`"))?;
            // The address has protocol 0, with which the kernel keeps that of the socket: every frame.
            bind(all.as_raw_fd(), &link).context("bind")?;
            Ok((all, link.addr().context("a MAC address")?))
        })
        .with_context(|| format!("tap {place}"))?;
        Ok(Self { socket, place, mac })
    }

    /// The MAC address of the interface.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Sends a frame to `to`, from the interface's own address, with `body` (type and payload), padded to 60 bytes; returns it.
    ///
    /// # Errors
    ///
    /// The interface is down or gone.
    pub fn send(&self, to: [u8; 6], body: &[u8]) -> Result<Vec<u8>> {
        let mut frame = [&to[..], &self.mac[..], body].concat();
        frame.resize(frame.len().max(60), 0);
        send(self.socket.as_raw_fd(), &frame, MsgFlags::empty())
            .with_context(|| format!("send from {}", self.place))?;
        Ok(frame)
    }

    /// Gathers what comes in until `last` does, which is among it.
    ///
    /// # Errors
    ///
    /// It did not within `patience`.
    pub fn gather(&self, last: &[u8], patience: Duration) -> Result<Vec<Vec<u8>>> {
        let (mut seen, started, mut buffer) = (Vec::new(), Instant::now(), vec![0; 65536]);
        setsockopt(&self.socket, ReceiveTimeout, &TimeVal::new(0, 50_000))?;
        while started.elapsed() < patience {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    seen.push(buffer[..length].to_vec());
                    if &buffer[..length] == last {
                        return Ok(seen);
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => return Err(error).with_context(|| format!("receive at {}", self.place)),
            }
        }
        bail!("{}: no frame {} within {patience:?}", self.place, hexadecimal(last))
    }

    /// Sends a frame as it is.
    ///
    /// # Errors
    ///
    /// The interface is down or gone.
    pub fn send_whole(&self, frame: &[u8]) -> Result<()> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::empty())
            .map(drop)
            .with_context(|| format!("send from {}", self.place))
    }

    /// Another tap of the same interface, which sees what this one sends.
    ///
    /// # Errors
    ///
    /// The interface is gone.
    pub fn again(&self) -> Result<Self> {
        let (pod, interface) = self.place.split_once('/').context("a place")?;
        Self::open(pod, interface)
    }

    /// Makes room for thousands of frames, where the kernel lets us, and notes when each was seen.
    ///
    /// The kernel begins to note it a moment after it was asked (`netstamp_work`), and says the time of reading until then:
    /// returns when frames have their own times, on their way out and in.
    ///
    /// # Errors
    ///
    /// The kernel does not say when; loopback is down.
    pub fn enlarge(&self) -> Result<()> {
        const BYTES: usize = 64 * 1024 * 1024;
        // Without root it stays as it is.
        let _ = setsockopt(&self.socket, RcvBufForce, &BYTES);
        self.note_times()?;
        let (pod, _) = self.place.split_once('/').context("a place")?;
        let (sender, loopback) = (Self::open(pod, "lo")?, Self::open(pod, "lo")?);
        loopback.note_times()?;
        let probe = [&sender.mac[..], &sender.mac, b"\x88\xb5podwire: are times noted?"].concat();
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(10) {
            sender.send_whole(&probe)?;
            let [out, back] = [(); 2].map(|()| loopback.next(Duration::from_secs(1)));
            if [out, back].iter().flatten().filter(|(time, _)| time.is_some()).count() == 2 {
                return Ok(());
            }
        }
        bail!("{}: the kernel notes no times", loopback.place)
    }

    fn note_times(&self) -> Result<()> {
        let software = TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_RX_SOFTWARE;
        setsockopt(&self.socket, Timestamping, &software).context("set SO_TIMESTAMPING")
    }

    /// The next frame that is seen after [`enlarge`](Self::enlarge), and when by the kernel's clock; `None`: there was none
    /// in time.
    pub fn receive(&self, patience: Duration) -> Option<(Duration, Vec<u8>)> {
        let end = Instant::now() + patience;
        loop {
            // One that came while the kernel did not note times yet has none.
            if let (Some(time), frame) = self.next(end.saturating_duration_since(Instant::now()))? {
                return Some((time, frame));
            }
        }
    }

    /// The next frame, and when it was seen if the kernel noted it.
    fn next(&self, patience: Duration) -> Option<(Option<Duration>, Vec<u8>)> {
        let started = Instant::now();
        let mut buffer = vec![0; 65536];
        let mut control = nix::cmsg_space!(Timestamps);
        loop {
            let left = i64::try_from(patience.saturating_sub(started.elapsed()).as_micros()).unwrap_or(i64::MAX);
            if left == 0 {
                return None;
            }
            let left = left.max(1000);
            setsockopt(&self.socket, ReceiveTimeout, &TimeVal::new(left / 1_000_000, left % 1_000_000)).ok()?;
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let socket = self.socket.as_raw_fd();
            let received = recvmsg::<()>(socket, &mut slices, Some(&mut control), MsgFlags::empty()).map(|message| {
                let time = message.cmsgs().into_iter().flatten().find_map(|control| match control {
                    ControlMessageOwned::ScmTimestampsns(times) => Some(Duration::from(times.system)),
                    _ => None,
                });
                (time, message.bytes)
            });
            match received {
                Ok((time, length)) => {
                    buffer.truncate(length);
                    return Some((time, buffer));
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// Waits until `frame` comes in.
    ///
    /// # Errors
    ///
    /// It did not within `patience`; says what came instead.
    pub fn expect(&self, frame: &[u8], patience: Duration) -> Result<()> {
        let mut others = Vec::new();
        let started = Instant::now();
        let mut buffer = vec![0; 65536];
        while started.elapsed() < patience {
            let left = i64::try_from(patience.saturating_sub(started.elapsed()).as_micros().max(1000))?;
            setsockopt(&self.socket, ReceiveTimeout, &TimeVal::new(left / 1_000_000, left % 1_000_000))?;
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) if &buffer[..length] == frame => return Ok(()),
                Ok(length) => others.push(hexadecimal(&buffer[..length.min(32)])),
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(error) => return Err(error).with_context(|| format!("receive at {}", self.place)),
            }
        }
        bail!("{}: no frame {} within {patience:?}; others: {others:?}", self.place, hexadecimal(frame))
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
