//! Files that are read at the start and again when they change.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt};
use inotify::{EventStream, Inotify, WatchMask};
use tokio::{task::spawn_blocking, time};

/// Bytes of the longest file that is read.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of the buffer that inotify fills: some hundred events.
const BUFFER_BYTES: usize = 16 * 1024;
/// From the first sign to the look: whoever writes several files has the rest of them written by then, mostly.
const SETTLE: Duration = Duration::from_millis(100);
/// How often the files are read without a sign, for signs that inotify does not give: a directory that is mounted anew, a
/// network file system, no watches left.
const SWEEP: Duration = Duration::from_secs(60);

/// A file that a setting names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// The setting.
    pub(super) setting: &'static str,
    /// Its value.
    pub(super) path: PathBuf,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {} ({setting})", .path.display())]
pub struct FileError {
    setting: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Reads all of them.
///
/// # Errors
///
/// One cannot be read, or is longer than any of its kind.
pub(super) fn read(files: &[Named]) -> Result<Vec<Vec<u8>>, FileError> {
    let one = |Named { setting, path }: &Named| {
        let failed = |source| FileError { setting, path: path.clone(), source };
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 4 MiB")));
        }
        Ok(bytes)
    };
    files.iter().map(one).collect()
}

/// Tells when what is in files is another than before.
///
/// It follows the directories and not the files: who replaces a file renames another one to its name, and Kubernetes swaps
/// the symbolic link `..data` in the directory of a volume, through which all files of the volume are reached.
pub(super) struct Follower {
    files: Vec<Named>,
    seen: Result<Vec<Vec<u8>>, String>,
    events: Option<EventStream<Vec<u8>>>,
}

impl Follower {
    /// Follows files of which these contents are known.
    pub(super) fn new(files: Vec<Named>, known: Vec<Vec<u8>>) -> Self {
        let start = || -> io::Result<_> { Inotify::init()?.into_event_stream(vec![0; BUFFER_BYTES]) };
        let events = start().inspect_err(|error| {
            tracing::warn!(%error, "inotify cannot be used: new contents of files are seen up to {SWEEP:?} later");
        });
        Self { files, seen: Ok(known), events: events.ok() }
    }

    /// Returns the contents when they are others than the last time. A failure to read them is told once.
    pub(super) async fn changed(&mut self) -> Result<Vec<Vec<u8>>, FileError> {
        loop {
            // In this order, so that what changes after the look gives a sign.
            self.watch();
            let files = self.files.clone();
            if let Ok(found) = spawn_blocking(move || read(&files)).await {
                let seen = found.as_ref().map(Clone::clone).map_err(said);
                if seen != self.seen {
                    self.seen = seen;
                    return found;
                }
            }
            self.sign().await;
        }
    }

    /// Sets the watches that are not there yet; inotify knows those that are.
    fn watch(&self) {
        let Some(events) = &self.events else { return };
        let mask = WatchMask::CREATE | WatchMask::CLOSE_WRITE | WatchMask::MOVED_TO | WatchMask::DELETE;
        for Named { path, .. } in &self.files {
            let real = path.canonicalize().ok();
            for dir in [Some(path.as_path()), real.as_deref()].into_iter().flatten().filter_map(Path::parent) {
                // One that is not there is tried again with the next look.
                drop(events.watches().add(dir, mask));
            }
        }
    }

    /// Returns when something may have changed.
    async fn sign(&mut self) {
        match &mut self.events {
            None => time::sleep(SWEEP).await,
            Some(events) => {
                if matches!(time::timeout(SWEEP, events.next()).await, Ok(None | Some(Err(_)))) {
                    self.events = None;
                    return;
                }
                time::sleep(SETTLE).await;
                while events.next().now_or_never().is_some_and(|event| event.is_some_and(|event| event.is_ok())) {}
            }
        }
    }
}

fn said(error: &FileError) -> String {
    format!("{error}: {}", error.source)
}

#[cfg(test)]
mod tests;
