//! What a wire does to the frames of one direction, in the kernel's own units: so what is read back is what was asked.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::stored;

/// Longest delay in nanoseconds: `latency` of `struct tc_netem_qopt` (linux/pkt_sched.h) has 32 bits of 64 ns. Kernels since
/// 4.15 take more beside it, which no lab needs.
pub const MAX_DELAY: u64 = u32::MAX as u64 * 64;

/// Widest spread in nanoseconds: netem computes with it in 32 bits with sign (`tabledist` of net/sched/sch_netem.c).
pub const MAX_JITTER: u64 = i32::MAX as u64;

/// Frames that netem holds where nobody says how many: the default of `tc`.
pub const DEFAULT_PACKETS: u32 = 1000;

/// Least rate in bytes per second: 1 kbit/s.
pub const LEAST_RATE: u64 = 125;

/// Most rate in bytes per second: requests have 64 bits for bits.
pub const MOST_RATE: u64 = u64::MAX / 8;

/// A share of frames as netem has it: `u32::MAX` is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Share(u32);

/// A text or number that is no share.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{0}` is not a share in percent, 0 to 100")]
pub struct ShareError(f64);

impl Share {
    /// None of them.
    pub const NONE: Self = Self(0);

    /// All of them.
    pub const ALL: Self = Self(u32::MAX);

    /// The nearest one that the kernel has.
    ///
    /// # Errors
    ///
    /// It is not 0 to 100.
    pub fn from_percent(percent: f64) -> Result<Self, ShareError> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(ShareError(percent));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to u32::MAX by the check above")]
        let raw = (percent / 100.0 * f64::from(u32::MAX)).round() as u32;
        Ok(Self(raw))
    }

    /// In percent. Gives the same share again when it is parsed.
    pub fn percent(self) -> f64 {
        f64::from(self.0) / f64::from(u32::MAX) * 100.0
    }

    /// As the kernel has it.
    pub fn from_raw(raw: u32) -> Self {
        Self(raw)
    }

    /// As the kernel has it.
    pub fn raw(self) -> u32 {
        self.0
    }

    /// All the others.
    pub fn rest(self) -> Self {
        Self(u32::MAX - self.0)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.4}", self.percent());
        write!(f, "{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// How often something happens to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chance {
    /// To how many.
    pub share: Share,
    /// How much it resembles what happened to the frame before.
    pub correlation: Share,
}

impl Chance {
    /// Whether it could have been asked for: what never happens resembles nothing.
    fn is_sound(self) -> bool {
        !self.is_never() || self.correlation == Share::NONE
    }

    /// Whether it never happens.
    pub fn is_never(self) -> bool {
        self.share == Share::NONE
    }
}

/// How delays spread around their mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Evenly.
    #[default]
    Uniform,
    /// Gaussian.
    Normal,
    /// Pareto of shape 3.
    Pareto,
    /// A quarter normal, three quarters Pareto.
    ParetoNormal,
}

/// Which frames are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Loss {
    /// Any.
    Random(Chance),
    /// In bursts: a chain of a good and a bad state.
    GilbertElliott {
        /// From good to bad.
        p: Share,
        /// From bad to good.
        r: Share,
        /// Lost in the bad state (1-h).
        bad: Share,
        /// Lost in the good state (1-k).
        good: Share,
    },
}

impl Default for Loss {
    fn default() -> Self {
        Self::Random(Chance::default())
    }
}

/// All that netem does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Netem {
    /// Mean delay in nanoseconds.
    pub delay: u64,
    /// Spread in nanoseconds.
    pub jitter: u64,
    /// How it spreads.
    pub distribution: Distribution,
    /// How much a delay resembles the one before.
    pub delay_correlation: Share,
    /// Loss.
    pub loss: Loss,
    /// Frames that come twice.
    pub duplicate: Chance,
    /// Frames with a bit flipped.
    pub corrupt: Chance,
    /// Frames that overtake.
    pub reorder: Chance,
    /// Only each so many-th may overtake; 0: none does.
    pub gap: u32,
    /// Frames that are held at most.
    pub packets: u32,
}

