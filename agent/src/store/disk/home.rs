//! The directory of the store: who has it, and how a file comes into it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use super::{FILE, OpenError, fault::Fault, file, schema};

/// A store that is being made. Nobody ever reads it under this name.
const UNFINISHED: &str = "intents.redb.new";

/// Locks the directory. The lock goes with the process, and with the returned file.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    let directory = File::open(dir).map_err(refused("open", dir))?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: dir.join(FILE) }),
        Err(TryLockError::Error(error)) => Err(refused("lock", dir)(error)),
    }
}

/// Removes what a run left that was cut off while it made a store, and makes one where there is none.
pub(super) fn prepare(dir: &Path, path: &Path) -> Result<(), OpenError> {
    let unfinished = dir.join(UNFINISHED);
    // Looked for first: where nothing may be written, even the removal of nothing is refused.
    if fs::symlink_metadata(&unfinished).is_ok() {
        fs::remove_file(&unfinished).map_err(refused("remove", &unfinished))?;
    }
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => make(dir, &unfinished, path),
        Err(error) => Err(refused("look at", path)(error)),
    }
}

/// Makes an empty store: all of it or nothing.
fn make(dir: &Path, unfinished: &Path, path: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(unfinished);
    let made = made.map_err(refused("make", unfinished))?;
    let filled = fill(&made).map_err(|fault| match fault {
        Fault::Io(source) => refused("write", unfinished)(source),
        other => other.on_open(unfinished),
    });
    let done = filled.and_then(|()| {
        fs::rename(unfinished, path).map_err(refused("rename to", path))?;
        sync(dir)
    });
    if done.is_err() {
        // It is removed at the next start, if not now.
        let _ = fs::remove_file(unfinished);
    }
    done
}

fn fill(made: &File) -> Result<(), Fault> {
    let database = file::builder().create_file(made.try_clone().map_err(Fault::Io)?)?;
    schema::make(&database)?;
    drop(database);
    made.sync_all().map_err(Fault::Io)
}

/// Makes names in a directory durable.
pub(super) fn sync(dir: &Path) -> Result<(), OpenError> {
    File::open(dir).and_then(|directory| directory.sync_all()).map_err(refused("write", dir))
}

/// Words for what the system refuses.
pub(super) fn refused(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_path_buf();
    move |source| OpenError::Io { operation, path, source }
}
