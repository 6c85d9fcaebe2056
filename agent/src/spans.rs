//! Spans of calls beyond the log: for a collector of OpenTelemetry, where the agent is built with the feature `otlp`.
//!
//! It knows no room. Without the feature nothing here does anything.

#[cfg(feature = "otlp")]
mod collector;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod late;

use tracing::Span;

#[cfg(feature = "otlp")]
pub use collector::{Collector, CollectorError, Spans};

/// Where a call comes from: the fields of `traceparent` (<https://www.w3.org/TR/trace-context/>), lowercase digits of base 16.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "nobody reads it without a collector"))]
pub(crate) struct Origin<'a> {
    /// The trace, 32 digits.
    pub(crate) trace: &'a str,
    /// The caller's span in it, 16 digits.
    pub(crate) span: &'a str,
    /// Flags, 2 digits; the lowest bit: the caller records the trace.
    pub(crate) flags: &'a str,
}

/// Says of a call's span, before anybody enters it, which call of which service it is, and what it goes on from.
#[cfg_attr(not(feature = "otlp"), expect(unused_variables, reason = "nobody takes it without a collector"))]
pub(crate) fn of_call(span: &Span, (service, method): (&'static str, &'static str), origin: Option<Origin<'_>>) {
    #[cfg(feature = "otlp")]
    collector::of_call(span, service, method, origin);
}
