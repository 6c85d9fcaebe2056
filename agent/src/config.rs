//! Settings, by flag or environment variable.

mod door;
mod metrics;
mod pods;
mod policy_file;
mod seccomp;
#[cfg(feature = "otlp")]
mod spans;

use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use clap::{
    ArgAction, Parser, ValueEnum,
    builder::{BoolishValueParser, RangedU64ValueParser},
    value_parser,
};
use tracing_subscriber::EnvFilter;

use crate::{domain::if_name::IfName, panel::EngineConfig};

pub use door::{DoorSettings, TlsFiles};
pub use metrics::MetricsSettings;
pub use pods::{PodSettings, PodSource};
pub use policy_file::{PolicyError, read_policy};
pub use seccomp::Seccomp;
#[cfg(feature = "otlp")]
pub use spans::SpansSettings;

/// The podwire agent: wires pods together on this node.
///
/// It needs the rights to make network namespaces and to enter those of pods. It exits with 0 after SIGTERM or SIGINT,
/// with 1 where it cannot run, with 2 where a setting is wrong.
#[derive(Debug, Clone, Parser)]
#[command(name = "podwire-agent", version, max_term_width = 100)]
pub struct Config {
    /// Where to listen, repeatable: `unix:///absolute/path` (a socket of mode 0600) or `tcp://ip:port`, which takes TLS
    /// or --insecure-plaintext-tcp. An IP address may stand in brackets, and one of IPv6 must.
    #[arg(long, value_name = "ADDRESS", env = "PODWIRE_LISTEN", value_delimiter = ',')]
    #[arg(default_value = "unix:///run/podwire/agent.sock")]
    pub listen: Vec<Endpoint>,

    /// Who gets in by the network.
    #[command(flatten)]
    pub door: DoorSettings,

    /// What is told to Prometheus.
    #[command(flatten)]
    pub metrics: MetricsSettings,

    /// Where spans of calls go.
    #[cfg(feature = "otlp")]
    #[command(flatten)]
    pub spans: SpansSettings,

    /// Where pods come from.
    #[command(flatten)]
    pub pods: PodSettings,

    /// Directory of named network namespaces, those of panels among them: an absolute path.
    #[arg(long, value_name = "DIR", env = "PODWIRE_NETNS_DIR", default_value = "/run/netns", value_parser = absolute)]
    pub netns_dir: PathBuf,

    /// Directory of the agent's own state, its intents: an absolute path, made if it is not there. It must outlive the
    /// agent and a reboot of the node.
    #[arg(long, value_name = "DIR", env = "PODWIRE_STATE_DIR", default_value = "/var/lib/podwire")]
    #[arg(value_parser = absolute)]
    pub state_dir: PathBuf,

    /// Name of the node. Default: its hostname.
    #[arg(long, value_name = "NAME", env = "PODWIRE_NODE_NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub node_name: Option<String>,

    /// A device of the node that attachments may use, repeatable (in the environment: with commas). Default: none.
    #[arg(long = "node-device", value_name = "NAME", env = "PODWIRE_NODE_DEVICE", value_delimiter = ',')]
    pub node_devices: Vec<IfName>,

    /// Let interfaces name a network namespace by itself (a name in --netns-dir, or /proc/PID/ns/net) instead of a pod.
    #[arg(long, env = "PODWIRE_ALLOW_NETNS", action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub allow_netns: bool,

    /// How many topologies there may be, 1 to 65536.
    #[arg(long, value_name = "COUNT", env = "PODWIRE_MAX_TOPOLOGIES", default_value_t = 4096)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(1..=65536))]
    pub max_topologies: usize,

    /// How many panels to keep with up to four bridges each, when nobody needs them, for the next topologies: it is made
    /// faster, and removing bridges holds up the node's networking. 0 to 1024. A panel takes about 0.4 MiB of the kernel's
    /// memory. They go when the agent leaves.
    #[arg(long, value_name = "COUNT", env = "PODWIRE_PARKED_PANELS", default_value_t = 128)]
    #[arg(value_parser = RangedU64ValueParser::<usize>::new().range(0..=1024))]
    pub parked_panels: usize,

    /// How long calls under way may take to finish when the agent is asked to leave, in seconds, 0 to 3600.
    #[arg(long, value_name = "SECONDS", env = "PODWIRE_DRAIN_TIMEOUT", default_value_t = 10)]
    #[arg(value_parser = value_parser!(u64).range(0..=3600))]
    pub drain_timeout: u64,

    /// What becomes of system calls that the agent has no need of: `off`: nothing; `log`: they are made, and the kernel's
    /// log or audit tells of them (`type=1326`); `enforce`: they are refused.
    #[arg(long, value_name = "MODE", env = "PODWIRE_SECCOMP", value_enum, default_value_t = Seccomp::Log)]
    pub seccomp: Seccomp,

