//! A collector of OpenTelemetry, and the way to it: OTLP by gRPC, in plain text.

use std::{fmt, io, str::FromStr, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider},
};
use opentelemetry_otlp::{ExporterBuildError, RetryPolicy, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider},
};
use tonic::transport::{Endpoint, Uri};
use tracing::{Level, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, Registry, filter::filter_fn};

use super::{
    Origin,
    exporter::{METHOD, Named, SERVICE},
    late::Late,
};

/// Spans that wait for the collector; what comes then is dropped.
const QUEUE: usize = 2048;

/// Spans of one export.
const BATCH: usize = 512;

/// How long spans wait for others.
const DELAY: Duration = Duration::from_secs(1);

/// How long one export may take.
const EXPORT: Duration = Duration::from_secs(5);

/// How long the last spans may take when the agent ends.
const FLUSH: Duration = Duration::from_secs(2);

/// Where spans go: `http://HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collector(String);

/// Not an address of a collector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CollectorError {
    /// Another scheme, or none.
    #[error("it does not begin with `http://`: spans go by gRPC in plain text, to a collector on the node")]
    Scheme,
    /// No host, no port, or more than the two.
    #[error(
        "after `http://` comes a host and a port and nothing else, as in `http://127.0.0.1:4317` or `http://[::1]:4317`"
    )]
    Address,
}

impl FromStr for Collector {
    type Err = CollectorError;

    fn from_str(text: &str) -> Result<Self, CollectorError> {
        let address = text.strip_prefix("http://").ok_or(CollectorError::Scheme)?;
        let address = address.strip_suffix('/').unwrap_or(address);
        let uri: Uri = format!("http://{address}").parse().map_err(|_| CollectorError::Address)?;
        let whole = uri.authority().is_some_and(|authority| authority.as_str() == address && !address.contains('@'));
        let host = uri.host().is_some_and(|host| !host.is_empty());
        let port = uri.port_u16().is_some_and(|port| port != 0);
        if whole && host && port { Ok(Self(uri.to_string())) } else { Err(CollectorError::Address) }
    }
}

impl fmt::Display for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The spans of an agent, on their way to a collector.
#[derive(Debug)]
pub struct Spans {
    collector: Collector,
    resource: Resource,
    late: Late,
    provider: SdkTracerProvider,
}

impl Spans {
    /// Those of the agent on this node. Nothing is sent yet, and there is no thread.
    pub fn new(collector: Collector, node: String) -> Self {
        let resource = Resource::builder()
            .with_service_name("podwire-agent")
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .with_attribute(KeyValue::new("host.name", node))
            .build();
        let late = Late::default();
        let provider = SdkTracerProvider::builder().with_resource(resource.clone()).with_span_processor(late.clone());
        Self { collector, resource, late, provider: provider.build() }
    }

    /// What takes them from the program: spans of calls with the lines of the log in them, from `info` up, whatever the
    /// level of the log.
    pub fn layer(&self) -> impl Layer<Registry> + Send + Sync + use<> {
        // No others: what sends spans has spans of its own.
        let ours = filter_fn(|of| of.target().starts_with("podwire_agent") && *of.level() <= Level::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("podwire-agent"))
            .with_context_activation(false)
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(ours)
    }

    /// Begins to send, on a thread of its own; within a runtime. A collector that is away is no error.
    ///
    /// # Errors
    ///
    /// The address is none for gRPC.
    pub fn send(&self) -> io::Result<()> {
        let endpoint = Endpoint::from_shared(self.collector.0.clone()).map_err(io::Error::other)?;
        let channel = endpoint.connect_timeout(EXPORT).timeout(EXPORT).connect_lazy();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_channel(channel)
            .with_timeout(EXPORT)
            // The next batch is the next try.
            .with_retry_policy(RetryPolicy::disabled())
            .build()
            .map_err(|error: ExporterBuildError| io::Error::other(error))?;
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY);
        let named = Named::new(exporter, self.collector.to_string());
        let batches = BatchSpanProcessor::builder(named).with_batch_config(config.build()).build();
        self.late.set(batches, &self.resource);
        tracing::info!(collector = %self.collector, "spans of calls are sent");
        Ok(())
    }

    /// Sends what waits, for 2 s at the most.
    pub fn end(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FLUSH) {
            tracing::warn!(%error, "the last spans did not reach the collector");
        }
    }
}

/// See [`super::of_call`].
pub(super) fn of_call(span: &Span, service: &'static str, method: &'static str, origin: Option<Origin<'_>>) {
    span.set_attribute(SERVICE, service);
    span.set_attribute(METHOD, method);
    if let Some(parent) = origin.and_then(remote) {
        // It fails where no collector is asked for, and there is nothing to do then.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

fn remote(origin: Origin<'_>) -> Option<SpanContext> {
    let trace = TraceId::from_hex(origin.trace).ok()?;
    let span = SpanId::from_hex(origin.span).ok()?;
    let flags = TraceFlags::new(u8::from_str_radix(origin.flags, 16).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::NONE))
}
