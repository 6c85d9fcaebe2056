//! `cargo demo`: the main job of podwire on this machine, in a private kernel, in a few seconds.
//!
//! Builds what it needs, starts the real agent, makes three throw-away pods, applies the triangle of `deploy/examples`,
//! shows the panel, pings all six directions, removes it all, and looks whether anything is left.

#[path = "demo/page.rs"]
mod page;
#[path = "demo/stage.rs"]
mod stage;

use std::{
    env,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use podwire_tests::{binaries, kernel};

/// Argument of the process inside the private kernel.
const INSIDE: &str = "--inside";

fn main() -> ExitCode {
    let result = if env::args().nth(1).as_deref() == Some(INSIDE) { stage::play() } else { outside() };
    result.unwrap_or_else(|error| {
        page::failure(&error);
        ExitCode::FAILURE
    })
}

/// Builds, and runs this executable again in a private kernel.
fn outside() -> Result<ExitCode> {
    let this = env::current_exe().context("find our own executable")?;
    let folder = binaries::directory()?;
    let status = Command::new(folder.join("private"))
        .arg(this)
        .arg(INSIDE)
        .env(binaries::DIRECTORY, folder)
        .status()
        .context("enter a private kernel")?;
    Ok(kernel::exit_code(status))
}
