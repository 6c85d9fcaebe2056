//! What goes wrong below the store, and how callers hear of it.

use std::{
    any::Any,
    fs, io,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use super::{OpenError, StoreError};

/// What goes wrong. It is told to every caller of a commit, each in an error of their own.
#[derive(Debug)]
pub(super) enum Fault {
    /// The system refused.
    Io(io::Error),
    /// Another process has the file.
    InUse,
    /// The file is not sound.
    Damage(String),
}

impl<E: Into<redb::Error>> From<E> for Fault {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            other => Self::Damage(other.to_string()),
        }
    }
}

impl Fault {
    /// For a caller of the store.
    pub(super) fn say(&self, path: &Path, operation: &'static str) -> StoreError {
        let shown = path.display().to_string();
        match self {
            Self::Io(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
                StoreError::Full { path: shown, file_system: mount_point(path), source: again(error) }
            }
            Self::Io(error) => StoreError::Io { operation, path: shown, source: again(error) },
            Self::InUse => {
                let source = io::Error::new(ErrorKind::ResourceBusy, "another process has opened it meanwhile");
                StoreError::Io { operation, path: shown, source }
            }
            Self::Damage(reason) => StoreError::Damaged { path: shown, reason: reason.clone() },
        }
    }

    /// For who opens the store, where the file is known to be sound.
    pub(super) fn on_open(self, path: &Path) -> OpenError {
        let path = path.to_path_buf();
        match self {
            Self::Io(source) => OpenError::Io { operation: "open", path, source },
            Self::InUse => OpenError::InUse { path },
            Self::Damage(reason) => OpenError::Unreadable { path, reason },
        }
    }
}

/// An error of the system a second time: it cannot be cloned.
fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

/// Where the file system of a path is mounted: the highest directory above it that is on the same device.
fn mount_point(path: &Path) -> PathBuf {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
    // Without symbolic links: their names are on another file system than what they lead to.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let own = path.parent().and_then(device);
    let same = path.ancestors().skip(1).take_while(|above| device(above) == own);
    same.last().unwrap_or(&path).to_path_buf()
}

/// Runs what may panic on damaged pages.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Fault::Damage(words(panic.as_ref()))))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the database gave up on a damaged page ({})", text.unwrap_or("it did not say why"))
}
