//! Hears what changes in the namespaces that topologies use, without holding any of them open.
//!
//! One socket in a namespace of its own, which knows every panel and every pod by an id, listens to all of them
//! (`NETLINK_LISTEN_ALL_NSID`). A socket in each panel would cost every change on the node a search in every panel.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::IoSliceMut,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    nsid::{NsidAttribute, NsidMessage},
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        socket::{ControlMessageOwned, MsgFlags, RecvMsg, recvmsg, setsockopt, sockopt},
    },
};

use crate::domain::intent::PodKey;

use super::{
    KernelError,
    netns::in_scratch,
    rumour::{Rumour, rumours},
    socket::{Mode, Request, RouteSocket},
};

/// Bytes that may wait to be read: a link makes about seven notifications.
const RECEIVE_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of the largest notification (`NLMSG_GOODSIZE` of include/linux/netlink.h is at most 8 KiB).
const DATAGRAM_BYTES: usize = 16 * 1024;

/// Where something changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In the panel of this file name.
    Panel(String),
    /// In a pod, or the pod is gone.
    Pod(PodKey),
    /// In the node's own namespace.
    Node,
    /// A device of the node.
    Device {
        /// Its index.
        index: u32,
        /// Its name.
        name: String,
    },
}

/// A point in the order of what was heard. What is heard after a look has the moment of that look, or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Moment(u64);

impl Moment {
    /// Later than any look.
    pub const LAST: Self = Self(u64::MAX);
}

/// What was heard since it was asked last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Changes, each place once.
    Changes(BTreeMap<Place, News>),
    /// More than could be kept, until this moment: anything may have changed.
    TooMuch(Moment),
}

/// What was heard of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// When last.
    pub at: Moment,
    /// A namespace that it had has ended.
    pub gone: bool,
    /// When last of the device of each index there; `None`: of nobody knows which.
    pub devices: BTreeMap<Option<u32>, Moment>,
}

impl News {
    /// Adds what was heard of the same place later.
    pub(crate) fn add(&mut self, later: Self) {
        (self.at, self.gone) = (self.at.max(later.at), self.gone || later.gone);
        self.devices.extend(later.devices);
    }
}

