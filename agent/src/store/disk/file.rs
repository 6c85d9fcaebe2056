//! Opening the file of a store that is there.

use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    thread,
};

use redb::{Builder, Database};

use super::{
    OpenError,
    fault::{Fault, caught},
    overlay::Overlay,
    schema::{self, Upgrade},
};

/// Bytes that redb may cache: a store of 1,000 topologies is read once and then written.
const CACHE: usize = 4 << 20;

/// Bytes of the stack of the thread that reads a file for the first time.
const STACK: usize = 8 << 20;

/// How all stores are opened.
pub(super) fn builder() -> Builder {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    builder
}

/// Opens a store and brings it up to date; with it, the boot id in it. All of it is tried on a file that only seems to
/// change, so that what is not sound stays as it is.
pub(super) fn open(path: &Path, upgrades: &'static [Upgrade]) -> Result<(Database, Option<String>), OpenError> {
    let unreadable = |reason: String| OpenError::Unreadable { path: path.to_path_buf(), reason };
    let file = plain(path).map_err(unreadable)?;
    // On a thread of its own, whose stack is larger than that of the agent's threads: pages are read by recursion.
    let tried = thread::scope(|scope| {
        let check = || caught(|| check(&file, upgrades));
        let checking = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, check).map_err(Fault::Io)?;
        checking.join().unwrap_or_else(|_| Err(Fault::Damage("its check died".to_owned())))
    });
    match tried {
        Ok(()) => {}
        Err(Fault::InUse) => return Err(OpenError::InUse { path: path.to_path_buf() }),
        Err(Fault::Io(error)) => return Err(unreadable(error.to_string())),
        Err(Fault::Damage(reason)) => return Err(unreadable(reason)),
    }
    caught(|| {
        let database = builder().create_file(file)?;
        schema::upgrade(&database, upgrades)?;
        let boot_id = schema::boot_id(&database)?;
        Ok((database, boot_id))
    })
    .map_err(|fault| fault.on_open(path))
}

/// Opens a plain file and nothing else. `Err`: what is there instead.
fn plain(path: &Path) -> Result<File, String> {
    let words = |error: std::io::Error| error.to_string();
    let found = fs::symlink_metadata(path).map_err(words)?;
    let kind = found.file_type();
    let instead = match () {
        () if kind.is_symlink() => "a symbolic link",
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () if !kind.is_file() => "a device",
        () if found.len() == 0 => return Err("it is empty".to_owned()),
        () => "",
    };
    if !instead.is_empty() {
        return Err(format!("it is {instead}, not a plain file"));
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|error| match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            format!("the agent may not read and write it: {error}")
        }
        _ => error.to_string(),
    })?;
    // What was looked at is what was opened.
    let opened = file.metadata().map_err(words)?;
    if (opened.dev(), opened.ino()) == (found.dev(), found.ino()) {
        Ok(file)
    } else {
        Err("it was replaced while it was opened".to_owned())
    }
}

/// Whether a file is a sound store: it opens, every page and every record of it can be read, and its upgrade succeeds.
fn check(file: &File, upgrades: &[Upgrade]) -> Result<(), Fault> {
    let mut database = builder().create_with_backend(Overlay::new(file)?)?;
    if !database.check_integrity()? {
        return Err(Fault::Damage("its pages do not match what is recorded of them".to_owned()));
    }
    schema::upgrade(&database, upgrades)?;
    schema::boot_id(&database)?;
    schema::contents(&database).map(drop)
}
