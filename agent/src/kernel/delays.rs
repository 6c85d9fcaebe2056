//! Tables of delays for netem, made by formula.
//!
//! netem picks an entry at random and adds so many standard deviations to the mean: 8192 (`NETEM_DIST_SCALE` of
//! linux/pkt_sched.h) is one. Entries have 16 bits, so everything ends at 4 deviations.

use std::sync::LazyLock;

use crate::domain::impairment::Distribution;

/// Entries of a table; the kernel takes up to 16384 (`NETEM_DIST_MAX`).
const ENTRIES: u16 = 4096;

/// One standard deviation.
const SCALE: f64 = 8192.0;

/// The table of a distribution; `None`: the kernel's own, even spread.
pub(super) fn table(distribution: Distribution) -> Option<&'static [i16]> {
    static NORMAL: LazyLock<Vec<i16>> = LazyLock::new(|| entries(&normal()));
    static PARETO: LazyLock<Vec<i16>> = LazyLock::new(|| entries(&pareto()));
    static PARETONORMAL: LazyLock<Vec<i16>> = LazyLock::new(|| {
        let both = normal().into_iter().zip(pareto());
        entries(&both.map(|(normal, pareto)| 0.25 * normal + 0.75 * pareto).collect::<Vec<_>>())
    });
    match distribution {
        Distribution::Uniform => None,
        Distribution::Normal => Some(&NORMAL),
        Distribution::Pareto => Some(&PARETO),
        Distribution::ParetoNormal => Some(&PARETONORMAL),
    }
}

fn entries(quantiles: &[f64]) -> Vec<i16> {
    let entry = |quantile: &f64| {
        let scaled = (quantile * SCALE).round().clamp(f64::from(-i16::MAX), f64::from(i16::MAX));
        #[expect(clippy::cast_possible_truncation, reason = "clamped to 16 bits")]
        let entry = scaled as i16;
        entry
    };
    quantiles.iter().map(entry).collect()
}

/// The middles of equal parts of all that may happen.
fn parts() -> impl Iterator<Item = f64> {
    (0..ENTRIES).map(|i| (f64::from(i) + 0.5) / f64::from(ENTRIES))
}

/// Quantiles of the standard normal distribution, by adding up its density in small steps.
fn normal() -> Vec<f64> {
    const STEP: f64 = 0.0002;
    let density = |x: f64| (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt();
    let (mut x, mut below) = (-6.0, 0.0);
    let next = |part: f64| {
        while below < part && x < 6.0 {
            below += STEP * density(x + STEP / 2.0);
            x += STEP;
        }
        x
    };
    parts().map(next).collect()
}

/// Quantiles of the Pareto distribution of shape 3, moved to mean 0 and scaled to deviation 1.
fn pareto() -> Vec<f64> {
    const SHAPE: f64 = 3.0;
    let mean = SHAPE / (SHAPE - 1.0);
    let deviation = (SHAPE / (SHAPE - 2.0)).sqrt() / (SHAPE - 1.0);
    parts().map(|part| ((1.0 - part).powf(-1.0 / SHAPE) - mean) / deviation).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Mean and standard deviation in deviations.
    fn moments(distribution: Distribution) -> (f64, f64) {
        let table = table(distribution).unwrap();
        let values: Vec<f64> = table.iter().map(|entry| f64::from(*entry) / SCALE).collect();
        let count = f64::from(ENTRIES);
        let mean = values.iter().sum::<f64>() / count;
        let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
        (mean, square.sqrt())
    }

    #[test]
    fn tables_have_mean_0_and_about_one_deviation() {
        assert!(table(Distribution::Uniform).is_none());
        let (mean, deviation) = moments(Distribution::Normal);
        assert!(mean.abs() < 0.001 && (deviation - 1.0).abs() < 0.002, "{mean} {deviation}");
        // The end at 4 deviations costs the heavy tails some of both.
        for distribution in [Distribution::Pareto, Distribution::ParetoNormal] {
            let (mean, deviation) = moments(distribution);
            assert!(mean.abs() < 0.03 && (0.7..1.0).contains(&deviation), "{distribution:?} {mean} {deviation}");
        }
    }

    #[test]
    fn known_quantiles_are_in_the_tables() {
        let normal = table(Distribution::Normal).unwrap();
        // 97.725 % lie below two deviations.
        let two = f64::from(normal[4002]) / SCALE;
        assert!((two - 2.0).abs() < 0.01, "{two}");
        let pareto = table(Distribution::Pareto).unwrap();
        // No delay is shorter than the mean less 0.5 / 0.866 deviations.
        assert!((f64::from(pareto[0]) / SCALE + 0.577).abs() < 0.001);
        assert_eq!(pareto[4095], i16::MAX);
    }
}
