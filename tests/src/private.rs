//! Runs a test in a private kernel, by running the test's own executable again inside of one.

use std::{
    any::Any,
    env,
    io::{self, Read, Write},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::Path,
    process::{self, Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{binaries, kernel::FORBIDDEN, lab::Lab};

/// Set in the process inside the private kernel.
const INSIDE: &str = "PODWIRE_TEST_INSIDE";

/// Environment variable: run every test as an unprivileged user, even where root runs the suite.
const WITHOUT_ROOT: &str = "PODWIRE_TEST_WITHOUT_ROOT";

/// Begins a line of the output that is shown though the test succeeds.
const MEASURED: &str = "*** measured: ";

/// How long a test may take: several times what the longest needs, for a machine that has other things to do. Inside, the
/// test is given up a little earlier, to show what the kernel looks like.
const DEADLINE: Duration = Duration::from_secs(300);

/// Environment variable: seconds that a test may take, where it was told to do more than usual.
const PATIENCE: &str = "PODWIRE_TEST_SECONDS";

/// What the environment says, or what the test needs.
fn deadline(usual: Duration) -> Duration {
    let seconds = env::var(PATIENCE).ok().and_then(|text| text.parse().ok());
    seconds.map_or(usual, Duration::from_secs)
}

/// A user without any right, `nobody` on most systems.
const NOBODY: u32 = 65534;

/// Who runs the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Whoever runs the suite: with root's network namespace, or a user namespace.
    Caller,
    /// An unprivileged user in a user namespace, even where root runs the suite.
    Nobody,
}

/// Runs `test` in a private kernel of its own.
///
/// `helper` is `env!("CARGO_BIN_EXE_private")`. The calling thread must have the test's name, as libtest gives it. Where the
/// system forbids namespaces the test is skipped with a loud message, and fails where the environment has `CI`.
///
/// # Panics
///
/// When the test does, with its output and what the kernel showed at that moment.
pub fn run(helper: &str, user: User, test: impl AsyncFnOnce(&Lab)) {
    run_within(DEADLINE, helper, user, test);
}

/// The same, for a test that takes longer than others.
///
/// # Panics
///
/// As [`run`].
pub fn run_within(patience: Duration, helper: &str, user: User, test: impl AsyncFnOnce(&Lab)) {
    let deadline = deadline(patience);
    if env::var_os(INSIDE).is_some() {
        inside(deadline, test);
        return;
    }
    match outside(deadline, Path::new(helper), user) {
        Ok((status, output)) if status.success() => {
            for line in output.lines().filter(|line| line.starts_with(MEASURED)) {
                let _ = writeln!(io::stderr(), "{line}");
            }
            show(&output);
        }
        Ok((status, output)) if status.code() == Some(i32::from(FORBIDDEN)) => skip(&output),
        Ok((status, output)) => panic!("inside the private kernel: {status}\n{output}"),
        Err(error) => panic!("{error:#}"),
    }
}

/// Hands on what a test printed: libtest shows it with `--nocapture` or `--show-output`.
#[allow(clippy::print_stdout, reason = "so that libtest captures it")]
fn show(output: &str) {
    println!("{}", output.trim());
}

/// Says what a test measured, on the console of whoever runs the suite.
pub fn measured(what: &str) {
    let _ = writeln!(io::stderr(), "\n{MEASURED}{what}");
}

/// Says loudly that something is missing on this machine, so that a test cannot run; under CI, fails.
///
/// # Panics
///
/// Where the environment has `CI`.
pub fn skip(why: &str) {
    let name = thread::current().name().unwrap_or_default().to_owned();
    assert!(env::var_os("CI").is_none(), "{name} cannot run here: {why}");
    // Around libtest's capture: a skipped test must not look like one that passed.
    let _ = writeln!(io::stderr(), "\n*** SKIPPED: {name}\n{why}\n");
}

fn outside(deadline: Duration, helper: &Path, user: User) -> Result<(ExitStatus, String)> {
    let name = thread::current().name().map(str::to_owned).filter(|name| name != "main");
    let name = name.context("call from the thread that libtest named after the test")?;
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(helper);
    if user == User::Nobody || env::var_os(WITHOUT_ROOT).is_some() {
        command.args(["--as-user", &NOBODY.to_string()]);
    }
    command.arg(env::current_exe()?).args([&name, "--exact", "--nocapture", "--test-threads=1", "--include-ignored"]);
    command.env(INSIDE, "1").env(binaries::DIRECTORY, binaries::directory()?);
    command.stdin(process::Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("start the helper")?;
    drop(command);
    let output = thread::spawn(move || {
        let (mut output, mut reader) = (Vec::new(), reader);
        let _ = reader.read_to_end(&mut output);
        String::from_utf8_lossy(&output).into_owned()
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if started.elapsed() > deadline {
            child.kill()?;
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    // All that could write has died with the pid namespace.
    let output = output.join().unwrap_or_default();
    let Some(status) = status else { bail!("no end after {deadline:?}\n{output}") };
    if status.success() && !output.contains("1 passed") {
        bail!("`{name}` was not found in its own executable\n{output}");
    }
    Ok((status, output))
}

fn inside(deadline: Duration, test: impl AsyncFnOnce(&Lab)) {
    let lab = match Lab::new() {
        Ok(lab) => lab,
        Err(error) => panic!("set the lab up: {error:#}"),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => panic!("start a runtime: {error}"),
    };
    let watched = lab.clone();
    thread::spawn(move || {
        thread::sleep(deadline.mul_f32(0.9));
        eprintln!("given up\n{}", watched.report());
        process::exit(124);
    });
    let result: Result<(), Box<dyn Any + Send>> =
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(async { test(&lab).await })));
    if let Err(panic) = result {
        eprintln!("{}", lab.report());
        resume_unwind(panic);
    }
}