/// The ear of the agent.
#[derive(Debug)]
pub struct Ear {
    socket: Socket,
    /// Readable once nobody listens any more.
    closed: EventFd,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Gives ids, inside the ear's namespace.
    control: RouteSocket,
    /// Who is known under an id.
    known: HashMap<i32, Known>,
    /// The id of a namespace, by its cookie.
    ids: HashMap<u64, i32>,
    /// The id that was given last. They go down: for each notification on the node the kernel searches the ear's ids twice, from the
    /// lowest on (`peernet_has_id` and `peernet2id` of net/core/net_namespace.c), and what is young changes most.
    last: i32,
    now: Moment,
    news: BTreeMap<Place, News>,
    overrun: bool,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Known {
    cookie: u64,
    places: BTreeSet<Place>,
}

impl Ear {
    /// Opens an ear that knows nobody yet.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub(super) fn open() -> Result<Self, KernelError> {
        let (socket, control) = in_scratch(|| Ok::<_, KernelError>((listening()?, RouteSocket::open()?)))??;
        let state = State {
            control,
            known: HashMap::new(),
            ids: HashMap::new(),
            last: i32::MAX,
            now: Moment(1),
            news: BTreeMap::new(),
            overrun: false,
            buffer: vec![0; DATAGRAM_BYTES],
        };
        let closed = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK);
        let closed = closed.map_err(|errno| KernelError::call("eventfd", "the ear", errno))?;
        Ok(Self { socket, closed, state: Mutex::new(state) })
    }

    /// Listens to a namespace from now on, until it ends. Repeats are free.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub(super) fn attend(&self, netns: BorrowedFd<'_>, cookie: u64, place: Place) -> Result<(), KernelError> {
        let mut state = self.state();
        if let Some(known) = state.ids.get(&cookie).copied().and_then(|id| state.known.get_mut(&id)) {
            known.places.insert(place);
            return Ok(());
        }
        let id = state.name(netns.as_raw_fd())?;
        state.ids.insert(cookie, id);
        state.known.insert(id, Known { cookie, places: BTreeSet::from([place]) });
        Ok(())
    }

    /// Whatever happens in a namespace from now on is no news of anybody: a panel that was retired, say.
    pub(super) fn dismiss(&self, cookie: u64) {
        let mut state = self.state();
        if let Some(known) = state.ids.get(&cookie).copied().and_then(|id| state.known.get_mut(&id)) {
            known.places.clear();
        }
    }

    /// The present moment, for a look that begins now: what changed before it, the look sees.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub(super) fn mark(&self) -> Result<Moment, KernelError> {
        let mut state = self.state();
        state.read(&self.socket)?;
        state.now.0 += 1;
        Ok(state.now)
    }

    /// Waits until there is something to hear. Blocks; false: the ear was closed.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn wait(&self) -> Result<bool, KernelError> {
        loop {
            let mut fds =
                [&self.closed as &dyn AsFd, &self.socket].map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) if fds[0].any() == Some(true) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(KernelError::call("poll", "the listening socket", errno)),
            }
        }
    }

    /// Ends all waiting, for good.
    pub fn close(&self) {
        // It fails where it was closed 2^64 times.
        let _ = self.closed.write(1);
    }

    /// What changed since this was called last. Does not wait.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn hear(&self) -> Result<Heard, KernelError> {
        let mut state = self.state();
        state.read(&self.socket)?;
        let news = std::mem::take(&mut state.news);
        Ok(if std::mem::take(&mut state.overrun) { Heard::TooMuch(state.now) } else { Heard::Changes(news) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Gives a namespace an id in that of the ear.
    fn name(&mut self, netns: RawFd) -> Result<i32, KernelError> {
        loop {
            self.last = if self.last > 1 { self.last - 1 } else { i32::MAX };
            let mut message = NsidMessage::default();
            message.attributes.push(NsidAttribute::Id(self.last));
            message.attributes.push(NsidAttribute::Fd(u32::try_from(netns).unwrap_or(u32::MAX)));
            match self
                .control
                .batch(vec![Request { message: RouteNetlinkMessage::NewNsId(message), mode: Mode::Change }])?
                .pop()
            {
                // The kernel's word for an id that is taken.
                Some(Err(KernelError::Netlink { errno: Errno::ENOSPC, .. })) => {}
                // It has one since before the ear forgot it.
                Some(Err(error)) if error.is_present() => {
                    return super::observe::nsid_of(&mut self.control, netns)?
                        .ok_or_else(|| KernelError::Vanished("the id of a namespace".to_owned()));
                }
                Some(Err(error)) => return Err(error),
                Some(Ok(())) | None => return Ok(self.last),
            }
        }
    }

    /// Reads all that waits.
    fn read(&mut self, socket: &Socket) -> Result<(), KernelError> {
        // Room for one `int`, the id of the namespace that a notification comes from.
        let mut control = nix::cmsg_space!(i32);
        let mut buffer = std::mem::take(&mut self.buffer);
        let result = loop {
            let mut slices = [IoSliceMut::new(&mut buffer)];
            let received = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT);
            let (length, id) = match received {
                Ok(message) => (message.bytes, origin(&message)),
                Err(Errno::EAGAIN) => break Ok(()),
                Err(Errno::EINTR) => continue,
                Err(Errno::ENOBUFS) => {
                    self.overrun = true;
                    continue;
                }
                Err(errno) => break Err(KernelError::call("receive from", "the listening socket", errno)),
            };
            for rumour in rumours(&buffer[..length.min(DATAGRAM_BYTES)]) {
                self.note(rumour, id);
            }
        };
        self.buffer = buffer;
        result
    }

    fn note(&mut self, rumour: Rumour, id: Option<i32>) {
        let (id, gone, index, device) = match (rumour, id) {
            (Rumour::Gone(gone), None) => (gone, true, None, None),
            (Rumour::Device(index, name), Some(id)) => (id, false, Some(index), Some(Place::Device { index, name })),
            (Rumour::Change(index), Some(id)) => (id, false, index, None),
            (Rumour::Filters(index), Some(id)) if self.is_panel(id) => (id, false, index, None),
            (Rumour::Gone(_) | Rumour::Filters(_), _) | (Rumour::Device(..) | Rumour::Change(_), None) => return,
        };
        let Some(known) = self.known.get(&id) else { return };
        for place in &known.places {
            let place = match place {
                // Of the node only devices matter, and to those only that are on them.
                Place::Node => match &device {
                    Some(device) => device,
                    None => continue,
                },
                place => place,
            };
            let none = || News { at: self.now, gone, devices: BTreeMap::new() };
            let news = self.news.entry(place.clone()).or_insert_with(none);
            (news.at, news.gone) = (self.now, news.gone || gone);
            news.devices.insert(index, self.now);
        }
        if gone {
            self.ids.remove(&known.cookie);
            self.known.remove(&id);
        }
    }

    fn is_panel(&self, id: i32) -> bool {
        self.known.get(&id).is_some_and(|known| known.places.iter().any(|place| matches!(place, Place::Panel(_))))
    }
}

/// The id of the namespace that a notification comes from; `None`: the ear's own.
fn origin(message: &RecvMsg<'_, '_, ()>) -> Option<i32> {
    message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Unknown(control)
            if control.cmsg_header.cmsg_level == libc::SOL_NETLINK
                && control.cmsg_header.cmsg_type == libc::NETLINK_LISTEN_ALL_NSID =>
        {
            control.data_bytes.get(..4)?.try_into().ok().map(i32::from_ne_bytes)
        }
        _ => None,
    })
}

/// The groups of linux/rtnetlink.h that tell of what a topology is made of.
const GROUPS: [u32; 7] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_TC,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_NSID,
];

/// A socket of the calling thread's namespace that hears every namespace which has an id there.
fn listening() -> Result<Socket, KernelError> {
    let failed = |operation| move |error: std::io::Error| KernelError::io(operation, "the listening socket", &error);
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(failed("open"))?;
    // Bound first: a socket that joins a group before that hears nothing.
    socket.bind(&SocketAddr::new(0, 0)).map_err(failed("bind"))?;
    socket.set_listen_all_namespaces(true).map_err(failed("set NETLINK_LISTEN_ALL_NSID of"))?;
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BYTES).is_err() {
        // Without CAP_NET_ADMIN of the machine: as much as anybody may have.
        socket.set_rx_buf_sz(i32::try_from(RECEIVE_BYTES).unwrap_or(i32::MAX)).map_err(failed("set SO_RCVBUF of"))?;
    }
    for group in GROUPS {
        socket.add_membership(group).map_err(failed("join a group with"))?;
    }
    socket.set_non_blocking(true).map_err(failed("set O_NONBLOCK of"))?;
    Ok(socket)
}
