//! The `podwire-cni` program: a plugin where a container runtime calls it, an installer where a person does.

use std::{
    env,
    io::{self, Read, Write},
    process::ExitCode,
};

use clap::Parser;
use podwire_cni::{Arguments, Outcome, plugin};

/// Largest configuration that is read, in bytes.
const LARGEST_INPUT: u64 = 16 << 20;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if env::var_os("CNI_COMMAND").is_none() {
        return podwire_cni::manage(Arguments::parse()).await;
    }
    let mut input = Vec::new();
    let outcome = match io::stdin().take(LARGEST_INPUT).read_to_end(&mut input) {
        Ok(_) => plugin(&|name: &str| env::var_os(name), &input).await,
        Err(error) => Outcome::unreadable(&error),
    };
    for note in &outcome.notes {
        // Nobody has to read it.
        drop(writeln!(io::stderr(), "podwire-cni: {note}"));
    }
    let written = io::stdout().write_all(outcome.stdout.as_bytes()).and_then(|()| io::stdout().flush());
    if outcome.failed || written.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