    /// How the log is written, to stderr.
    #[arg(long, value_name = "FORMAT", env = "PODWIRE_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace or off, or directives such as `info,podwire_agent::api=debug`.
    #[arg(long, value_name = "LEVEL", env = "PODWIRE_LOG_LEVEL", default_value = "info", value_parser = directives)]
    pub log_level: String,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

/// Settings that are each right and do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// TCP without TLS and without the flag that says what it means.
    #[error(
        "--listen {0}: plain TCP has neither encryption nor authentication: give --tls-cert, --tls-key and \
         --tls-client-ca, add --insecure-plaintext-tcp if that is meant, or listen on a unix socket"
    )]
    PlaintextTcp(Endpoint),
    /// Some files of TLS and not all.
    #[error("{given} without {missing}: TLS takes --tls-cert, --tls-key and --tls-client-ca, or none of them")]
    TlsInPart {
        /// A setting that is there.
        given: &'static str,
        /// One that is not.
        missing: &'static str,
    },
    /// TLS and none.
    #[error("{0} and --insecure-plaintext-tcp: TCP is either encrypted or not: leave one of the two out")]
    TlsAndPlaintext(&'static str),
    /// TLS for nobody.
    #[error("{0}: no address is `tcp://`, and unix sockets have no TLS: add --listen tcp://IP:PORT, or leave it out")]
    UnusedTls(&'static str),
    /// A socket that would not be used.
    #[error("--cri-socket {}: with --pods {pods} no container runtime is asked: leave one of the two out", .socket.display())]
    UnusedSocket {
        /// The socket.
        socket: PathBuf,
        /// How pods are found.
        pods: PodSource,
    },
    /// Nothing to listen on.
    #[error("--listen: at least one address is required")]
    NoListener,
}

impl Config {
    /// Checks what no single setting shows.
    ///
    /// # Errors
    ///
    /// Settings that do not go together.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.pods.check()?;
        if self.listen.is_empty() { Err(ConfigError::NoListener) } else { self.door.check(&self.listen) }
    }

    /// How long calls under way may take at the end.
    pub fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout)
    }

    /// Name of the node.
    pub fn node_name(&self) -> String {
        self.node_name.clone().unwrap_or_else(hostname)
    }

    /// What concerns the engine.
    pub fn engine(&self) -> EngineConfig {
        EngineConfig {
            node_name: self.node_name(),
            netns_dir: self.netns_dir.clone(),
            state_dir: self.state_dir.clone(),
            node_devices: self.node_devices.clone(),
            allow_netns: self.allow_netns,
            max_topologies: self.max_topologies,
            parked_panels: self.parked_panels,
        }
    }
}

/// Where the agent listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket at an absolute path.
    Unix(PathBuf),
    /// An address and a port; port 0 is any free one.
    Tcp(SocketAddr),
}

/// Not an address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Another scheme, or none.
    #[error("it is neither `unix:///absolute/path` nor `tcp://ip:port`")]
    Scheme,
    /// A path that depends on where the agent was started.
    #[error("the path is not absolute: after `unix://` comes a `/`")]
    Relative,
    /// A path to nothing that can be a file.
    #[error("the path does not name a file")]
    NoFile,
    /// A path that does not fit into `sun_path` of sys/un.h.
    #[error("the path has {0} bytes, 107 are the most for a unix socket")]
    TooLong(usize),
    /// A unix socket where a port is needed.
    #[error("it is a unix socket: here only `tcp://ip:port` will do")]
    NotTcp,
    /// Not an address with a port.
    #[error("after `tcp://` comes an IP address and a port, as in `127.0.0.1:7001` or `[::1]:7001`")]
    Address,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(address) = text.strip_prefix("tcp://") {
            return socket_address(address).map(Self::Tcp).ok_or(EndpointError::Address);
        }
        let path = Path::new(text.strip_prefix("unix://").ok_or(EndpointError::Scheme)?);
        if !path.is_absolute() {
            Err(EndpointError::Relative)
        } else if path.file_name().is_none() || text.ends_with('/') {
            Err(EndpointError::NoFile)
        } else if path.as_os_str().len() > 107 {
            Err(EndpointError::TooLong(path.as_os_str().len()))
        } else {
            Ok(Self::Unix(path.to_owned()))
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

/// `ip:port`. Brackets may stand around an address of IPv4 too: a manifest has them around the node's address, whichever
/// it will be.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let bracketed = || {
        let (address, port) = text.strip_prefix('[')?.split_once("]:")?;
        Some(SocketAddr::new(IpAddr::V4(address.parse().ok()?), port.parse().ok()?))
    };
    text.parse().ok().or_else(bracketed)
}

pub(crate) fn absolute(text: &str) -> Result<PathBuf, &'static str> {
    let path = Path::new(text);
    if path.is_absolute() { Ok(path.to_owned()) } else { Err("it is not an absolute path") }
}

fn directives(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    EnvFilter::builder().parse(text).map(|_| text.to_owned())
}

fn hostname() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests;
