//! The queue of a port towards its NIC: what follows from an impairment, and what the kernel shows of one.

use std::fmt;

use super::{
    impairment::{Impairment, Netem, Rate},
    mtu::Mtu,
};

/// Bytes of an Ethernet header with one 802.1Q tag: what a frame has besides its MTU.
const HEADER_BYTES: u32 = 14 + 4;

/// What passes at once where nobody says: so many milliseconds of the rate.
const BURST_MILLISECONDS: u64 = 1;

/// What waits where nobody says: so many milliseconds of the rate, and at least so many frames.
const QUEUE_MILLISECONDS: u64 = 100;
const QUEUE_FRAMES: u32 = 16;

/// Nanoseconds of one tick: `PSCHED_SHIFT` of net/sched/pkt_sched.h is 6.
const TICK_SHIFT: u32 = 6;

/// Bytes of the largest frame on a wire.
pub fn frame_bytes(mtu: Mtu) -> u32 {
    mtu.bytes().saturating_add(HEADER_BYTES)
}

/// A queue as it shall be. The default: none, every frame passes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queue {
    /// What netem does.
    pub netem: Option<Netem>,
    /// What a token bucket lets through, behind netem.
    pub shaper: Option<Shaper>,
}

impl Queue {
    /// That of an impairment on a wire of this MTU.
    pub fn of(impairment: &Impairment, mtu: Mtu) -> Self {
        Self { netem: impairment.netem, shaper: impairment.rate.map(|rate| Shaper::of(rate, mtu)) }
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.netem.is_none() && self.shaper.is_none()
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.netem, &self.shaper) {
            (None, None) => f.write_str("none"),
            (Some(netem), None) => netem.fmt(f),
            (None, Some(shaper)) => shaper.fmt(f),
            (Some(netem), Some(shaper)) => write!(f, "{netem}, {shaper}"),
        }
    }
}

/// A token bucket (tbf).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shaper {
    /// Bytes per second.
    pub rate: u64,
    /// Bytes that may pass at once.
    pub burst: u32,
    /// Bytes that wait.
    pub queue: u32,
}

impl Shaper {
    fn of(rate: Rate, mtu: Mtu) -> Self {
        let frame = frame_bytes(mtu);
        let within = |milliseconds: u64| {
            u32::try_from(rate.bytes_per_second.saturating_mul(milliseconds) / 1000).unwrap_or(u32::MAX)
        };
        let queue = within(QUEUE_MILLISECONDS).max(frame.saturating_mul(QUEUE_FRAMES));
        Self {
            rate: rate.bytes_per_second,
            burst: rate.burst.unwrap_or_else(|| within(BURST_MILLISECONDS).max(frame)),
            queue: rate.queue.unwrap_or(queue),
        }
    }

    /// What the kernel shows of it.
    pub fn bucket(&self) -> Bucket {
        Bucket { rate: self.rate, ticks: ticks(self.rate, self.burst), queue: self.queue }
    }
}

impl fmt::Display for Shaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tbf rate {} B/s burst {} B limit {} B", self.rate, self.burst, self.queue)
    }
}

/// A token bucket as the kernel shows it: it keeps the time that its burst takes, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Bytes per second.
    pub rate: u64,
    /// The burst at that rate, in ticks of 64 ns.
    pub ticks: u32,
    /// Bytes that wait.
    pub queue: u32,
}

impl Bucket {
    /// Bytes of its burst, rounded up.
    pub fn burst(&self) -> u32 {
        let bytes = (u128::from(self.ticks) << TICK_SHIFT) * u128::from(self.rate);
        u32::try_from(bytes.div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
    }

    /// A rate that makes this bucket on a wire of this MTU, with no more numbers than it takes; where none does, because
    /// somebody changed the bucket, one that passes whole frames.
    pub fn asked(&self, mtu: Mtu) -> Rate {
        let short = Rate { bytes_per_second: self.rate, burst: None, queue: None };
        let made = Shaper::of(short, mtu).bucket();
        let queue = (made.queue != self.queue).then(|| self.queue.max(frame_bytes(mtu)));
        let burst = (made.ticks != self.ticks).then(|| self.whole_burst(frame_bytes(mtu)));
        Rate { burst, queue, ..short }
    }

    /// The least burst of at least a frame that takes its time. The kernel shows the low 32 bits of that, 275 s, and a slow
    /// line may take longer.
    fn whole_burst(&self, frame: u32) -> u32 {
        let pace = Pace::of(self.rate);
        let turns = (0..).map(|turns: u64| u64::from(self.ticks) + (turns << u32::BITS));
        let within = turns.take_while(|ticks| *ticks <= pace.ticks(u32::MAX));
        let mut bursts = within.map(|ticks| {
            let (mut least, mut most) = (frame, u32::MAX);
            while least < most {
                let middle = least + (most - least) / 2;
                if pace.ticks(middle) < ticks { least = middle + 1 } else { most = middle }
            }
            least
        });
        bursts.find(|bytes| low(pace.ticks(*bytes)) == self.ticks).unwrap_or_else(|| self.burst().max(frame))
    }
}

/// The time that bytes take as the kernel computes it: `psched_ratecfg_precompute` (net/sched/sch_generic.c) and
/// `psched_l2t_ns` (include/net/sch_generic.h).
struct Pace {
    multiplier: u32,
    shift: u32,
}

impl Pace {
    fn of(rate: u64) -> Self {
        let (mut factor, mut shift, mut multiplier) = (1_000_000_000_u64, 0_u32, 1_u32);
        while let Some(quotient) = factor.checked_div(rate) {
            multiplier = low(quotient);
            if multiplier & (1 << 31) != 0 || factor & (1 << 63) != 0 {
                break;
            }
            factor <<= 1;
            shift += 1;
        }
        Self { multiplier, shift }
    }

