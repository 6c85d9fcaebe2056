//! Trying out a wire: probe frames from each end to the other, and what becomes of them.
//!
//! The frames have the local experimental EtherType 0x88B5 of IEEE Std 802 (clause 9.2.4), which no program of a pod
//! listens to, and a number that nobody else knows, so that a stray frame is not taken for one of them.

mod trial;

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::domain::bpf::{Instruction, RET_K};

use super::{Devices, KernelError, PacketSocket, packet::Sight};
use trial::{ETHERTYPE, HEADER_BYTES, LEAST_PAYLOAD, Trial, number_of};

/// Round trips that are measured.
const ROUND_TRIPS: usize = 16;

/// Sizes that are tried at once in the search for the largest.
const SIZES: usize = 16;

/// How long the answer to a probe is waited for at first; doubled with each time that it is sent again.
const FIRST_WAIT: Duration = Duration::from_millis(10);

/// And at most.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// How often a probe is sent where others pass: of a frame that is lost every second time, 1 of 256 is not seen.
const TRIES: u32 = 8;

/// The same while sizes are searched for, where a mistake costs a few bytes.
const SIZE_TRIES: u32 = 3;

/// One end of a wire.
#[derive(Debug)]
pub struct Station {
    socket: PacketSocket,
    mtu: u32,
}

/// What the probes of one verification have in common.
#[derive(Debug, Clone, Copy)]
pub struct Nonce(u64);

/// What passes in one direction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passes {
    /// A frame to the far interface's address.
    pub unicast: bool,
    /// Bytes of payload of the largest frame; 0: none.
    pub largest: u32,
    /// The same behind one 802.1Q tag.
    pub largest_tagged: u32,
    /// Last octet of each group address 01:80:c2:00:00:00 to :0f.
    pub groups: Vec<u8>,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// From the first station to the second.
    pub forth: Passes,
    /// And back.
    pub back: Passes,
    /// Round trips, shortest first.
    pub round_trips: Vec<Duration>,
}

impl Nonce {
    /// A new one.
    pub fn new() -> Self {
        // Keyed by the system's random numbers.
        Self(RandomState::new().build_hasher().finish())
    }
}

impl Default for Nonce {
    fn default() -> Self {
        Self::new()
    }
}

impl Station {
    /// Opens a station at a device of the calling thread's namespace.
    ///
    /// # Errors
    ///
    /// The kernel's words; `is_gone`: there is no such device.
    pub fn open(device: &str, mtu: u32, nonce: Nonce) -> Result<Self, KernelError> {
        const RECEIVE_BYTES: usize = 2 * 1024 * 1024;
        let sight = Sight { receive_bytes: RECEIVE_BYTES, filter: only_probes(nonce) };
        Ok(Self { socket: PacketSocket::open(&Devices::here()?, device, &sight)?, mtu })
    }
}

/// Tries out the wire between two stations. Takes no longer than `time`, give or take a few milliseconds.
pub fn verify(a: Station, b: Station, nonce: Nonce, time: Duration) -> Verified {
    let begin = Instant::now();
    let mut prober = Prober { stations: [a, b], nonce, sent: 0, wait: FIRST_WAIT, buffer: vec![0; 256] };
    let mut round_trips = prober.round_trips(begin + time / 4, begin + time / 2);
    round_trips.sort_unstable();
    let mut trials: Vec<Trial> = [0, 1].into_iter().flat_map(|from| prober.first_trials(from)).collect();
    prober.run(&mut trials, Effort::WhileOthersPass(TRIES), begin + time * 9 / 10);
    let mut found = [0, 1].map(|from| trial::passes(&trials, from));
    prober.search(&mut found, begin + time);
    let [forth, back] = found;
    Verified { forth, back, round_trips }
}

/// How often a frame is sent that does not come.
#[derive(Clone, Copy)]
enum Effort {
    /// Until the time is over.
    Untiring,
    /// So often, once another one of its direction passes.
    WhileOthersPass(u32),
    /// So often.
    Times(u32),
}

struct Prober {
    stations: [Station; 2],
    nonce: Nonce,
    /// Trials so far: each has a number of its own, so that one that comes late is not taken for a later one.
    sent: usize,
    /// How long an answer is waited for at first.
    wait: Duration,
    buffer: Vec<u8>,
}

impl Prober {
    /// To the far end, to each group, and as large as may be, without and with a tag.
    fn first_trials(&self, from: usize) -> Vec<Trial> {
        let (far, mtu) = (self.stations[1 - from].socket.mac(), self.stations[from].mtu as usize);
        let trial = |to, payload: usize, tagged| Trial::new(from, to, payload.max(LEAST_PAYLOAD), tagged);
        let mut trials = vec![trial(far, 0, false), trial(far, mtu, false), trial(far, mtu, true), trial(far, 0, true)];
        trials.extend((0..16).map(|last| trial([0x01, 0x80, 0xc2, 0, 0, last], 0, false)));
        trials
    }

    /// Until `enough` if there are some by then, else until `last`.
    fn round_trips(&mut self, enough: Instant, last: Instant) -> Vec<Duration> {
        let mut times: Vec<Duration> = Vec::new();
        while times.len() < ROUND_TRIPS && (times.is_empty() || Instant::now() < enough) {
            let begin = Instant::now();
            if !(self.one_way(0, last) && self.one_way(1, last)) {
                break;
            }
            let time = begin.elapsed();
            times.push(time);
            // What passes at all comes in a few times of what it took.
            self.wait = self.wait.max(time * 3).min(LONGEST_WAIT * 4);
        }
        times
    }

