//! The cgroup hierarchies of the machine, seen in the private kernel, and one group below each that is the test's own.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use nix::{
    mount::{MsFlags, mount},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const ROOT: &str = "/sys/fs/cgroup";

/// How long dead processes may hold their groups.
const PATIENCE: Duration = Duration::from_secs(10);

/// A group of the test. What is in it is killed, and it is removed, when this is dropped.
#[derive(Debug)]
pub struct Cgroups {
    name: String,
    hierarchies: Vec<PathBuf>,
}

impl Cgroups {
    /// Mounts the hierarchies: the private kernel's own `/sys` has none.
    ///
    /// # Errors
    ///
    /// A mount that failed.
    pub fn mount() -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let name = format!("podwire-test-{now:x}");
        let listed = fs::read_to_string("/proc/self/cgroup").context("read /proc/self/cgroup")?;
        // Number, controllers, path: cgroups(7). Only the second version has no controllers here.
        let mut all: Vec<&str> = listed.lines().filter_map(|line| line.split(':').nth(1)).collect();
        all.sort_unstable();
        if all == [""] {
            mount(Some("cgroup2"), ROOT, Some("cgroup2"), MsFlags::empty(), None::<&str>).context("mount cgroup2")?;
            return Ok(Self { name, hierarchies: vec![PathBuf::from(ROOT)] });
        }
        mount(Some("tmpfs"), ROOT, Some("tmpfs"), MsFlags::empty(), None::<&str>)
            .context("mount a tmpfs for cgroups")?;
        let mut hierarchies = Vec::new();
        for controllers in all {
            let (kind, folder, data) = match controllers {
                "" => ("cgroup2", "unified", None),
                named if named.starts_with("name=") => {
                    ("cgroup", &named["name=".len()..], Some(format!("none,{named}")))
                }
                named => ("cgroup", named, Some(named.to_owned())),
            };
            let target = Path::new(ROOT).join(folder);
            fs::create_dir(&target)?;
            mount(Some(kind), &target, Some(kind), MsFlags::empty(), data.as_deref())
                .with_context(|| format!("mount {}", target.display()))?;
            hierarchies.push(target);
        }
        Ok(Self { name, hierarchies })
    }

    /// The group, as `cgroup_parent` of CRI has it.
    pub fn parent(&self) -> String {
        format!("/{}", self.name)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        let end = Instant::now() + PATIENCE;
        for hierarchy in &self.hierarchies {
            let group = hierarchy.join(&self.name);
            while group.exists() && Instant::now() < end {
                remove(&group);
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Kills what is in a group and removes it, as far as that goes at once.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove(&entry.path());
        }
    }
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines().filter_map(|pid| pid.parse().ok()).filter(|pid| *pid > 1) {
        let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
    }
    let _ = fs::remove_dir(group);
}
