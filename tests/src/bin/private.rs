//! `private [--as-user UID] COMMAND…`: runs a command in a private kernel, and ends with its exit status.
//!
//! 125: the system forbids namespaces, and nothing ran.

use std::{env, ffi::OsString, process::ExitCode};

use anyhow::{Context, Result};
use podwire_tests::kernel::{self, FORBIDDEN, Forbidden, INIT};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("private: {error:#}");
            ExitCode::from(if error.is::<Forbidden>() { FORBIDDEN } else { 1 })
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut args: Vec<OsString> = env::args_os().skip(1).collect();
    if args.first().is_some_and(|first| first == INIT) {
        return kernel::init(&args[1..]);
    }
    let mut user = None;
    if args.first().is_some_and(|first| first == "--as-user") {
        let value = args.get(1).and_then(|value| value.to_str()).context("--as-user needs a UID")?;
        user = Some(value.parse().with_context(|| format!("--as-user: `{value}` is no UID"))?);
        args.drain(..2);
    }
    Ok(kernel::exit_code(kernel::enter(user, &args)?))
}
