//! Where spans go: settings of an agent that is built with the feature `otlp`.

use clap::Args;

use crate::spans::Collector;

/// Where spans of calls go.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(skip)]
pub struct SpansSettings {
    /// Where to send spans of calls, by OTLP over gRPC in plain text: `http://host:port`. They have the names of callers, and
    /// what the log says of their calls. Default: nowhere.
    #[arg(id = "otlp_endpoint", long = "otlp-endpoint", value_name = "URL", env = "PODWIRE_OTLP_ENDPOINT")]
    pub endpoint: Option<Collector>,
}
