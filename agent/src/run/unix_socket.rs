//! A unix socket that belongs to one agent at a time.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use tokio::{
    net::{UnixListener, UnixSocket, UnixStream},
    time,
};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// A live peer accepts at once, since the kernel does it; a full backlog is a live peer too.
const PROBE: Duration = Duration::from_secs(1);

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another agent holds the lock beside the socket.
    #[error("another agent listens there: it holds {}", .0.display())]
    Locked(PathBuf),
    /// Something without a lock answers.
    #[error("something listens there already")]
    Live,
    /// Something that is not a socket lies at the path.
    #[error("the file there is not a socket, and is left alone: remove it or choose another path")]
    NotASocket,
    /// The system refused a step.
    #[error("cannot {step} {}", .path.display())]
    System {
        /// What was tried.
        step: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The file of a socket and the lock beside it. Both go when it is dropped, the file only if it is still the same.
#[derive(Debug)]
pub(super) struct Held {
    path: PathBuf,
    /// Device and inode of the socket's file.
    file: (u64, u64),
    /// Held for life: two agents that start at once cannot both find the socket stale.
    lock: Flock<File>,
}

impl Held {
    /// Path of the socket.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.file) {
            let _ = fs::remove_file(&self.path);
        }
        remove_lock(&self.lock, &self.path);
    }
}

/// Listens at a path, with a socket of mode 0600. What a killed agent left is taken over.
///
/// # Errors
///
/// Somebody listens there, something else lies there, or the system refuses.
pub(super) async fn listen(path: &Path) -> Result<(UnixListener, Held), SocketError> {
    let refused = |step, path: &Path| {
        let path = path.to_owned();
        move |source| SocketError::System { step, path, source }
    };
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(refused("make", parent))?;
    }
    let lock = lock(&lock_path(path))?;
    clear(path).await?;
    // A socket that is bound and does not listen yet refuses connections: nobody gets in before the mode is right.
    let socket = UnixSocket::new_stream().map_err(refused("make a socket for", path))?;
    socket.bind(path).map_err(refused("bind", path))?;
    let metadata = fs::symlink_metadata(path).map_err(refused("look at", path))?;
    let held = Held { path: path.to_owned(), file: identity(&metadata), lock };
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(refused("set the mode of", path))?;
    let listener = socket.listen(BACKLOG).map_err(refused("listen on", path))?;
    Ok((listener, held))
}

/// Removes the socket of a killed agent: one that refuses connections.
async fn clear(path: &Path) -> Result<(), SocketError> {
    let refused = |step| move |source| SocketError::System { step, path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(refused("look at")(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::NotASocket),
        Ok(_) => {}
    }
    match time::timeout(PROBE, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            tracing::warn!(path = %path.display(), "took over the socket that a killed agent left");
            fs::remove_file(path).map_err(refused("remove"))
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full backlog: it lives and is busy.
        Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => Err(SocketError::Live),
        Ok(Err(error)) => Err(refused("connect to")(error)),
        Ok(Ok(_)) | Err(_) => Err(SocketError::Live),
    }
}

/// Locks the file at a path, and makes sure that it is still there: its last holder removes it.
fn lock(path: &Path) -> Result<Flock<File>, SocketError> {
    let refused = |step| move |source| SocketError::System { step, path: path.to_owned(), source };
    loop {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW);
        let file = options.open(path).map_err(refused("open"))?;
        let lock = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Err(SocketError::Locked(path.to_owned())),
            Err((_, errno)) => return Err(refused("lock")(errno.into())),
        };
        if is_at(&lock, path) {
            return Ok(lock);
        }
    }
}

/// Takes the file of a lock away. Whoever waits for this very file looks again whether it is the one at the path.
fn remove_lock(lock: &File, socket: &Path) {
    if is_at(lock, &lock_path(socket)) {
        let _ = fs::remove_file(lock_path(socket));
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let (open, found) = (file.metadata(), fs::symlink_metadata(path));
    open.is_ok_and(|open| found.is_ok_and(|found| identity(&found) == identity(&open)))
}

fn identity(metadata: &fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

#[cfg(test)]
mod tests;
