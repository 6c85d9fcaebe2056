//! Follows the netns directory.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::StreamExt;
use inotify::{EventMask, Inotify, WatchMask};
use nix::sys::statfs::{NSFS_MAGIC, statfs};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;

use crate::{domain::intent::PodKey, kernel::NetnsDir};

use super::{NamedPods, PodChange, PodChanges, PodsError};

/// Bytes of the buffer that inotify fills: some hundred events.
const BUFFER_BYTES: usize = 16 * 1024;

/// Changes that may wait for the engine.
const QUEUE: usize = 1024;

/// How long a file may take to become a namespace: `ip netns add` makes the file first and then mounts over it, and a
/// mount raises no inotify event.
const MOUNT: Duration = Duration::from_secs(2);

/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(2);

pub(super) fn changes(dir: &NetnsDir) -> Result<PodChanges, PodsError> {
    let path = dir.dir().to_owned();
    let failed = |source| PodsError::Watch { path: path.clone(), source };
    let inotify = Inotify::init().map_err(failed)?;
    let mask = WatchMask::CREATE | WatchMask::DELETE | WatchMask::MOVED_TO | WatchMask::MOVED_FROM;
    inotify.watches().add(&path, mask).map_err(failed)?;
    let mut events = inotify.into_event_stream(vec![0; BUFFER_BYTES]).map_err(failed)?;
    let (sender, receiver) = mpsc::channel(QUEUE);
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            let Ok(event) = event else { continue };
            if event.mask.contains(EventMask::Q_OVERFLOW) {
                if sender.send(PodChange::Overrun).await.is_err() {
                    return;
                }
                continue;
            }
            let Some(name) = event.name.as_deref().and_then(|name| name.to_str()) else { continue };
            if !NamedPods::may_be_pod(name) {
                continue;
            }
            let key = PodKey::new(name);
            if event.mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
                if sender.send(PodChange::Gone(key)).await.is_err() {
                    return;
                }
            } else {
                tokio::spawn(announce(path.join(name), key, sender.clone()));
            }
        }
    });
    Ok(ReceiverStream::new(receiver).boxed())
}

/// Waits until a file is a mounted namespace and says so.
async fn announce(path: PathBuf, key: PodKey, sender: mpsc::Sender<PodChange>) {
    let end = Instant::now() + MOUNT;
    while Instant::now() < end && path.exists() {
        if is_mounted(&path) {
            let _ = sender.send(PodChange::Appeared(key)).await;
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn is_mounted(path: &Path) -> bool {
    statfs(path).is_ok_and(|found| found.filesystem_type() == NSFS_MAGIC)
}
