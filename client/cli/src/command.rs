//! The commands, one file each.

mod apply;
mod capture;
mod delete;
mod doctor;
mod filter;
mod get;
mod graph;
mod netns;
mod node;
mod plan;
mod question;
mod reading;
mod show;
mod top;
mod verify;
mod wait;
mod watch;

use std::time::Duration;

use clap::CommandFactory;
use podwire_client::Client;

#[cfg(feature = "fuzzing")]
pub(crate) use filter::parse as program;

use crate::{
    arguments::{Agent, Arguments, Command, Fence},
    exit::Failure,
    output::Output,
};

/// Time that a call has which waits for READY.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// Runs one command.
pub(crate) async fn run(arguments: Arguments, output: &mut Output) -> Result<(), Failure> {
    let agent = &arguments.agent;
    match arguments.command {
        Command::Apply(apply) => apply::run(agent, apply, output).await,
        Command::Plan(plan) => plan::run(agent, plan, output).await,
        Command::Get(get) => get::run(&connect(agent).await?, get, output).await,
        Command::Show { topology, namespace } => show::run(&connect(agent).await?, topology, namespace, output).await,
        Command::Graph(graph) => graph::run(&connect(agent).await?, graph, output).await,
        Command::Top(top) => top::run(&connect(agent).await?, top, output).await,
        Command::Delete(delete) => delete::run(&connect(agent).await?, delete, output).await,
        Command::Watch { topology, namespace } => watch::run(&connect(agent).await?, topology, namespace, output).await,
        Command::Capture(capture) => capture::run(agent, capture, output).await,
        Command::Verify { topology, namespace, link } => {
            verify::run(&connect(agent).await?, &namespace, &topology, link.as_deref(), output).await
        }
        Command::Doctor => doctor::run(agent, output).await,
        Command::Netns(netns) => netns::run(&connect(agent).await?, netns, output).await,
        Command::Wait(wait) => wait::run(&wait, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "podwire", &mut script);
            output.bytes(&script)
        }
    }
}

/// Connects to the agent.
async fn connect(agent: &Agent) -> Result<Client, Failure> {
    let builder = match agent.tls() {
        Some(tls) => Client::builder().tls(tls),
        None => Client::builder(),
    };
    Ok(builder.connect(agent.target.as_str()).await?)
}

/// The deadline of a changing call.
fn deadline(client: &Client, fence: &Fence, until_ready: bool) -> Duration {
    let usual = if until_ready { READY_DEADLINE } else { client.deadline() };
    fence.timeout.unwrap_or(usual)
}

/// Adds the fence to a changing call.
macro_rules! fenced {
    ($change:expr, $client:expr, $fence:expr, $until_ready:expr) => {{
        let mut change = $change.deadline(crate::command::deadline($client, $fence, $until_ready));
        if let Some(generation) = $fence.generation {
            change = change.generation(generation);
        }
        if $fence.force {
            change = change.force();
        }
        change
    }};
}
use fenced;
