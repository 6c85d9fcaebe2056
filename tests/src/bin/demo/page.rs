//! What the person who runs the demonstration sees.

use std::{
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

/// Column at which the times end.
const WIDTH: usize = 78;

/// Writes a line. A reader that went away is no failure.
pub(crate) fn line(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes a heading, bold for a person.
pub(crate) fn heading(text: &str) {
    line(&paint("1", text));
}

/// Writes a step that is done, and how long it took.
pub(crate) fn step(name: &str, text: &str, took: Duration) {
    let time = milliseconds(took);
    let used = 2 + 8 + text.chars().count() + time.chars().count();
    let gap = " ".repeat(WIDTH.saturating_sub(used).max(1));
    line(&format!("  {}{text}{gap}{}", paint("36", &format!("{name:<8}")), paint("2", &time)));
}

/// Says that the demonstration failed, with all causes.
pub(crate) fn failure(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "\n{} {error:#}", paint("1;31", "the demonstration failed:"));
}

/// Runs something and returns how long it took.
pub(crate) fn timed<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(T, Duration)> {
    let started = Instant::now();
    let done = work()?;
    Ok((done, started.elapsed()))
}

/// A time for people: three digits at the most.
pub(crate) fn milliseconds(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    match milliseconds {
        below if below < 10.0 => format!("{below:.2} ms"),
        above => format!("{above:.0} ms"),
    }
}

fn paint(code: &str, text: &str) -> String {
    if io::stdout().is_terminal() { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}
