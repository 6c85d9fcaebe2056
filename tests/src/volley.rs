//! Numbered frames through a wire, with what became of each.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use podwire_proto::v1::{Impairment, impairment::LossModel};

use crate::tap::Tap;

/// The local experimental EtherType (IEEE 802), so that nobody else understands the frames.
const ETHERTYPE: [u8; 2] = [0x88, 0xb5];

/// Bytes before the number: two addresses and the type.
const HEADER_BYTES: usize = 14;

/// What to send.
#[derive(Debug, Clone, Copy)]
pub struct Volley {
    /// How many frames.
    pub frames: u32,
    /// Bytes of each, at least 60.
    pub bytes: usize,
    /// Time between two of them.
    pub gap: Duration,
    /// No frame takes longer to come.
    pub patience: Duration,
}

/// A frame that came. Times are those of the kernel's clock, at the two interfaces: how busy the test is does not matter.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Its number, from 0.
    pub number: u32,
    /// When it was sent.
    pub sent: Duration,
    /// When it came.
    pub came: Duration,
    /// Bits that differ from what was sent; those of the number are not among them.
    pub flipped: u32,
}

impl Arrival {
    /// How long it took.
    pub fn took(&self) -> Duration {
        self.came.saturating_sub(self.sent)
    }
}

impl Volley {
    /// Sends from one tap to the other, and returns what came in its order.
    ///
    /// # Errors
    ///
    /// The kernel takes no frame.
    pub fn run(self, from: &Tap, to: &Tap) -> Result<Vec<Arrival>> {
        let entry = from.again()?;
        for tap in [&entry, to] {
            tap.enlarge()?;
        }
        let (sent, left, received) = thread::scope(|scope| {
            let left = scope.spawn(|| self.receive(from, &entry));
            let received = scope.spawn(|| self.receive(from, to));
            let sent = self.send(from, to);
            (sent, left.join().unwrap_or_default(), received.join().unwrap_or_default())
        });
        sent?;
        let left: BTreeMap<u32, Duration> =
            left.iter().filter_map(|(time, frame)| Some((number_of(frame)?, *time))).collect();
        let arrival = |(came, frame): (Duration, Vec<u8>)| {
            let number = number_of(&frame)?;
            let wanted = self.frame(to.mac(), from.mac(), number);
            let bits = frame.iter().zip(&wanted).map(|(is, was)| (is ^ was).count_ones());
            Some(Arrival { number, sent: *left.get(&number)?, came, flipped: bits.sum() })
        };
        Ok(received.into_iter().filter_map(arrival).collect())
    }

    fn frame(self, to: [u8; 6], from: [u8; 6], number: u32) -> Vec<u8> {
        // Three times, so that one flipped bit does not make it another number.
        let number = number.to_be_bytes();
        let mut frame = [&to[..], &from, &ETHERTYPE, &number, &number, &number].concat();
        frame.resize(self.bytes.max(60), 0x5a);
        frame
    }

    fn send(self, from: &Tap, to: &Tap) -> Result<()> {
        let start = Instant::now();
        for number in 0..self.frames {
            let due = start + self.gap * number;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            from.send_whole(&self.frame(to.mac(), from.mac(), number))?;
        }
        Ok(())
    }

    /// Receives until nothing came for a while.
    fn receive(self, from: &Tap, at: &Tap) -> Vec<(Duration, Vec<u8>)> {
        let mut received = Vec::new();
        let mut end = Instant::now() + self.gap * self.frames + self.patience;
        while let Some((time, frame)) = at.receive(end.saturating_duration_since(Instant::now())) {
            let ours = frame.get(6..12) == Some(&from.mac()[..]) || frame.get(12..14) == Some(&ETHERTYPE[..]);
            if ours && frame.len() == self.bytes.max(60) {
                received.push((time, frame));
                end = end.max(Instant::now() + self.patience);
            }
        }
        received
    }
}

/// The number that two of three places agree on.
fn number_of(frame: &[u8]) -> Option<u32> {
    let at = |place: usize| {
        let start = HEADER_BYTES + 4 * place;
        frame.get(start..start + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes)
    };
    let (a, b, c) = (at(0)?, at(1)?, at(2)?);
    if a == b || a == c { Some(a) } else { (b == c).then_some(b) }
}

/// How long it took for the last of some frames to come after the first, in seconds.
pub fn span(arrivals: &[Arrival]) -> f64 {
    let (first, last) = (arrivals.first().map(|it| it.came), arrivals.last().map(|it| it.came));
    last.unwrap_or_default().saturating_sub(first.unwrap_or_default()).as_secs_f64()
}

/// The middle of some times and the width of their middle half, in milliseconds: a machine that stumbles now and then does not
/// change them.
pub fn middle(arrivals: &[Arrival]) -> (f64, f64) {
    let mut times: Vec<f64> = arrivals.iter().map(|it| it.took().as_secs_f64() * 1000.0).collect();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(times.len() * part / 4).copied().unwrap_or_default();
    (at(2), at(3) - at(1))
}

/// How two impairments differ by more than the kernel's rounding of shares; `None`: not at all.
pub fn close(is: &Impairment, shall: &Impairment) -> Option<String> {
    /// Percent of one step of the kernel's 32 bits.
    const STEP: f64 = 100.0 / 4_294_967_295.0;
    let shares = |it: &Impairment| {
        let loss = match it.loss_model {
            None => [0.0; 4],
            Some(LossModel::Loss(loss)) => [loss, 0.0, 0.0, 0.0],
            Some(LossModel::GilbertElliott(chain)) => [chain.p, chain.r, chain.one_minus_h, chain.one_minus_k],
        };
        let rest = [it.delay_correlation, it.loss_correlation, it.duplicate, it.corrupt, it.reorder];
        loss.into_iter().chain(rest).collect::<Vec<_>>()
    };
    let near = shares(is).iter().zip(shares(shall)).all(|(is, shall)| (is - shall).abs() <= STEP);
    let rest = |it: &Impairment| (it.delay, it.jitter, it.distribution, it.gap, it.queue_packets, it.rate);
    (!near || rest(is) != rest(shall)).then(|| format!("{is:?} is not {shall:?}"))
}
