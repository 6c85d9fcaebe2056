//! The state directory, as the subcommands see it: the only place in them that knows which store there is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    kernel::boot_id,
    store::{DiskStore, OpenError, StateFiles, Store, StoreError, set_aside, state_files},
};

/// What is in a state directory.
pub(super) enum State {
    /// A store that can be read.
    Readable(Box<dyn Store>),
    /// A store that cannot, with the reason.
    Unreadable(String),
    /// None, or one that nothing was ever written to.
    New,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StateError {
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// What is written to it.
    #[error(transparent)]
    Write(#[from] StoreError),
    /// A file of it.
    #[error("cannot {operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's words.
        #[source]
        source: io::Error,
    },
}

/// A store that was begun anew.
pub(super) struct Anew {
    pub store: DiskStore,
    /// Where the one before lies now.
    pub aside: Option<PathBuf>,
}

/// Opens the store of a directory, and so keeps agents away from it. Makes none.
///
/// # Errors
///
/// An agent has it, or the system refuses.
pub(super) fn open(dir: &Path) -> Result<State, StateError> {
    if state_files(dir).store.is_none() {
        return Ok(State::New);
    }
    match DiskStore::open(dir) {
        Ok(store) if store.is_new() => Ok(State::New),
        Ok(store) => Ok(State::Readable(Box::new(store))),
        Err(OpenError::Unreadable { reason, .. }) => Ok(State::Unreadable(reason)),
        Err(error) => Err(error.into()),
    }
}

/// Begins a new store in a directory, after what stands in its place was set aside if it is `unreadable`. Until it is
/// finished an agent takes it for one that knows nothing of the node.
///
/// # Errors
///
/// The directory does not take it.
pub(super) fn start_anew(dir: &Path, unreadable: bool) -> Result<Anew, StateError> {
    fs::create_dir_all(dir).map_err(|source| StateError::File { operation: "make", path: dir.to_owned(), source })?;
    let aside = if unreadable { Some(set_aside(dir)?) } else { None };
    Ok(Anew { store: DiskStore::open(dir)?, aside })
}

impl Anew {
    /// All that is to be in it is in it.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub(super) fn finish(self) -> Result<(), StateError> {
        let boot = boot_id().map_err(|source| StateError::File {
            operation: "read",
            path: "/proc/sys/kernel/random/boot_id".into(),
            source,
        })?;
        Ok(self.store.record_boot(&boot)?)
    }
}

/// The files of a directory: the store, which [`remove`] would remove, and those that it would leave.
pub(super) fn files(dir: &Path) -> StateFiles {
    state_files(dir)
}

/// Removes the store of a directory. Whoever has it open has to close it first. An absent one is removed already.
///
/// # Errors
///
/// The file cannot be removed.
pub(super) fn remove(dir: &Path) -> Result<StateFiles, StateError> {
    let files = state_files(dir);
    if let Some(path) = &files.store {
        fs::remove_file(path).map_err(|source| StateError::File { operation: "remove", path: path.clone(), source })?;
    }
    Ok(files)
}
