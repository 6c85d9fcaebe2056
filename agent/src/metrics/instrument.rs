//! The kinds of instruments, with labels and buckets.

use std::time::{Duration, Instant};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

/// Labels: names and values that the agent knows.
pub(super) type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Counters by labels.
pub(super) type Counters<const N: usize> = Family<Labels<N>, Counter>;

/// Gauges by labels.
pub(super) type Gauges<const N: usize> = Family<Labels<N>, Gauge>;

/// Histograms by labels.
pub(super) type Histograms<const N: usize> = Family<Labels<N>, Histogram>;

/// Seconds of what a caller waits for.
pub(super) fn patience() -> Histogram {
    Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0])
}

/// Seconds of a part of it.
pub(super) fn effort() -> Histogram {
    Histogram::new([0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0])
}

/// Seconds of an exchange with the kernel.
pub(super) fn exchange() -> Histogram {
    Histogram::new([0.00001, 0.000_025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.01, 0.05, 0.25, 1.0, 10.0])
}

/// One more of what a gauge counts, until it is dropped.
#[derive(Debug)]
pub(crate) struct Under(Gauge);

impl Under {
    pub(super) fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Under {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Does work and measures it.
pub(super) fn timed<T>(histogram: &Histogram, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    histogram.observe(began.elapsed().as_secs_f64());
    done
}

/// Seconds since 1970, as metrics have times.
pub(super) fn since_epoch(time: std::time::SystemTime) -> f64 {
    time.duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
