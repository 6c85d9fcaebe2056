//! What is told to Prometheus: settings of the agent.

use std::{net::SocketAddr, str::FromStr};

use clap::{Args, builder::RangedU64ValueParser};

use super::{Endpoint, EndpointError};

/// What is told to Prometheus.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(skip)]
pub struct MetricsSettings {
    /// Where to answer `GET /metrics` by plain HTTP, for Prometheus: `tcp://ip:port`. Whoever reaches it learns how much there is
    /// and how long things take, and with --metrics-interfaces the names of topologies. Default: nowhere.
    #[arg(id = "metrics_listen", long = "metrics-listen", value_name = "ADDRESS", env = "PODWIRE_METRICS_LISTEN")]
    #[arg(value_parser = tcp)]
    pub listen: Option<SocketAddr>,

    /// Of how many interfaces to tell the counters of frames and bytes, 0 to 10000: of those of the first topologies by
    /// namespace and name. Each answer then looks at those topologies.
    #[arg(
        id = "metrics_interfaces",
        long = "metrics-interfaces",
        value_name = "COUNT",
        env = "PODWIRE_METRICS_INTERFACES"
    )]
    #[arg(default_value_t = 0, requires = "metrics_listen", value_parser = RangedU64ValueParser::<usize>::new().range(0..=10_000))]
    pub interfaces: usize,
}

fn tcp(text: &str) -> Result<SocketAddr, EndpointError> {
    match Endpoint::from_str(text)? {
        Endpoint::Tcp(address) => Ok(address),
        Endpoint::Unix(_) => Err(EndpointError::NotTcp),
    }
}
