//! Work inside a named network namespace.

use std::{fs::File, path::Path, thread};

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

/// Where named network namespaces live.
pub const DIRECTORY: &str = "/run/netns";

/// Runs `work` in the network namespace `name`, or in our own if it is empty, on a thread that never comes back. Sockets that it
/// opens stay in that namespace.
///
/// # Errors
///
/// The namespace is not there, or the work failed.
pub fn inside<T: Send>(name: &str, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    if name.is_empty() {
        return work();
    }
    let path = Path::new(DIRECTORY).join(name);
    let handle = File::open(&path).with_context(|| format!("open {}", path.display()))?;
    thread::scope(|scope| {
        let there = scope.spawn(move || {
            setns(&handle, CloneFlags::CLONE_NEWNET).context("enter the network namespace")?;
            drop(handle);
            work()
        });
        there.join().map_err(|_| anyhow!("panicked in `{name}`"))?
    })
}
