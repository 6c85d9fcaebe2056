//! Calls by service, method and code.

use std::time::Duration;

use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

use super::instrument::{Counters, Histograms, Under, patience};

/// Calls, of all listeners.
#[derive(Debug)]
pub struct Calls {
    answered: Counters<3>,
    duration: Histograms<2>,
    under_way: Gauge,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            answered: Counters::default(),
            duration: Histograms::new_with_constructor(patience),
            under_way: Gauge::default(),
        }
    }
}

impl Calls {
    /// A call is under way until this is dropped.
    pub(crate) fn begin(&self) -> Under {
        Under::begin(&self.under_way)
    }

    /// A method that may be called. That calls of it fail by a fault of the agent is counted from here on: an alert sees that a count
    /// grows, and not that there is one where there was none.
    pub(crate) fn expect(&self, (service, method): (&'static str, &'static str)) {
        drop(self.answered.get_or_create(&[("service", service), ("method", method), ("code", "INTERNAL")]));
    }

    /// A call of a method, which must be one of a known few, was answered so after this time.
    pub(crate) fn answered(&self, (service, method): (&'static str, &'static str), code: &'static str, took: Duration) {
        self.answered.get_or_create(&[("service", service), ("method", method), ("code", code)]).inc();
        self.duration.get_or_create(&[("service", service), ("method", method)]).observe(took.as_secs_f64());
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "calls",
            "Calls that were answered, or whose caller went away (`CALLER_GONE`); streams when they begin",
            self.answered.clone(),
        );
        registry.register(
            "call_duration_seconds",
            "From a call to its answer; of streams to their begin",
            self.duration.clone(),
        );
        registry.register(
            "calls_under_way",
            "Calls that are not answered yet, without streams",
            self.under_way.clone(),
        );
    }
}
