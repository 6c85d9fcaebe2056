//! The `podwire-agent` program: settings in, signals in, one agent.

use std::{
    error::Error,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    stat::{Mode, umask},
};
#[cfg(feature = "otlp")]
use podwire_agent::spans::Spans;
use podwire_agent::{
    causes::chain,
    command::Arguments,
    config::{Config, LogFormat, Seccomp},
    power,
    run::run,
};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    layer::{Identity, SubscriberExt},
    util::SubscriberInitExt,
};

fn main() -> ExitCode {
    let config = match Arguments::parse() {
        Arguments::Agent(config) => *config,
        Arguments::Command(command) => {
            log(LogFormat::Text, "warn", Identity::new());
            raise_descriptor_limit();
            let runtime = match Builder::new_multi_thread().worker_threads(1).enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return failed(&error),
            };
            let _entered = runtime.enter();
            return command.run();
        }
    };
    #[cfg(feature = "otlp")]
    let spans = config.spans.endpoint.clone().map(|collector| Spans::new(collector, config.node_name()));
    #[cfg(feature = "otlp")]
    log(config.log_format, &config.log_level, spans.as_ref().map(Spans::layer));
    #[cfg(not(feature = "otlp"))]
    log(config.log_format, &config.log_level, Identity::new());
    // Whoever started the agent may have none: what it makes is never writable by others.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    raise_descriptor_limit();
    // Before the first thread: each has capabilities of its own, those of the thread that started it.
    if let Err(error) = power::keep_needed(&config) {
        return failed(&error);
    }
    if let Err(error) = config.seccomp.apply() {
        // Nothing was kept from being done by it: an agent without it is the one of `off`.
        match config.seccomp {
            Seccomp::Log => tracing::warn!("no system call is logged: {}", chain(&error)),
            Seccomp::Off | Seccomp::Enforce => return failed(&error),
        }
    }
    let runtime = match Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    #[cfg(feature = "otlp")]
    if let Some(Err(error)) = spans.as_ref().map(|spans| {
        let _entered = runtime.enter();
        spans.send()
    }) {
        return failed(&error);
    }
    let result = runtime.block_on(serve(config));
    #[cfg(feature = "otlp")]
    spans.iter().for_each(Spans::end);
    // Kernel work on other threads is not waited for: the engine did that, or the operator asked twice.
    runtime.shutdown_timeout(Duration::ZERO);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(error.as_ref()),
    }
}

/// A converge holds two descriptors for each of its pods: the soft limit of 1024 is that of a program with `select`.
fn raise_descriptor_limit() {
    let raised =
        getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(errno) = raised {
        tracing::warn!(%errno, "the limit of open files cannot be raised: large topologies may not fit");
    }
}

async fn serve(config: Config) -> Result<(), Box<dyn Error>> {
    // Before all else: whoever asks while the agent starts is heard too.
    let mut asked = Signals::new()?;
    let mut agent = tokio::select! {
        agent = run(config) => agent?,
        () = asked.leave() => return Ok(()),
    };
    tokio::select! {
        result = agent.wait() => return Ok(result?),
        () = asked.leave() => agent.shutdown(),
    }
    tokio::select! {
        result = agent.wait() => Ok(result?),
        () = asked.leave() => {
            tracing::warn!("asked a second time: leaving at once");
            Ok(())
        }
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Returns at the next one.
    async fn leave(&mut self) {
        tokio::select! {
            _ = self.term.recv() => tracing::info!(signal = "SIGTERM", "asked to leave"),
            _ = self.int.recv() => tracing::info!(signal = "SIGINT", "asked to leave"),
        }
    }
}

/// Writes the log; what else wants to know is told too.
fn log(format: LogFormat, level: &str, more: impl Layer<Registry> + Send + Sync) {
    // It was parsed with the settings.
    let filter = EnvFilter::try_new(level).unwrap_or_default();
    let colour = io::stderr().is_terminal();
    let subscriber = tracing_subscriber::registry().with(more);
    let lines = tracing_subscriber::fmt::layer().with_ansi(colour).with_writer(io::stderr);
    match format {
        LogFormat::Text => subscriber.with(lines.with_filter(filter)).init(),
        LogFormat::Json => subscriber.with(lines.json().with_filter(filter)).init(),
    }
}

/// Says once why the agent does not run, with all causes.
fn failed(error: &dyn Error) -> ExitCode {
    tracing::error!("{}", chain(error));
    ExitCode::FAILURE
}
