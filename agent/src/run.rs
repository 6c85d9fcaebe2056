//! The agent as a whole: sockets, engine, services, and how they end.

mod allowance;
mod alone;
mod audit;
mod connection;
#[cfg(test)]
mod documented;
mod exhibit;
mod exporter;
mod files;
mod listener;
mod policy;
mod register;
mod session;
mod tls;
mod unix_socket;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::{JoinError, JoinHandle, JoinSet, spawn_blocking},
    time,
};

use crate::{
    api::{Api, Auditor, CallLayer, Health, Leave, Leaving, leaving},
    config::{Config, ConfigError, Endpoint},
    kernel::{NetnsDir, Reach, ReachError},
    metrics::Metrics,
    panel::{ChangeError, Engine},
};

use self::{audit::AuditLog, exhibit::Exhibit, exporter::Exporter, listener::Listener, tls::Tls, unix_socket::Held};

pub use self::{
    alone::{Alone, AloneError},
    files::FileError,
    listener::ListenError,
    policy::PolicyFileError,
    tls::{MaterialError, TlsError},
    unix_socket::SocketError,
};

/// How long calls have for their last answer once the engine takes no more changes.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Settings that do not go together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address cannot be listened on.
    #[error("cannot listen on {endpoint}")]
    Listen {
        /// The address.
        endpoint: Endpoint,
        /// Why not.
        #[source]
        source: ListenError,
    },
    /// The address for metrics cannot be listened on.
    #[error("cannot listen on tcp://{address} of --metrics-listen")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The files of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyFileError),
    /// The audit cannot be written.
    #[error("bad value `{}` of --audit-log: it cannot be opened to append", .path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A directory of the settings cannot be made.
    #[error("bad value `{}` of {setting}: the directory cannot be made", .path.display())]
    Directory {
        /// The setting.
        setting: &'static str,
        /// Its value.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another agent is there.
    #[error(transparent)]
    Alone(#[from] AloneError),
    /// The node does not see what the agent mounts.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The engine does not start.
    #[error("the engine does not start")]
    Engine(#[source] Box<ChangeError>),
    /// The services cannot be described.
    #[error("the file descriptors of the services cannot be read: this is a broken build")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// A server failed while the agent ran.
    #[error("a server failed")]
    Serve(#[source] tonic::transport::Error),
    /// A task of the agent died.
    #[error("a task of the agent died: this is a bug, please report it with the log")]
    Task(#[source] JoinError),
}

/// An agent that runs. Dropping it asks it to leave.
#[derive(Debug)]
pub struct Running {
    endpoints: Vec<Endpoint>,
    metrics: Option<SocketAddr>,
    leave: Leave,
    task: JoinHandle<Result<(), RunError>>,
}

/// Starts an agent; when it returns, calls are answered.
///
/// # Errors
///
/// Bad settings, an address that is taken, an engine that does not start.
pub async fn run(config: Config) -> Result<Running, RunError> {
    config.check()?;
    for (setting, path) in [("--netns-dir", &config.netns_dir), ("--state-dir", &config.state_dir)] {
        fs::create_dir_all(path).map_err(|source| RunError::Directory { setting, path: path.clone(), source })?;
    }
    let metrics = Metrics::default();
    let auditor = config.door.audit_log.as_ref().map(|path| {
        let log = AuditLog::open(path, &metrics).map_err(|source| RunError::Audit { path: path.clone(), source })?;
        Ok::<Arc<dyn Auditor>, RunError>(Arc::new(log))
    });
    let auditor = auditor.transpose()?;
    let mut reloads = JoinSet::new();
    let (policies, reload) = policy::load(&config, &metrics)?;
    reload.map(|reload| reloads.spawn(reload.run()));
    let tls = match config.door.tls().map(|files| Tls::load(files, &metrics)).transpose()? {
        Some((tls, reload)) => {
            reloads.spawn(reload.run());
            Some(tls)
        }
        None => None,
    };
    // The sockets come first: their locks keep a second agent away from the state and the kernel.
    let mut listeners = Vec::new();
    for endpoint in &config.listen {
        let listener = Listener::bind(endpoint).await;
        let listener = listener.map_err(|source| RunError::Listen { endpoint: endpoint.clone(), source })?;
        listeners.push(match &tls {
            Some(tls) => listener.with_tls(tls.clone(), config.door.max_connection_age()),
            None => listener,
        });
    }
    let exporter = match config.metrics.listen {
        Some(address) => {
            let bound = Exporter::bind(address).await;
            Some(bound.map_err(|source| RunError::Metrics { address, source })?)
        }
        None => None,
    };
    let alone = Alone::hold(&config.netns_dir)?;
    prove_reach(&config.netns_dir).await?;
    let endpoints: Vec<Endpoint> = listeners.iter().map(Listener::endpoint).collect();
    let engine = Engine::start(config.engine(), config.pods.source(), metrics.clone()).await;
    let engine = engine.map_err(|error| RunError::Engine(Box::new(error)))?;
    let (leave, leaving) = leaving();
    let api = Api::new(&engine, config.max_topologies, leaving.clone()).map_err(RunError::Reflection)?;
    api.health.serving().await;
    let mut servers = JoinSet::new();
    let layer = CallLayer::new(policies).audited(auditor).measured(&metrics);
    for listener in listeners {
        let routes = if listener.is_local() { &api.local } else { &api.routes };
        servers.spawn(listener.serve(routes.clone(), layer.clone(), metrics.clone(), leaving.clone()));
    }
    for endpoint in &endpoints {
        tracing::info!(%endpoint, tls = tls.is_some() && matches!(endpoint, Endpoint::Tcp(_)), "listening");
    }
    let address = exporter.as_ref().map(Exporter::address);
    if let Some(exporter) = exporter {
        tracing::info!(address = %exporter.address(), "metrics");
        let exhibit = Exhibit::new(&engine, config.metrics.interfaces);
        reloads.spawn(exporter.serve(exhibit));
    }
    let agent = Agent {
        engine,
        health: api.health,
        servers,
        leaving,
        drain: config.drain_timeout(),
        _alone: alone,
        _reloads: reloads,
    };
    Ok(Running { endpoints, metrics: address, leave, task: tokio::spawn(agent.live()) })
}

/// Makes sure that the node sees what is mounted in the netns directory, and the agent what the node mounts.
async fn prove_reach(netns_dir: &Path) -> Result<(), RunError> {
    let dir = NetnsDir::new(netns_dir);
    match spawn_blocking(move || dir.prove_reach()).await.map_err(RunError::Task)?? {
        Reach::SameMounts => {}
        Reach::Seen => tracing::info!(dir = %netns_dir.display(), "the node sees what is mounted there"),
        Reach::Shared => tracing::warn!(
            dir = %netns_dir.display(),
            "its mount is shared, but whether with the node cannot be seen: `hostPID: true` would show it"
        ),
    }
    Ok(())
}

impl Running {
    /// The addresses that it listens on, with the ports that they got.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The address for metrics, with the port that it got.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Asks it to leave: calls under way are finished, the wires stay.
    pub fn shutdown(&self) {
        self.leave.ask();
    }

    /// Waits until it has left.
    ///
    /// # Errors
    ///
    /// It left because something failed.
    pub async fn wait(&mut self) -> Result<(), RunError> {
        (&mut self.task).await.map_err(RunError::Task)?
    }
}

/// What lives until the agent has left.
struct Agent {
    engine: Engine,
    health: Health,
    servers: JoinSet<Result<Option<Held>, RunError>>,
    leaving: Leaving,
    drain: Duration,
    _alone: Alone,
    /// They end with the agent.
    _reloads: JoinSet<()>,
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

impl Agent {
    async fn live(mut self) -> Result<(), RunError> {
        let mut ended = Vec::new();
        let failed = tokio::select! {
            () = self.leaving.asked() => None,
            Some(server) = self.servers.join_next() => server.map_err(RunError::Task).flatten().map(|held| ended.push(held)).err(),
        };
        tracing::info!(drain = ?self.drain, "leaving: no new calls; the wires stay");
        self.health.leaving().await;
        self.engine.leave();
        // Each socket file stays until the engine has stopped, so that no other agent starts beside it.
        let servers = &mut self.servers;
        let mut rest = async || {
            while let Some(server) = servers.join_next().await {
                ended.extend(server.ok().and_then(Result::ok));
            }
        };
        if time::timeout(self.drain, rest()).await.is_err() {
            tracing::warn!("calls are still under way after the drain timeout: their callers are told to come back");
        }
        self.engine.shutdown().await;
        let _ = time::timeout(LAST_ANSWERS, rest()).await;
        tracing::info!("left");
        failed.map_or(Ok(()), Err)
    }
}
