//! Packet sockets: raw frames at one device, without any trace on it.
//!
//! A socket is opened in the namespace of the calling thread and works from any thread afterwards. It holds that
//! namespace, so whoever has one inside a pod must let go of it when the sandbox ends.

use std::{
    io::IoSliceMut,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    thread,
};

use nix::{
    errno::Errno,
    ifaddrs::getifaddrs,
    libc,
    sys::socket::{
        AddressFamily, ControlMessageOwned, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, getsockname,
        getsockopt, recv, recvmsg, send, setsockopt, socket,
        sockopt::{self, RcvBuf, RcvBufForce, ReceiveTimestampns},
    },
};
use socket2::{SockFilter, SockRef};

use crate::domain::bpf::{Instruction, RET_K};

use super::KernelError;

/// `PACKET_OUTGOING` of <linux/if_packet.h>.
const OUTGOING: u8 = 4;

/// Bytes for control messages: a stamp and `struct tpacket_auxdata`, with room to spare.
const CONTROL_BYTES: usize = 256;

/// Sees no frame at all.
const NOTHING: [Instruction; 1] = [Instruction { code: RET_K, jt: 0, jf: 0, k: 0 }];

#[derive(Debug, Clone, Copy)]
struct Auxdata;
nix::setsockopt_impl!(Auxdata, libc::SOL_PACKET, libc::PACKET_AUXDATA, bool, sockopt::SetBool);

#[derive(Debug, Clone, Copy)]
struct Statistics;
nix::getsockopt_impl!(
    Statistics,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    libc::tpacket_stats,
    sockopt::GetStruct<libc::tpacket_stats>
);

/// The devices of a namespace by name, to bind sockets to.
#[derive(Debug)]
pub struct Devices(Vec<(String, LinkAddr)>);

impl Devices {
    /// Those of the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn here() -> Result<Self, KernelError> {
        let all = getifaddrs().map_err(|errno| KernelError::call("list", "the devices of a namespace", errno))?;
        Ok(Self(all.filter_map(|each| Some((each.interface_name, *each.address.as_ref()?.as_link_addr()?))).collect()))
    }

    fn get(&self, name: &str) -> Option<&LinkAddr> {
        self.0.iter().find(|(each, _)| each == name).map(|(_, address)| address)
    }
}

/// What a socket shall see.
#[derive(Debug, Clone)]
pub struct Sight {
    /// Bytes that may wait to be read, as far as the kernel allows.
    pub receive_bytes: usize,
    /// Which frames; one that ends for every frame.
    pub filter: Vec<Instruction>,
}

/// A frame as the kernel handed it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of it in the buffer.
    pub kept: usize,
    /// Bytes that it has.
    pub length: usize,
    /// When the kernel saw it: nanoseconds of `CLOCK_REALTIME`.
    pub stamp: u64,
    /// Whether the device's own side sent it.
    pub outgoing: bool,
    /// The VLAN tag that the kernel keeps beside it: protocol and control information, in host order.
    pub vlan: Option<(u16, u16)>,
}

/// A packet socket that is bound to one device.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
    device: String,
    /// As `getsockname` shows it while the device is there.
    index: usize,
    mac: [u8; 6],
    control: Vec<u8>,
}

