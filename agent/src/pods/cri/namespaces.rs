//! Files of network namespaces that come and go where the runtime keeps them: the kernel's own, and first, sign.

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use futures_util::StreamExt;
use inotify::{EventMask, EventStream, Inotify, WatchDescriptor, WatchMask};

use crate::pods::NamedPods;

/// Bytes of the buffer that inotify fills: some hundred events.
const BUFFER_BYTES: usize = 16 * 1024;

/// Directories that are followed at most: a runtime has one.
const MOST_DIRS: usize = 8;

/// Follows directories.
pub(super) struct Namespaces {
    events: Option<EventStream<Vec<u8>>>,
    dirs: HashMap<WatchDescriptor, PathBuf>,
}

/// Something that happened in a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// A file of this name came.
    Came(OsString),
    /// A file went.
    Went,
    /// Too much at once.
    Overrun,
}

impl Namespaces {
    /// Follows nothing yet.
    pub(super) fn new() -> Self {
        let start = || -> io::Result<_> { Inotify::init()?.into_event_stream(vec![0; BUFFER_BYTES]) };
        let events = start().inspect_err(|error| {
            tracing::warn!(%error, "inotify cannot be used: sandboxes that come and go are seen later");
        });
        Self { events: events.ok(), dirs: HashMap::new() }
    }

    /// Follows a directory, if it is there and not followed already.
    pub(super) fn follow(&mut self, dir: &Path) {
        let Some(events) = &self.events else { return };
        if self.dirs.len() >= MOST_DIRS || self.dirs.values().any(|known| known == dir) {
            return;
        }
        let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM;
        // One that is not there is tried again with the next list.
        if let Ok(watch) = events.watches().add(dir, mask) {
            self.dirs.insert(watch, dir.to_owned());
        }
    }

    /// The next sign. For ever pending where inotify cannot be used.
    pub(super) async fn next(&mut self) -> Sign {
        loop {
            let Some(events) = &mut self.events else { return std::future::pending().await };
            match events.next().await {
                None | Some(Err(_)) => self.events = None,
                Some(Ok(event)) => {
                    if event.mask.contains(EventMask::Q_OVERFLOW) {
                        return Sign::Overrun;
                    }
                    if event.mask.contains(EventMask::IGNORED) {
                        self.dirs.remove(&event.wd);
                        return Sign::Overrun;
                    }
                    let Some(name) = event.name else { continue };
                    // Our own panels come and go in the same place.
                    if !name.to_str().is_some_and(NamedPods::may_be_pod) {
                        continue;
                    }
                    let went = event.mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM);
                    return if went { Sign::Went } else { Sign::Came(name) };
                }
            }
        }
    }
}
