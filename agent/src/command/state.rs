//! The state directory, as the subcommands see it: the only place in them that knows which store there is.

use std::path::{Path, PathBuf};

use crate::store::Store;

/// What is in a state directory.
#[expect(dead_code, reason = "intents are kept in memory only: no state directory has anything yet")]
pub(super) enum State {
    /// A store that can be read.
    Readable(Box<dyn Store>),
    /// A store that cannot, with the reason.
    Unreadable(String),
    /// None, or one that nothing was ever written to.
    New,
}

/// Why a state directory cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    /// There is no store on disk.
    #[error("this agent keeps its intents in memory only")]
    InMemory,
}

/// A store that was begun anew.
pub(super) struct Anew {
    pub store: Box<dyn Store>,
    /// Where the one before lies now.
    pub aside: Option<PathBuf>,
}

/// What was done with the files of a state directory.
#[derive(Debug, Default)]
pub(super) struct Removed {
    /// Those that are gone.
    pub removed: Vec<PathBuf>,
    /// Stores that were set aside by a recovery: they stay.
    pub aside: Vec<PathBuf>,
}

/// Opens the store of a directory, and so keeps agents away from it.
pub(super) fn open(_: &Path) -> State {
    State::New
}

/// Sets the store of a directory aside, where there is one, and begins a new one.
///
/// # Errors
///
/// The directory does not take it.
pub(super) fn start_anew(_: &Path) -> Result<Anew, StateError> {
    Err(StateError::InMemory)
}

/// The files of a directory that [`remove`] would remove, and those that it would leave.
pub(super) fn files(_: &Path) -> Removed {
    Removed::default()
}

/// Removes the store of a directory. Whoever has it open has to close it first. An absent one is removed already.
///
/// # Errors
///
/// A file cannot be removed.
#[expect(clippy::unnecessary_wraps, reason = "there is no store on disk yet")]
pub(super) fn remove(dir: &Path) -> Result<Removed, StateError> {
    Ok(files(dir))
}
