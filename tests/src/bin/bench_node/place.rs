//! Network namespaces under names, in a directory of their own for each side of a comparison.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

/// A directory of named network namespaces.
#[derive(Debug, Clone)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// Makes the directory, a mount of its own that is shared, as `ip netns` does.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = Path::new("/run").join(name);
        if !path.exists() {
            fs::create_dir_all(&path)?;
            mount(Some(&path), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>).context("mount it on itself")?;
            mount(None::<&str>, &path, None::<&str>, MsFlags::MS_SHARED, None::<&str>).context("share it")?;
        }
        Ok(Self(path))
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Makes a pod: a network namespace under a name.
    pub(crate) fn make(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        File::create_new(&path).with_context(|| format!("make {}", path.display()))?;
        on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace")?;
            mount(Some("/proc/thread-self/ns/net"), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .context("give it a name")
        })
    }

    /// Takes a name away, and with it the namespace.
    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        umount2(&path, MntFlags::MNT_DETACH).with_context(|| format!("unmount {}", path.display()))?;
        fs::remove_file(&path).with_context(|| format!("remove {}", path.display()))
    }

    /// The names that begin with `prefix`.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        let names: Vec<String> = names.collect::<Result<_>>()?;
        Ok(names.into_iter().filter(|name| name.starts_with(prefix)).collect())
    }

    /// Waits until nothing of a topology is left but what is parked: the agent's work behind the reply has ended.
    pub(crate) fn wait_until_quiet(&self) -> Result<()> {
        self.wait_until_none(&["podwire.", "podwire_retired."])
    }

    /// Waits until no panel waits for being taken down or parked.
    pub(crate) fn wait_until_retired(&self) -> Result<()> {
        self.wait_until_none(&["podwire_retired."])
    }

    fn wait_until_none(&self, prefixes: &[&str]) -> Result<()> {
        let began = Instant::now();
        loop {
            let left = prefixes.iter().map(|prefix| self.names(prefix)).collect::<Result<Vec<_>>>()?.concat();
            if left.is_empty() {
                return Ok(());
            }
            ensure!(began.elapsed() < Duration::from_secs(120), "after two minutes there still are {left:?}");
            thread::sleep(Duration::from_micros(500));
        }
    }
}

/// Runs `work` in a network namespace, on a thread that ends with it.
pub(crate) fn inside<T: Send>(path: &Path, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let namespace = File::open(path).with_context(|| format!("open {}", path.display()))?;
    on_thread(|| {
        setns(&namespace, CloneFlags::CLONE_NEWNET).context("enter a network namespace")?;
        work()
    })
}

/// Runs `work` on a thread that ends with it: whatever it does to its namespace stays its own.
pub(crate) fn on_thread<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| scope.spawn(work).join().map_err(|_| anyhow!("a thread panicked"))?)
}