    /// Sends one frame until it comes.
    fn one_way(&mut self, from: usize, until: Instant) -> bool {
        let to = self.stations[1 - from].socket.mac();
        let mut trials = [Trial::new(from, to, LEAST_PAYLOAD, false)];
        self.run(&mut trials, Effort::Untiring, until);
        trials[0].passed
    }

    /// Sends what has not come, again and again.
    fn run(&mut self, trials: &mut [Trial], effort: Effort, until: Instant) {
        let first = self.sent;
        self.sent += trials.len();
        let mut wait = self.wait;
        for sent in 1.. {
            for (at, trial) in trials.iter().enumerate().filter(|(_, trial)| !trial.passed) {
                let frame = trial.frame(self.sender(trial.from), self.nonce.0, first + at);
                // One that cannot be sent (too long, no carrier) does not pass.
                let _ = self.stations[trial.from].socket.send(&frame);
            }
            self.collect(trials, first, (Instant::now() + wait).min(until));
            let done = |trial: &Trial| match effort {
                Effort::Untiring => false,
                Effort::Times(most) => sent >= most,
                Effort::WhileOthersPass(most) => {
                    sent >= most && trials.iter().any(|other| other.passed && other.from == trial.from)
                }
            };
            if trials.iter().all(|trial| trial.passed || done(trial)) || Instant::now() >= until {
                return;
            }
            wait = (wait * 2).min(LONGEST_WAIT.max(self.wait));
        }
    }

    fn sender(&self, from: usize) -> [u8; 6] {
        self.stations[from].socket.mac()
    }

    /// Takes in what comes until everything has come, or until then.
    fn collect(&mut self, trials: &mut [Trial], first: usize, until: Instant) {
        while !trials.iter().all(|trial| trial.passed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let left = PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX);
            let mut fds = self.stations.each_ref().map(|each| PollFd::new(each.socket.fd(), PollFlags::POLLIN));
            match poll(&mut fds, left) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => return,
            }
            for at in 0..2 {
                // Whose device is gone sends and hears no more.
                while let Ok(Some(frame)) = self.stations[at].socket.receive(&mut self.buffer) {
                    let number = number_of(&self.buffer[..frame.kept]).and_then(|number| number.checked_sub(first));
                    let trial = number.and_then(|number| trials.get_mut(number)).filter(|trial| trial.from != at);
                    if let Some(trial) = trial {
                        trial.passed |= trial.is_whole(&frame);
                    }
                }
            }
            if self.stations.iter().any(|each| each.socket.is_gone()) {
                return;
            }
        }
    }

    /// Searches for the largest frames where those of the MTU did not pass.
    fn search(&mut self, found: &mut [Passes; 2], until: Instant) {
        let mut gaps = Vec::new();
        for (from, passes) in found.iter().enumerate() {
            let mtu = self.stations[from].mtu;
            for (tagged, known) in [(false, passes.largest), (true, passes.largest_tagged)] {
                if known > 0 && known < mtu {
                    gaps.push((from, tagged, known, mtu));
                }
            }
        }
        while gaps.iter().any(|(.., known, refused)| refused - known > 1) && Instant::now() < until {
            let mut trials = Vec::new();
            for &(from, tagged, known, refused) in &gaps {
                let to = self.stations[1 - from].socket.mac();
                let step = ((refused - known) as usize).div_ceil(SIZES + 1).max(1);
                let sizes = (known as usize + step..refused as usize).step_by(step);
                trials.extend(sizes.map(|size| Trial::new(from, to, size, tagged)));
            }
            self.run(&mut trials, Effort::Times(SIZE_TRIES), until);
            for (from, tagged, known, refused) in &mut gaps {
                let mine = || trials.iter().filter(|trial| trial.from == *from && trial.tagged == *tagged);
                let size = |trial: &Trial| u32::try_from(trial.payload).unwrap_or(u32::MAX);
                *known = mine().filter(|trial| trial.passed).map(size).max().unwrap_or(*known);
                *refused = mine().map(size).filter(|size| size > known).min().unwrap_or(*refused);
            }
        }
        for (from, tagged, known, _) in gaps {
            *(if tagged { &mut found[from].largest_tagged } else { &mut found[from].largest }) = known;
        }
    }
}

/// Instructions that let only probes with this number pass, and of those only what comes in.
fn only_probes(nonce: Nonce) -> Vec<Instruction> {
    /// `SKF_AD_OFF + SKF_AD_PKTTYPE` of <linux/filter.h>, and `PACKET_OUTGOING` of <linux/if_packet.h>.
    const PACKET_TYPE: u32 = 0xffff_f004;
    const OUTGOING: u32 = 4;
    let load = |code, k| Instruction { code, jt: 0, jf: 0, k };
    let equal = |k, jt, jf| Instruction { code: 0x15, jt, jf, k };
    let halves = [nonce.0 >> 32, nonce.0 & 0xffff_ffff].map(|half| u32::try_from(half).unwrap_or_default());
    vec![
        load(0x20, PACKET_TYPE),
        equal(OUTGOING, 7, 0),
        load(0x28, 12),
        equal(ETHERTYPE.into(), 0, 5),
        load(0x20, 14),
        equal(halves[0], 0, 3),
        load(0x20, 18),
        equal(halves[1], 0, 1),
        load(RET_K, u32::try_from(HEADER_BYTES).unwrap_or(u32::MAX)),
        load(RET_K, 0),
    ]
}