impl PacketSocket {
    /// Opens a socket at a device of the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// `is_gone`: there is no such device. Else the kernel's words.
    pub fn open(devices: &Devices, device: &str, sight: &Sight) -> Result<Self, KernelError> {
        let failed =
            |operation| move |errno| KernelError::call(operation, format!("a packet socket at `{device}`"), errno);
        let address = devices.get(device).ok_or_else(|| KernelError::Vanished(format!("device `{device}`")))?;
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let all = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll).map_err(failed("open"))?;
        // A new socket sees every device: nothing of that may be taken for what is seen at this one.
        attach(&all, &NOTHING).map_err(failed("filter"))?;
        while recv(all.as_raw_fd(), &mut [0; 1], MsgFlags::empty()).is_ok() {}
        // The address has protocol 0, with which the kernel keeps that of the socket: every frame.
        bind(all.as_raw_fd(), address).map_err(failed("bind"))?;
        setsockopt(&all, ReceiveTimestampns, &true).map_err(failed("set SO_TIMESTAMPNS of"))?;
        setsockopt(&all, Auxdata, &true).map_err(failed("set PACKET_AUXDATA of"))?;
        // More than the node allows everybody needs its privileges; in a test's user namespace there are none.
        if setsockopt(&all, RcvBufForce, &sight.receive_bytes).is_err() {
            setsockopt(&all, RcvBuf, &sight.receive_bytes).map_err(failed("set SO_RCVBUF of"))?;
        }
        attach(&all, &sight.filter).map_err(failed("filter"))?;
        // What was refused by the first filter is no drop.
        let socket = Self {
            socket: all,
            device: device.to_owned(),
            index: address.ifindex(),
            mac: address.addr().unwrap_or_default(),
            control: vec![0; CONTROL_BYTES],
        };
        socket.statistics()?;
        Ok(socket)
    }

    /// Opens sockets at several devices, each with its own sight. Binding and closing wait for all processors
    /// (`synchronize_net`), some milliseconds each, so the waiting is done side by side.
    ///
    /// # Errors
    ///
    /// For each: as `open`.
    pub fn open_all(devices: &Devices, wanted: &[(&str, Sight)]) -> Vec<Result<Self, KernelError>> {
        let open = |wanted: &[(&str, Sight)]| -> Vec<_> {
            wanted.iter().map(|(device, sight)| Self::open(devices, device, sight)).collect()
        };
        side_by_side(wanted.chunks(share(wanted.len())), open)
    }

    /// Closes sockets.
    pub fn close_all(mut sockets: Vec<Self>) {
        let share = share(sockets.len());
        let mut parts = Vec::new();
        while !sockets.is_empty() {
            parts.push(sockets.split_off(sockets.len().saturating_sub(share)));
        }
        side_by_side(parts, |part| {
            drop(part);
            Vec::<()>::new()
        });
    }

    /// MAC address of the device when it was opened.
    pub fn mac(&self) -> [u8; 6] {
        self.mac
    }

    /// Its descriptor, to wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// The next frame that waits; `None`: there is none. Does not wait.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<Frame>, KernelError> {
        let room = buffer.len();
        let failed = |errno| KernelError::call("receive from", format!("a packet socket at `{}`", self.device), errno);
        loop {
            let mut slices = [IoSliceMut::new(buffer)];
            let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
            match recvmsg::<LinkAddr>(self.socket.as_raw_fd(), &mut slices, Some(&mut self.control), flags) {
                Ok(message) => {
                    let (length, kept) = (message.bytes, message.bytes.min(room));
                    let outgoing = message.address.is_some_and(|from| from.pkttype() == OUTGOING);
                    let mut frame = Frame { kept, length, stamp: 0, outgoing, vlan: None };
                    for control in message.cmsgs().map_err(failed)? {
                        match control {
                            ControlMessageOwned::ScmTimestampns(stamp) => frame.stamp = nanoseconds(&stamp),
                            ControlMessageOwned::Unknown(unknown) => auxiliary(&unknown.data_bytes, &mut frame),
                            _ => {}
                        }
                    }
                    return Ok(Some(frame));
                }
                Err(Errno::EAGAIN) => return Ok(None),
                // The device was set down: told once. What waits can still be read.
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(errno) => return Err(failed(errno)),
            }
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn send(&self, frame: &[u8]) -> Result<(), KernelError> {
        send(self.socket.as_raw_fd(), frame, MsgFlags::MSG_DONTWAIT)
            .map(drop)
            .map_err(|errno| self.failed("send to", errno))
    }

    /// Whether the device is there no more. One that is only down is there.
    pub fn is_gone(&self) -> bool {
        // What the socket was told of it would else be told for ever.
        let _ = getsockopt(&self.socket, sockopt::SocketError);
        // What the kernel notes there when the device is unregistered is index -1 (`packet_notifier` of
        // net/packet/af_packet.c).
        getsockname::<LinkAddr>(self.socket.as_raw_fd()).map_or(true, |address| address.ifindex() != self.index)
    }

    /// Frames that the filter accepted and those of them that were dropped, since this was asked last.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn statistics(&self) -> Result<(u64, u64), KernelError> {
        let statistics =
            getsockopt(&self.socket, Statistics).map_err(|errno| self.failed("get PACKET_STATISTICS of", errno))?;
        Ok((statistics.tp_packets.into(), statistics.tp_drops.into()))
    }

    /// Takes in no more frames; those that wait can be read.
    pub fn shut(&self) {
        // It fails only where there is no memory for one instruction: then reading ends with the next batch.
        let _ = attach(&self.socket, &NOTHING);
    }

    fn failed(&self, operation: &'static str, errno: Errno) -> KernelError {
        KernelError::call(operation, format!("a packet socket at `{}`", self.device), errno)
    }
}

/// Sockets for one thread, so that there are not more threads than this.
fn share(count: usize) -> usize {
    const MOST_THREADS: usize = 32;
    count.div_ceil(MOST_THREADS).max(2)
}

/// Does each part on a thread of its own, in the namespace of the calling one; alone where there is only one.
fn side_by_side<P: Send, T: Send>(parts: impl IntoIterator<Item = P>, work: impl Fn(P) -> Vec<T> + Sync) -> Vec<T> {
    let mut parts = parts.into_iter();
    let (first, work) = (parts.next(), &work);
    thread::scope(|scope| {
        let mut done = Vec::new();
        let spawned: Vec<_> = parts.map(|part| scope.spawn(move || work(part))).collect();
        done.extend(first.into_iter().flat_map(work));
        for thread in spawned {
            done.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    })
}

fn attach(socket: &OwnedFd, program: &[Instruction]) -> Result<(), Errno> {
    let program: Vec<SockFilter> = program.iter().map(|i| SockFilter::new(i.code, i.jt, i.jf, i.k)).collect();
    let attached = SockRef::from(socket).attach_filter(&program);
    attached.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(Errno::EIO as i32)))
}

fn nanoseconds(stamp: &nix::sys::time::TimeSpec) -> u64 {
    let part = |number: i64| u64::try_from(number).unwrap_or_default();
    part(stamp.tv_sec()) * 1_000_000_000 + part(stamp.tv_nsec())
}

/// Reads `struct tpacket_auxdata` of <linux/if_packet.h>: status, length, kept length (32 bits each), two offsets, VLAN
/// control information and protocol (16 bits each), all in host order.
fn auxiliary(bytes: &[u8], frame: &mut Frame) {
    const ETH_P_8021Q: u16 = 0x8100;
    let u32_at = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
    let u16_at = |at: usize| bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes);
    let (Some(status), Some(length), Some(control), Some(protocol)) = (u32_at(0), u32_at(4), u16_at(16), u16_at(18))
    else {
        return;
    };
    frame.length = length as usize;
    if status & libc::TP_STATUS_VLAN_VALID != 0 {
        let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
        frame.vlan = Some((if known { protocol } else { ETH_P_8021Q }, control));
    }
}
