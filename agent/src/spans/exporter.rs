//! What sends a batch: gives spans their names, and tells the log of a collector that is away.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{KeyValue, trace::SpanKind};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

/// Attributes of spans of calls:
/// <https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/>.
pub(super) const SERVICE: &str = "rpc.service";
/// As [`SERVICE`].
pub(super) const METHOD: &str = "rpc.method";
const SYSTEM: &str = "rpc.system";

/// How often the log is told of a collector that stays away.
const AGAIN: Duration = Duration::from_secs(600);

/// Sends spans of calls under the names of their methods.
#[derive(Debug)]
pub(super) struct Named<E> {
    inner: E,
    collector: String,
    lost: Mutex<Lost>,
}

/// What did not reach the collector.
#[derive(Debug, Default)]
struct Lost {
    spans: usize,
    /// When the log was told that spans get lost.
    told: Option<Instant>,
    /// It was not told yet that they arrive again.
    away: bool,
}

impl<E> Named<E> {
    pub(super) fn new(inner: E, collector: String) -> Self {
        Self { inner, collector, lost: Mutex::default() }
    }

    fn came(&self) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        // One that comes and goes is told no oftener than one that stays away.
        if std::mem::take(&mut lost.away) {
            let spans = std::mem::take(&mut lost.spans);
            tracing::info!(collector = self.collector, lost = spans, "spans reach the collector again");
        }
    }

    fn failed(&self, spans: usize, error: &dyn std::error::Error) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        lost.spans += spans;
        if lost.told.is_none_or(|told| told.elapsed() >= AGAIN) {
            (lost.told, lost.away) = (Some(Instant::now()), true);
            let collector = &self.collector;
            tracing::warn!(
                collector,
                lost = lost.spans,
                %error,
                "spans do not reach the collector and are dropped: look whether it runs and takes OTLP by gRPC there"
            );
        }
    }
}

impl<E: SpanExporter> SpanExporter for Named<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        batch.iter_mut().for_each(name);
        let result = self.inner.export(batch).await;
        match &result {
            Ok(()) => self.came(),
            Err(error) => self.failed(count, error),
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// `SERVICE/METHOD`, and not what a stranger wrote as its path.
fn name(span: &mut SpanData) {
    let of = |key: &str| span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
    let Some((service, method)) = of(SERVICE).zip(of(METHOD)) else { return };
    span.name = format!("{}/{}", service.value, method.value).into();
    span.span_kind = SpanKind::Server;
    // They are the span's own and its parent's; the log needs them by name.
    span.attributes.retain(|attribute| !matches!(attribute.key.as_str(), "trace_id" | "parent_id"));
    span.attributes.push(KeyValue::new(SYSTEM, "grpc"));
}
