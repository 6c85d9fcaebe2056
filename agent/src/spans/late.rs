//! What takes spans before there is anybody to send them.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, Span, SpanData, SpanProcessor},
};

/// Batches, once they are set; spans that end before are dropped. The log begins before the agent gives up its power, and a thread
/// that sends begins after that.
#[derive(Debug, Clone, Default)]
pub(super) struct Late(Arc<OnceLock<BatchSpanProcessor>>);

impl Late {
    /// From now on they go there. The first call holds.
    pub(super) fn set(&self, mut batches: BatchSpanProcessor, resource: &Resource) {
        batches.set_resource(resource);
        let _ = self.0.set(batches);
    }
}

impl SpanProcessor for Late {
    fn on_start(&self, _span: &mut Span, _context: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Some(batches) = self.0.get() {
            batches.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.get().map_or(Ok(()), SpanProcessor::force_flush)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.get().map_or(Ok(()), |batches| batches.shutdown_with_timeout(timeout))
    }
}
