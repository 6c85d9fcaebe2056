//! The thread of a capture.

use std::{
    ops::Range,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use super::{
    End, Extent, KernelError, PacketSocket, Port, Side,
    pcapng::{self, Counts, Direction, Packet},
    shared::{Command, Shared},
};

/// Frames that are read from a socket before the next one has its turn.
const BATCH: usize = 64;

/// Bytes of one round over all sockets, give or take a frame.
const ROUND_BYTES: usize = 256 * 1024;

/// How long frames may gather where there were some just before.
const GATHER_MILLISECONDS: u8 = 1;

/// How often drops are counted and told.
const STATISTICS: Duration = Duration::from_secs(1);

/// How often it is looked whether a device that is down is still there: nothing tells a socket that it went.
const DOUBT: Duration = Duration::from_millis(100);

/// Reads the sockets of a capture into its file.
pub(super) struct Recorder {
    shared: Arc<Shared>,
    extent: Extent,
    deadline: Option<Instant>,
    interfaces: Vec<Interface>,
    ports: Vec<Open>,
    /// Part of the file that is not handed over yet.
    file: Vec<u8>,
    round: Vec<u8>,
    buffer: Vec<u8>,
    frames: u64,
    /// There were frames a moment ago.
    busy: bool,
    counted: Instant,
}

/// A pcapng interface.
struct Interface {
    name: String,
    counts: Counts,
    told: Counts,
    since: u64,
}

/// A port that is read.
struct Open {
    port: Port,
    interface: usize,
    /// Its device is down, and may be gone.
    in_doubt: bool,
}

/// Closes the file whatever happens to the thread.
struct Closing(Arc<Shared>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Recorder {
    /// Starts the thread.
    pub(super) fn start(shared: Arc<Shared>, extent: Extent) -> Result<(), KernelError> {
        let now = Instant::now();
        let mut recorder = Self {
            extent,
            deadline: extent.duration.and_then(|duration| now.checked_add(duration)),
            interfaces: Vec::new(),
            ports: Vec::new(),
            file: Vec::new(),
            round: Vec::new(),
            buffer: vec![0; extent.snap_length as usize],
            frames: 0,
            busy: false,
            counted: now,
            shared,
        };
        let thread = thread::Builder::new().name("podwire-capture".to_owned()).spawn(move || {
            let _closing = Closing(Arc::clone(&recorder.shared));
            recorder.run();
        });
        thread.map(drop).map_err(|error| KernelError::io("start a thread for", "a capture", &error))
    }

    fn run(&mut self) {
        pcapng::section(&mut self.file);
        loop {
            self.obey();
            self.shared.push(&mut self.file);
            let (ended, full) = {
                let state = self.shared.state();
                (state.end.is_some(), state.is_full())
            };
            if ended {
                break;
            }
            if self.remaining() == 0 || self.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                self.shared.end(End::Complete);
                break;
            }
            let ready = self.wait(full);
            self.read(&ready);
            if self.counted.elapsed() >= STATISTICS {
                self.count();
            }
            if !full {
                self.tell(|interface| interface.counts.dropped > interface.told.dropped);
            }
            self.look_for_gone();
        }
        self.finish();
    }

    fn remaining(&self) -> u64 {
        self.extent.max_frames.map_or(u64::MAX, |most| most.saturating_sub(self.frames))
    }

    /// Does what was commanded.
    fn obey(&mut self) {
        let commands = self.shared.state().commands();
        for command in commands {
            match command {
                Command::Add(port) => {
                    // Should one of that name be open still, its device is on its way out.
                    self.close(|open| open.port.name == port.name);
                    self.shared.state().present.insert(port.name.clone());
                    let interface = self.interface(&port.name, &port.description);
                    self.ports.push(Open { port: *port, interface, in_doubt: false });
                }
                Command::Remove(name) => self.close(|open| open.port.name == name),
            }
        }
    }

    /// The number of an interface; described in the file when it is new.
    fn interface(&mut self, name: &str, description: &str) -> usize {
        self.interfaces.iter().position(|each| each.name == name).unwrap_or_else(|| {
            pcapng::interface(&mut self.file, name, description, self.extent.snap_length);
            let (counts, told) = (Counts::default(), Counts::default());
            self.interfaces.push(Interface { name: name.to_owned(), counts, told, since: now() });
            self.interfaces.len() - 1
        })
    }

    /// Waits until something happens; returns the ports that have frames.
    fn wait(&mut self, full: bool) -> Vec<usize> {
        if self.busy && !full {
            self.rest();
        }
        let wanted = if full { PollFlags::empty() } else { PollFlags::POLLIN };
        let ports = self.ports.iter().map(|open| PollFd::new(open.port.socket.fd(), wanted));
        let mut fds: Vec<PollFd<'_>> =
            std::iter::once(PollFd::new(self.shared.wake_fd(), PollFlags::POLLIN)).chain(ports).collect();
        match poll(&mut fds, self.patience()) {
            Ok(_) | Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => tracing::warn!(%error, "a capture cannot wait for frames"),
        }
        let happened: Vec<PollFlags> = fds.iter().map(|fd| fd.revents().unwrap_or(PollFlags::empty())).collect();
        self.shared.awake();
        let mut ready = Vec::new();
        for (at, (open, flags)) in self.ports.iter_mut().zip(&happened[1..]).enumerate() {
            open.in_doubt |= flags.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL);
            if flags.contains(PollFlags::POLLIN) {
                ready.push(at);
            }
        }
        ready
    }

    /// Lets frames gather: a thread that waits for each of them costs the sender a wake-up each.
    fn rest(&self) {
        let mut wake = [PollFd::new(self.shared.wake_fd(), PollFlags::POLLIN)];
        // Too short a rest harms nobody.
        let _ = poll(&mut wake, PollTimeout::from(GATHER_MILLISECONDS));
    }

    fn patience(&self) -> PollTimeout {
        let doubt = self.ports.iter().any(|open| open.in_doubt).then_some(DOUBT);
        let deadline = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let least = [doubt, deadline].into_iter().flatten().fold(STATISTICS, Duration::min);
        // A poll counts whole milliseconds: rounded up, or the last one is spent in a circle.
        PollTimeout::try_from(least + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
    }

    /// Reads what waits in some ports into the file, in the order of the stamps.
    fn read(&mut self, ready: &[usize]) {
        let mut marks: Vec<(u64, Range<usize>)> = Vec::new();
        for &at in ready {
            for _ in 0..BATCH {
                if self.remaining() == 0 || self.round.len() >= ROUND_BYTES {
                    break;
                }
                let open = &mut self.ports[at];
                let frame = match open.port.socket.receive(&mut self.buffer) {
                    Ok(Some(frame)) => frame,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::debug!(%error, "a captured port cannot be read");
                        open.in_doubt = true;
                        break;
                    }
                };
                let packet = Packet {
                    interface: u32::try_from(open.interface).unwrap_or(u32::MAX),
                    stamp: frame.stamp,
                    bytes: &self.buffer[..frame.kept],
                    length: frame.length,
                    vlan: frame.vlan,
                    direction: match (open.port.side, frame.outgoing) {
                        (Side::Panel, true) | (Side::Pod, false) => Direction::Inbound,
                        (Side::Panel, false) | (Side::Pod, true) => Direction::Outbound,
                    },
                };
                let range = pcapng::packet(&mut self.round, &packet, self.extent.snap_length as usize);
                self.interfaces[open.interface].counts.delivered += 1;
                self.frames += 1;
                marks.push((frame.stamp, range));
            }
        }
        self.busy = !marks.is_empty();
        if marks.is_sorted_by_key(|(stamp, _)| *stamp) {
            self.file.append(&mut self.round);
        } else {
            marks.sort_by_key(|(stamp, _)| *stamp);
            for (_, range) in marks {
                self.file.extend(&self.round[range]);
            }
            self.round.clear();
        }
        self.shared.state().frames = self.frames;
    }

    /// Lets go of ports whose device is there no more.
    fn look_for_gone(&mut self) {
        let mut gone = false;
        for open in self.ports.iter_mut().filter(|open| open.in_doubt) {
            if open.port.socket.is_gone() {
                gone = true;
                self.shared.state().present.remove(&open.port.name);
            }
        }
        if gone {
            self.close(|open| open.in_doubt && open.port.socket.is_gone());
            self.shared.lost.notify_one();
        }
    }

    /// Closes some ports. What waits in them, and no more than that, is written first.
    fn close(&mut self, which: impl Fn(&Open) -> bool) {
        let closing: Vec<usize> = (0..self.ports.len()).filter(|at| which(&self.ports[*at])).collect();
        for at in &closing {
            self.ports[*at].port.socket.shut();
        }
        loop {
            let before = self.frames;
            self.read(&closing);
            if self.frames == before {
                break;
            }
        }
        self.count();
        let closing = closing.into_iter().rev().map(|at| self.ports.swap_remove(at).port.socket);
        PacketSocket::close_all(closing.collect());
    }

    /// Asks the kernel for what it counted.
    fn count(&mut self) {
        self.counted = Instant::now();
        for open in &self.ports {
            if let Ok((received, dropped)) = open.port.socket.statistics() {
                let counts = &mut self.interfaces[open.interface].counts;
                counts.received += received;
                counts.dropped += dropped;
            }
        }
        self.shared.state().drops = self.interfaces.iter().map(|interface| interface.counts.dropped).sum();
    }

    /// Writes the counts of some interfaces.
    fn tell(&mut self, which: impl Fn(&Interface) -> bool) {
        for (at, interface) in self.interfaces.iter_mut().enumerate().filter(|(_, interface)| which(interface)) {
            let number = u32::try_from(at).unwrap_or(u32::MAX);
            pcapng::statistics(&mut self.file, number, interface.counts, interface.since, now());
            interface.told = interface.counts;
        }
    }

    /// Writes what is left and closes everything.
    fn finish(&mut self) {
        let hung_up = self.shared.state().end == Some(End::HungUp);
        if hung_up {
            PacketSocket::close_all(self.ports.drain(..).map(|open| open.port.socket).collect());
            return;
        }
        self.close(|_| true);
        self.tell(|_| true);
        self.shared.push(&mut self.file);
    }
}

/// The node's clock, by which frames are stamped too: nanoseconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