    fn ticks(&self, bytes: u32) -> u64 {
        ((u64::from(bytes) * u64::from(self.multiplier)) >> self.shift) >> TICK_SHIFT
    }
}

/// The time of a burst as the kernel shows it: `tbf_dump` (net/sched/sch_tbf.c) keeps the low 32 bits.
fn ticks(rate: u64, bytes: u32) -> u32 {
    low(Pace::of(rate).ticks(bytes))
}

/// The low 32 bits, as an assignment to `u32` leaves them in C.
fn low(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// What a port does with frames towards its NIC, as the kernel shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Egress {
    /// They pass at once.
    #[default]
    Plain,
    /// A queue of ours.
    Queue {
        /// What netem does.
        netem: Option<Netem>,
        /// What is behind it, or alone.
        bucket: Option<Bucket>,
    },
    /// A queueing discipline that is none of ours.
    Unknown,
}

impl Egress {
    /// What the kernel shows of a queue.
    pub fn of(queue: &Queue) -> Self {
        if queue.is_none() {
            return Self::Plain;
        }
        Self::Queue { netem: queue.netem, bucket: queue.shaper.map(|shaper| shaper.bucket()) }
    }

    /// Whether it becomes that queue by new numbers alone, which keeps the frames in it. The kernel takes a table of delays with
    /// the making of a queue and does not show it: the distribution is in the handle, which does not change.
    pub fn changes_into(&self, queue: &Queue) -> bool {
        let Self::Queue { netem, bucket } = self else { return false };
        let distribution = |netem: &Option<Netem>| netem.map(|netem| netem.distribution);
        distribution(netem) == distribution(&queue.netem) && bucket.is_some() == queue.shaper.is_some()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::domain::impairment::{LEAST_RATE, MOST_RATE};

    fn shaper(rate: u64, burst: Option<u32>) -> Shaper {
        Shaper::of(Rate { bytes_per_second: rate, burst, queue: None }, Mtu::default())
    }

    #[test]
    fn what_is_not_said_of_a_rate_follows_from_it() {
        let slow = shaper(125_000, None);
        assert_eq!((slow.burst, slow.queue), (1518, 16 * 1518));
        let fast = shaper(125_000_000, None);
        assert_eq!((fast.burst, fast.queue), (125_000, 12_500_000));
        let most = shaper(u64::MAX, None);
        assert_eq!((most.burst, most.queue), (u32::MAX, u32::MAX));
    }

    #[test]
    fn a_burst_is_the_time_that_the_kernel_shows() {
        // Linux 6.18: `tc qdisc add dev d root tbf rate 1mbit burst 1518 limit 24288` shows buffer 189750 of 64 ns.
        assert_eq!(shaper(125_000, Some(1518)).bucket().ticks, 189_750);
        assert_eq!(shaper(125_000, Some(1518)).bucket().burst(), 1518);
    }

    proptest! {
        #[test]
        fn every_bucket_that_was_asked_for_can_be_asked_for_again(
            digits in 1u32..64, bits: u64, mtu in 68u32..=65_535, burst: Option<u32>, queue: Option<u32>,
        ) {
            let (rate, mtu) = ((bits >> (64 - digits)).clamp(LEAST_RATE, MOST_RATE), Mtu::try_from(mtu).unwrap());
            let frame = frame_bytes(mtu);
            let [burst, queue] = [burst, queue].map(|bytes| bytes.map(|bytes| bytes.max(frame)));
            let bucket = Shaper::of(Rate { bytes_per_second: rate, burst, queue }, mtu).bucket();
            let asked = bucket.asked(mtu);
            prop_assert_eq!(Shaper::of(asked, mtu).bucket(), bucket);
            prop_assert!(asked.is_sound() && asked.burst.is_none_or(|burst| burst >= frame), "{:?}", asked);
        }

        #[test]
        fn of_any_bucket_whole_frames_pass(rate: u64, ticks: u32, queue: u32, mtu in 68u32..=65_535) {
            let mtu = Mtu::try_from(mtu).unwrap();
            let asked = Bucket { rate, ticks, queue }.asked(mtu);
            prop_assert!(asked.burst.is_none_or(|bytes| bytes >= frame_bytes(mtu)));
            prop_assert!(asked.queue.is_none_or(|bytes| bytes >= frame_bytes(mtu)));
        }
    }

    #[test]
    fn no_rate_is_too_odd() {
        for rate in [0, 1, 125, 3_333_333, 1 << 40, u64::MAX] {
            for burst in [1, 1518, u32::MAX] {
                let bucket = shaper(rate, Some(burst)).bucket();
                let _ = bucket.burst();
            }
        }
    }
}
