//! Random numbers that a seed repeats.

use std::{
    env,
    ops::Range,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// The seed of this process: `PODWIRE_SEED`, or a new one.
pub fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| u64::from(now.subsec_nanos()));
        env::var("PODWIRE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(now)
    })
}

/// A generator (SplitMix64 of Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A generator of its own for each `stream`, from [`seed`]; prints which, so that a failure can be repeated.
    pub fn of(stream: u64) -> Self {
        let seed = seed();
        eprintln!("PODWIRE_SEED={seed}, stream {stream}");
        Self(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// A generator that goes its own way from here.
    pub fn split(&mut self) -> Self {
        Self(self.number())
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of a range, which must not be empty.
    pub fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.number() % (range.end - range.start)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.within(0..times) == 0
    }

    /// One of them.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.within(0..all.len() as u64)).unwrap_or(0)]
    }
}
