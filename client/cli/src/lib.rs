//! The `podwire` command: manifests in, tables out.

mod arguments;
mod command;
mod exit;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod manifest;
mod mark;
mod netlink;
mod output;
mod picture;
mod progress;
mod state;
mod table;
mod view;
mod wanted;
mod words;

pub use arguments::Arguments;
pub use exit::Exit;

use exit::Failure;
use output::Output;

/// Runs one command. What goes wrong is written to the standard error and told by the exit status.
pub async fn run(arguments: Arguments) -> Exit {
    let mut output = Output::new(arguments.output);
    match command::run(arguments, &mut output).await {
        Ok(()) => Exit::Done,
        // Whoever read the output has gone: `podwire show | head`.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Exit::Done,
        Err(failure) => {
            output.failure(&failure);
            failure.exit()
        }
    }
}
