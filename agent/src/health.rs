//! `podwire-agent health`: what a kubelet runs to learn how the agent is. Its own gRPC probe cannot dial a unix socket.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use tokio::{runtime::Builder, time};
use tonic::{
    Code,
    transport::{self, Channel},
};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};

use crate::{causes::causes, config::Endpoint};

/// How long an answer may take, all in all. A kubelet's own timeout is at least 1 s.
const PATIENCE: Duration = Duration::from_millis(800);

/// Asks the agent of this node how it is. Exits with 0 if well, with 1 if not.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("question").required(true))]
pub struct Health {
    /// Whether it answers at all, be the container runtime there or not.
    #[arg(long, group = "question")]
    live: bool,

    /// Whether it takes calls.
    #[arg(long, group = "question")]
    ready: bool,

    /// Where the agent listens, as the agent is given it. The first unix socket is asked, else the first address.
    #[arg(long, value_name = "ADDRESS", env = "PODWIRE_LISTEN", value_delimiter = ',')]
    #[arg(default_value = "unix:///run/podwire/agent.sock")]
    listen: Vec<Endpoint>,
}

/// Why the agent is not well.
#[derive(Debug, thiserror::Error)]
enum Ill {
    #[error("no address to ask at: --listen is empty")]
    Nowhere,
    #[error("nothing answers at {at}: {}", root(.source))]
    Away { at: Endpoint, source: transport::Error },
    #[error("no answer at {at} within {} ms", PATIENCE.as_millis())]
    Slow { at: Endpoint },
    #[error("the answer at {at} is {code:?}: {message}")]
    Refused { at: Endpoint, code: Code, message: String },
    #[error("it takes no calls: its status is {0}")]
    NotServing(i32),
    #[error("cannot ask")]
    Runtime(#[source] io::Error),
}

impl Health {
    /// Asks, and says in a sentence on the standard output what came of it: kubelet shows it in the pod's events.
    pub fn run(&self) -> ExitCode {
        let (code, said) = match self.ask() {
            Ok(said) => (ExitCode::SUCCESS, said.to_owned()),
            Err(ill) => (ExitCode::FAILURE, ill.to_string()),
        };
        drop(writeln!(io::stdout(), "{said}"));
        code
    }

    fn ask(&self) -> Result<&'static str, Ill> {
        let unix = self.listen.iter().find(|endpoint| matches!(endpoint, Endpoint::Unix(_)));
        let at = unix.or(self.listen.first()).ok_or(Ill::Nowhere)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(Ill::Runtime)?;
        let answer = runtime.block_on(async { time::timeout(PATIENCE, status(at)).await });
        let status = answer.unwrap_or_else(|_| Err(Ill::Slow { at: at.clone() }))?;
        match status {
            _ if self.live => Ok("it answers"),
            status if status == ServingStatus::Serving as i32 => Ok("it takes calls"),
            status => Err(Ill::NotServing(status)),
        }
    }
}

/// What the agent as a whole says of itself by grpc.health.v1. While it leaves it has no status any more.
async fn status(at: &Endpoint) -> Result<i32, Ill> {
    let channel = connect(at).await.map_err(|source| Ill::Away { at: at.clone(), source })?;
    match HealthClient::new(channel).check(HealthCheckRequest::default()).await {
        Ok(answer) => Ok(answer.into_inner().status),
        Err(status) if status.code() == Code::NotFound => Ok(ServingStatus::NotServing as i32),
        Err(status) => Err(Ill::Refused { at: at.clone(), code: status.code(), message: status.message().to_owned() }),
    }
}

async fn connect(at: &Endpoint) -> Result<Channel, transport::Error> {
    transport::Endpoint::from_shared(at.to_string().replace("tcp://", "http://"))?.connect().await
}

/// What began it: those above say no more than that there was an error.
fn root(error: &dyn std::error::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}