impl Default for Netem {
    /// Nothing.
    fn default() -> Self {
        Self {
            delay: 0,
            jitter: 0,
            distribution: Distribution::default(),
            delay_correlation: Share::NONE,
            loss: Loss::default(),
            duplicate: Chance::default(),
            corrupt: Chance::default(),
            reorder: Chance::default(),
            gap: 0,
            packets: DEFAULT_PACKETS,
        }
    }
}

impl Netem {
    /// Whether it could have been asked for. What a disk or a kernel shows need not be.
    pub fn is_sound(&self) -> bool {
        let loss = match self.loss {
            Loss::Random(loss) => loss.is_sound(),
            Loss::GilbertElliott { p, .. } => p != Share::NONE,
        };
        let spread = self.jitter > 0 || (self.distribution, self.delay_correlation) == Default::default();
        let order = if self.reorder.is_never() { self.gap == 0 } else { self.gap > 0 && self.delay > 0 };
        let something = Self { packets: DEFAULT_PACKETS, ..*self } != Self::default();
        let chances = [self.duplicate, self.corrupt, self.reorder].into_iter().all(Chance::is_sound);
        let times = self.delay <= MAX_DELAY && self.jitter <= MAX_JITTER.min(self.delay);
        loss && spread && order && something && chances && times && self.packets > 0
    }
}

impl fmt::Display for Netem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "netem limit {}", self.packets)?;
        if self.delay > 0 {
            write!(f, " delay {} ns", self.delay)?;
        }
        if self.jitter > 0 {
            write!(f, " jitter {} ns {:?}", self.jitter, self.distribution)?;
        }
        match self.loss {
            Loss::Random(loss) if loss.is_never() => {}
            Loss::Random(loss) => write!(f, " loss {}", loss.share)?,
            Loss::GilbertElliott { p, r, bad, good } => write!(f, " gemodel {p} {r} {bad} {good}")?,
        }
        for (name, chance) in [("duplicate", self.duplicate), ("corrupt", self.corrupt), ("reorder", self.reorder)] {
            if !chance.is_never() {
                write!(f, " {name} {}", chance.share)?;
            }
        }
        Ok(())
    }
}

/// Rate of a line as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Bytes per second, at least [`LEAST_RATE`].
    pub bytes_per_second: u64,
    /// Bytes that may pass at once. `None`: chosen by rate and MTU.
    pub burst: Option<u32>,
    /// Bytes that wait. `None`: chosen by rate and MTU.
    pub queue: Option<u32>,
}

impl Rate {
    /// Whether it could have been asked for, whatever the MTU of its wire.
    pub fn is_sound(&self) -> bool {
        (LEAST_RATE..=MOST_RATE).contains(&self.bytes_per_second) && self.burst != Some(0) && self.queue != Some(0)
    }
}

/// What happens to the frames of one direction. The default: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Impairment {
    /// What netem does.
    #[serde(default, deserialize_with = "stored::netem")]
    pub netem: Option<Netem>,
    /// How many bytes pass.
    #[serde(default, deserialize_with = "stored::rate")]
    pub rate: Option<Rate>,
}

impl Impairment {
    /// Whether every frame passes at once.
    pub fn is_nothing(&self) -> bool {
        self.netem.is_none() && self.rate.is_none()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_share_of_the_kernel_comes_back_from_percent(raw: u32) {
            prop_assert_eq!(Share::from_percent(Share(raw).percent()).unwrap(), Share(raw));
        }

        #[test]
        fn what_is_not_0_to_100_is_no_share(percent: f64) {
            prop_assert_eq!(Share::from_percent(percent).is_ok(), (0.0..=100.0).contains(&percent));
        }
    }

    #[test]
    fn shares_are_those_of_tc() {
        // `tc -d qdisc` of iproute2 6.1 writes 0.5 % as 21474836 of 4294967295.
        assert_eq!(Share::from_percent(0.5).unwrap().raw(), 21_474_836);
        assert_eq!(Share::from_percent(100.0).unwrap(), Share::ALL);
        assert_eq!(Share::from_percent(12.5).unwrap().to_string(), "12.5%");
        assert!(Share::from_percent(f64::NAN).is_err());
    }
}
