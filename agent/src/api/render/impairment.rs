//! Impairments and what the kernel shows of them.

use podwire_proto::v1::{self, impairment::LossModel};

use crate::domain::{
    impairment::{Distribution, Impairment, Loss, Netem},
    observed::Counters,
    queue::{Bucket, Egress},
    status::PortStatus,
};

/// An impairment as it was asked for; `None`: there is none.
pub(crate) fn impairment(it: &Impairment) -> Option<v1::Impairment> {
    let rate = it.rate.map(|rate| v1::Rate {
        bits_per_second: rate.bytes_per_second.saturating_mul(8),
        burst_bytes: rate.burst.unwrap_or_default(),
        queue_bytes: rate.queue.unwrap_or_default(),
    });
    (!it.is_nothing()).then(|| v1::Impairment { rate, ..it.netem.as_ref().map(netem).unwrap_or_default() })
}

/// A direction as the kernel treats it, by the ports of its sender and of its receiver; `None`: there is no receiver.
pub(super) fn direction(sender: Option<&PortStatus>, receiver: Option<&PortStatus>) -> Option<v1::DirectionStatus> {
    let receiver = receiver?;
    let impairment = match &receiver.egress {
        Egress::Plain | Egress::Unknown => None,
        Egress::Queue { netem: of, bucket: rate } => {
            let of = of.as_ref().map(netem).unwrap_or_default();
            Some(v1::Impairment { rate: rate.as_ref().map(bucket), ..of })
        }
    };
    let counters = counters(sender.map(|it| it.counters), Some(receiver.counters));
    Some(v1::DirectionStatus { impairment, counters: Some(counters) })
}

/// The direction from an interface into its bridge.
pub(super) fn from_interface(sender: &PortStatus) -> v1::DirectionStatus {
    v1::DirectionStatus { impairment: None, counters: Some(counters(Some(sender.counters), None)) }
}

fn counters(sender: Option<Counters>, receiver: Option<Counters>) -> v1::Counters {
    let (sender, receiver) = (sender.unwrap_or_default(), receiver.unwrap_or_default());
    v1::Counters {
        frames_in: sender.rx_frames,
        bytes_in: sender.rx_bytes,
        frames_out: receiver.tx_frames,
        bytes_out: receiver.tx_bytes,
        dropped: sender.rx_dropped.saturating_add(receiver.tx_dropped),
        errors: sender.rx_errors.saturating_add(receiver.tx_errors),
    }
}

fn bucket(bucket: &Bucket) -> v1::Rate {
    v1::Rate { bits_per_second: bucket.rate.saturating_mul(8), burst_bytes: bucket.burst(), queue_bytes: bucket.queue }
}

fn netem(it: &Netem) -> v1::Impairment {
    let loss = match it.loss {
        Loss::Random(loss) if loss.is_never() => None,
        Loss::Random(loss) => Some(LossModel::Loss(loss.share.percent())),
        Loss::GilbertElliott { p, r, bad, good } => Some(LossModel::GilbertElliott(v1::GilbertElliott {
            p: p.percent(),
            r: r.percent(),
            one_minus_h: bad.percent(),
            one_minus_k: good.percent(),
        })),
    };
    let loss_correlation = match it.loss {
        Loss::Random(loss) => loss.correlation.percent(),
        Loss::GilbertElliott { .. } => 0.0,
    };
    let distribution = match it.distribution {
        // Without a spread it says nothing.
        _ if it.jitter == 0 => v1::DelayDistribution::Unspecified,
        Distribution::Uniform => v1::DelayDistribution::Uniform,
        Distribution::Normal => v1::DelayDistribution::Normal,
        Distribution::Pareto => v1::DelayDistribution::Pareto,
        Distribution::ParetoNormal => v1::DelayDistribution::Paretonormal,
    };
    v1::Impairment {
        delay: time(it.delay),
        jitter: time(it.jitter),
        distribution: distribution.into(),
        delay_correlation: it.delay_correlation.percent(),
        loss_model: loss,
        loss_correlation,
        duplicate: it.duplicate.share.percent(),
        duplicate_correlation: it.duplicate.correlation.percent(),
        corrupt: it.corrupt.share.percent(),
        corrupt_correlation: it.corrupt.correlation.percent(),
        reorder: it.reorder.share.percent(),
        reorder_correlation: it.reorder.correlation.percent(),
        gap: it.gap,
        queue_packets: it.packets,
        rate: None,
    }
}

fn time(nanoseconds: u64) -> Option<prost_types::Duration> {
    let time = std::time::Duration::from_nanos(nanoseconds);
    (nanoseconds > 0).then(|| time.try_into().ok()).flatten()
}
