//! Impairments in words.

use std::time::Duration;

use podwire_proto::v1::{self, impairment::LossModel};

/// What happens to frames: `delay 20ms ± 2ms normal, loss 1%, rate 1 Mbit/s`. Empty where nothing does.
pub(crate) fn describe(it: &v1::Impairment) -> String {
    let mut parts = Vec::new();
    if let Some(delay) = time(it.delay) {
        let spread = time(it.jitter).map(|jitter| format!(" ± {jitter:?}{}", distribution(it))).unwrap_or_default();
        parts.push(format!("delay {delay:?}{spread}"));
    }
    match it.loss_model {
        Some(LossModel::Loss(loss)) if loss > 0.0 => parts.push(format!("loss {}", percent(loss))),
        Some(LossModel::GilbertElliott(chain)) => {
            let [p, r, h, k] = [chain.p, chain.r, chain.one_minus_h, chain.one_minus_k].map(percent);
            parts.push(format!("loss in bursts p {p} r {r} 1-h {h} 1-k {k}"));
        }
        Some(LossModel::Loss(_)) | None => {}
    }
    for (name, share) in [("duplicate", it.duplicate), ("corrupt", it.corrupt), ("reorder", it.reorder)] {
        if share > 0.0 {
            parts.push(format!("{name} {}", percent(share)));
        }
    }
    if let Some(rate) = &it.rate {
        parts.push(format!("rate {}", bits(rate.bits_per_second)));
    }
    parts.join(", ")
}

fn time(time: Option<prost_types::Duration>) -> Option<Duration> {
    time.and_then(|time| Duration::try_from(time).ok()).filter(|time| !time.is_zero())
}

fn distribution(it: &v1::Impairment) -> &'static str {
    match it.distribution() {
        v1::DelayDistribution::Unspecified | v1::DelayDistribution::Uniform => "",
        v1::DelayDistribution::Normal => " normal",
        v1::DelayDistribution::Pareto => " pareto",
        v1::DelayDistribution::Paretonormal => " paretonormal",
    }
}

fn percent(percent: f64) -> String {
    let text = format!("{percent:.4}");
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A rate: `1.5 Mbit/s`.
pub(crate) fn bits(rate: u64) -> String {
    const UNITS: [(&str, u64); 3] = [("Gbit/s", 1_000_000_000), ("Mbit/s", 1_000_000), ("kbit/s", 1000)];
    let Some((unit, size)) = UNITS.into_iter().find(|(_, size)| rate >= *size) else {
        return format!("{rate} bit/s");
    };
    let text = format!("{}.{:03}", rate / size, rate % size * 1000 / size);
    format!("{} {unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impairment_is_one_line() {
        let it = v1::Impairment {
            delay: Some(prost_types::Duration { seconds: 0, nanos: 20_000_000 }),
            jitter: Some(prost_types::Duration { seconds: 0, nanos: 2_000_000 }),
            distribution: v1::DelayDistribution::Normal.into(),
            loss_model: Some(LossModel::Loss(0.999_999_999)),
            rate: Some(v1::Rate { bits_per_second: 1_500_000, ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(describe(&it), "delay 20ms ± 2ms normal, loss 1%, rate 1.5 Mbit/s");
        assert_eq!(describe(&v1::Impairment::default()), "");
        assert_eq!((bits(8), bits(2_000_000_000)), ("8 bit/s".to_owned(), "2 Gbit/s".to_owned()));
    }
}
