//! The `podwire` command.

use std::process::ExitCode;

use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    podwire_cli::run(podwire_cli::Arguments::parse()).await.into()
}
