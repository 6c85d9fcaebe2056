//! The subcommands of the agent's program: what an operator does beside it, or while it does not run.

mod policy;
mod purge;
mod recover;
mod state;
mod table;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource,
};

use crate::{
    causes::chain,
    config::{Config, PodSettings, absolute},
    health::Health,
    kernel::{LinuxKernel, NetnsDir},
    panel::{LookError, NoSuchTopology},
    pods::Pods,
    run::{Alone, AloneError},
    store::StoreError,
};

use state::StateError;

/// The program: settings of the agent, or a subcommand with its own.
#[derive(Debug, Parser)]
#[command(name = "podwire-agent", version, max_term_width = 100)]
struct Program {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What the program was asked for.
#[derive(Debug)]
pub enum Arguments {
    /// To be the agent.
    Agent(Box<Config>),
    /// To do one thing and end.
    Command(Command),
}

/// What an operator does beside the agent, or while it does not run.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Adopts what is in the kernel where the state cannot be read, or is new while panels exist.
    ///
    /// Without --yes it only shows what it would adopt and what would go, with the reasons. No wire is touched: what is
    /// not adopted is removed by the agent when it starts.
    Recover(recover::Recover),
    /// Removes everything of podwire's from this node: panels, interfaces in pods, and the state.
    ///
    /// Without --yes it only shows what it would remove. It exits with 0 when all is gone, with 1 and the reasons where
    /// something is left.
    Purge(purge::Purge),
    /// Asks the agent of this node how it is. Exits with 0 if well, with 1 if not.
    Health(Health),
    /// Looks at a policy file.
    Policy(policy::PolicyCommand),
}

/// Where the agent of this node has its things: give what the agent is given.
#[derive(Debug, Clone, Args)]
struct Place {
    #[command(flatten)]
    pods: PodSettings,

    /// Directory of named network namespaces, those of panels among them: an absolute path.
    #[arg(long, value_name = "DIR", env = "PODWIRE_NETNS_DIR", default_value = "/run/netns", value_parser = absolute)]
    netns_dir: PathBuf,

    /// Directory of the agent's own state: an absolute path.
    #[arg(long, value_name = "DIR", env = "PODWIRE_STATE_DIR", default_value = "/var/lib/podwire")]
    #[arg(value_parser = absolute)]
    state_dir: PathBuf,
}

/// Why a subcommand did not do its work.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("an agent runs: stop it first")]
    Agent(#[from] AloneError),
    #[error(transparent)]
    Look(#[from] LookError),
    #[error(transparent)]
    Choice(#[from] NoSuchTopology),
    #[error("the state in {} cannot be used", .0.display())]
    Store(PathBuf, #[source] StoreError),
    #[error("the state in {} cannot be written", .0.display())]
    State(PathBuf, #[source] StateError),
    #[error("the standard output cannot be written")]
    Output(#[from] io::Error),
}

impl Arguments {
    /// Those that the program was started with. Where they are wrong, it ends here and says why.
    pub fn parse() -> Self {
        let matches = Program::command().get_matches();
        Self::read(&matches).unwrap_or_else(|error| error.exit())
    }

    fn read(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let program = Program::from_arg_matches(matches).map_err(|error| error.format(&mut Program::command()))?;
        let Some(command) = program.command else {
            program.config.check().map_err(|error| Program::command().error(ErrorKind::ValueValidation, error))?;
            return Ok(Self::Agent(Box::new(program.config)));
        };
        // Before a subcommand they would be the agent's, and say nothing here.
        let given = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        let mut flags = matches.ids().filter(given).map(clap::Id::as_str).filter(|id| *id != "Config");
        if let Some(flag) = flags.next() {
            let (flag, name) = (flag.replace('_', "-"), matches.subcommand_name().unwrap_or_default());
            let message = format!("--{flag} stands before `{name}`: write what `{name}` takes behind it\n");
            return Err(Program::command().error(ErrorKind::ArgumentConflict, message));
        }
        let checked = command.place().map_or(Ok(()), |place| place.pods.check());
        checked.map_err(|error| Program::command().error(ErrorKind::ValueValidation, error))?;
        Ok(Self::Command(command))
    }
}

impl Command {
    fn place(&self) -> Option<&Place> {
        match self {
            Self::Recover(recover) => Some(&recover.place),
            Self::Purge(purge) => Some(&purge.place),
            Self::Health(_) | Self::Policy(_) => None,
        }
    }

    /// Does it, and says on the standard output what it found and did. Blocks; must be called within a tokio runtime, in
    /// which the container runtime is asked.
    pub fn run(&self) -> ExitCode {
        let mut out = io::stdout().lock();
        let done = match self {
            Self::Recover(recover) => recover.run(&mut out).map(|()| true),
            Self::Purge(purge) => purge.run(&mut out),
            Self::Health(health) => return health.run(),
            Self::Policy(policy) => return policy.run(),
        };
        let done = done.and_then(|done| Ok(out.flush().map(|()| done)?));
        match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                drop(writeln!(io::stderr(), "error: {}", chain(&error)));
                ExitCode::FAILURE
            }
        }
    }
}

impl Place {
    fn dir(&self) -> NetnsDir {
        NetnsDir::new(&self.netns_dir)
    }

    fn kernel(&self) -> Result<LinuxKernel, LookError> {
        Ok(LinuxKernel::new(self.dir())?)
    }

    fn pods(&self) -> Arc<dyn Pods> {
        self.pods.source().start(self.dir())
    }

    /// Keeps agents from starting until it is dropped. Where there is no such directory there never was one.
    fn claim(&self) -> Result<Option<Alone>, AloneError> {
        self.netns_dir.is_dir().then(|| Alone::hold(&self.netns_dir)).transpose()
    }
}

#[cfg(test)]
mod tests;
