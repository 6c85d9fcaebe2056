//! Asks a person before something is removed.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::{exit::Failure, output::Output};

/// Asks and waits for `y`. Nobody is asked where nobody sits at the terminal, or where the answer was given already.
pub(super) fn ask(question: &str, yes: bool, output: &mut Output) -> Result<(), Failure> {
    if yes || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(());
    }
    write!(output.err(), "{question} [y/N] ")?;
    output.err().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Declined),
    }
}
