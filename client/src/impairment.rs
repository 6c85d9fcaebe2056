//! What a wire does to the frames of one direction.

use std::time::Duration;

use crate::v1::{self, impairment::LossModel};

/// What a wire does to the frames of one direction. Without any option: nothing, every frame passes at once.
///
/// Shares and correlations are percent, 0 to 100. What makes no sense is refused by the agent:
/// [`Error::is_invalid`](crate::Error::is_invalid).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impairment {
    message: v1::Impairment,
}

impl Impairment {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Delay of each frame, up to 274 s.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.message.delay = delay.try_into().ok();
        self
    }

    /// How far delays spread, evenly unless [`distribution`](Self::distribution) says otherwise.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.message.jitter = jitter.try_into().ok();
        self
    }

    /// How delays spread.
    pub fn distribution(mut self, distribution: v1::DelayDistribution) -> Self {
        self.message.set_distribution(distribution);
        self
    }

    /// How much a delay resembles the one before it.
    pub fn delay_correlation(mut self, percent: f64) -> Self {
        self.message.delay_correlation = percent;
        self
    }

    /// Frames that are lost, at random.
    pub fn loss(mut self, percent: f64) -> Self {
        self.message.loss_model = Some(LossModel::Loss(percent));
        self
    }

    /// How much a loss at random resembles what happened to the frame before.
    pub fn loss_correlation(mut self, percent: f64) -> Self {
        self.message.loss_correlation = percent;
        self
    }

    /// Frames that are lost in bursts, in place of losses at random: from good to bad, from bad to good, lost in the bad state
    /// (1-h), lost in the good state (1-k).
    pub fn gilbert_elliott(mut self, p: f64, r: f64, one_minus_h: f64, one_minus_k: f64) -> Self {
        let chain = v1::GilbertElliott { p, r, one_minus_h, one_minus_k };
        self.message.loss_model = Some(LossModel::GilbertElliott(chain));
        self
    }

    /// Frames that come twice, and how much that resembles what happened to the frame before.
    pub fn duplicate(mut self, percent: f64, correlation: f64) -> Self {
        (self.message.duplicate, self.message.duplicate_correlation) = (percent, correlation);
        self
    }

    /// Frames with one bit flipped, and how much that resembles what happened to the frame before.
    pub fn corrupt(mut self, percent: f64, correlation: f64) -> Self {
        (self.message.corrupt, self.message.corrupt_correlation) = (percent, correlation);
        self
    }

    /// Frames that overtake those that wait, and how much that resembles what happened to the frame before.
    pub fn reorder(mut self, percent: f64, correlation: f64) -> Self {
        (self.message.reorder, self.message.reorder_correlation) = (percent, correlation);
        self
    }

    /// Only each so many-th frame may overtake.
    pub fn gap(mut self, frames: u32) -> Self {
        self.message.gap = frames;
        self
    }

    /// Frames that wait at most. Default 1000.
    pub fn queue_packets(mut self, frames: u32) -> Self {
        self.message.queue_packets = frames;
        self
    }

    /// Bits per second that pass, at least 1000.
    pub fn rate(mut self, bits_per_second: u64) -> Self {
        self.message.rate.get_or_insert_default().bits_per_second = bits_per_second;
        self
    }

    /// Bytes that may pass at once after a pause; needs [`rate`](Self::rate).
    pub fn burst(mut self, bytes: u32) -> Self {
        self.message.rate.get_or_insert_default().burst_bytes = bytes;
        self
    }

    /// Bytes that wait for the rate; needs [`rate`](Self::rate).
    pub fn queue_bytes(mut self, bytes: u32) -> Self {
        self.message.rate.get_or_insert_default().queue_bytes = bytes;
        self
    }
}

impl From<Impairment> for v1::Impairment {
    fn from(impairment: Impairment) -> Self {
        impairment.message
    }
}
