//! Work inside a named network namespace.

use std::{
    fs::{self, File},
    path::Path,
    thread,
};

use anyhow::{Context, Result, anyhow};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

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

/// Makes a named network namespace as `ip netns add` does, without a process: for thousands of them. The agent or `ip` has
/// prepared the directory.
///
/// # Errors
///
/// The name is taken, or the system refuses.
pub fn make(name: &str) -> Result<()> {
    let path = Path::new(DIRECTORY).join(name);
    File::create_new(&path).with_context(|| format!("make {}", path.display()))?;
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace")?;
            let own = Path::new("/proc/thread-self/ns/net");
            mount(Some(own), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>).context("give it a name")
        });
        there.join().map_err(|_| anyhow!("panicked while it made `{name}`"))?
    })
}

/// Takes the name of a named network namespace away; the namespace goes when nobody has it open.
///
/// # Errors
///
/// There is none.
pub fn remove(name: &str) -> Result<()> {
    let path = Path::new(DIRECTORY).join(name);
    umount2(&path, MntFlags::MNT_DETACH).with_context(|| format!("unmount {}", path.display()))?;
    fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
}
