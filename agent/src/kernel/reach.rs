//! Whether the node sees what is mounted in the netns directory.
//!
//! In a container the agent has a mount namespace of its own: panels that are mounted there stay unseen by the node, and
//! namespaces of pods unseen by the agent, unless the directory's mount is in one peer group with the node's
//! (mount_namespaces(7)).

use std::{
    fs::{self, OpenOptions},
    io,
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
    process,
};

use nix::fcntl::OFlag;

use super::{KernelError, NetnsDir};

/// Begins the name of the throw-away namespace by which it is proven.
const PROBE_PREFIX: &str = "podwire-probe-";

/// How it is known that the node sees what is mounted in the netns directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The agent is in the mount namespace of process 1: on a bare host.
    SameMounts,
    /// Process 1 saw a namespace that was mounted there.
    Seen,
    /// The mount is shared with somebody. Process 1 is the agent itself or shows nothing, so with whom is not known.
    Shared,
}

/// Why the node does not see it.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The directory's mount does not propagate.
    #[error(
        "what the agent mounts in {} is not seen by the node: {}: mount the node's directory with `mountPropagation: \
         Bidirectional` (with podman or docker: `bind-propagation=rshared`); on the node it must be on a shared mount, \
         as `mount --make-rshared /` makes it",
        .dir.display(), .seen
    )]
    Unseen {
        /// The netns directory.
        dir: PathBuf,
        /// What its mount is.
        seen: &'static str,
    },
    /// The agent's own network namespace is not the node's, so it could not tell pods of the host's network.
    #[error(
        "the agent runs in another network namespace than process 1 of the node: give its pod `hostNetwork: true`, or \
         it could not know the node's own namespace, which must never be plugged"
    )]
    OtherNetwork,
    /// The kernel's words.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// The propagation of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Propagation {
    Shared,
    Slave,
    Private,
}

impl NetnsDir {
    /// Finds out whether the node sees what is mounted in this directory. Call it before [`Self::prepare`], which makes a
    /// mount shared that is private.
    ///
    /// # Errors
    ///
    /// It does not, or the kernel's words.
    pub fn prove_reach(&self) -> Result<Reach, ReachError> {
        let own = namespace("/proc/thread-self/ns/mnt")?;
        // Without hostPID process 1 of a container is the agent.
        let init = if process::id() == 1 { None } else { namespace("/proc/1/ns/mnt").ok() };
        if init.as_ref() == Some(&own) {
            return Ok(Reach::SameMounts);
        }
        let propagation = self.propagation()?;
        if propagation != Propagation::Shared {
            return Err(self.unseen(propagation));
        }
        if init.is_none() {
            return Ok(Reach::Shared);
        }
        if namespace("/proc/1/ns/net")? != namespace("/proc/thread-self/ns/net")? {
            return Err(ReachError::OtherNetwork);
        }
        if self.probe()? { Ok(Reach::Seen) } else { Err(self.unseen(propagation)) }
    }

    fn unseen(&self, propagation: Propagation) -> ReachError {
        let seen = match propagation {
            Propagation::Shared => {
                "its mount is shared, but not with process 1 of the node (`hostPID: true` shows that one)"
            }
            Propagation::Slave => "its mount only receives what the node mounts (`mountPropagation: HostToContainer`)",
            Propagation::Private => "its mount belongs to the agent's container alone",
        };
        ReachError::Unseen { dir: self.dir().to_owned(), seen }
    }

    /// Mounts a namespace here and looks whether process 1 has it too, under whatever path.
    fn probe(&self) -> Result<bool, KernelError> {
        for left in self.names()?.iter().filter(|name| name.starts_with(PROBE_PREFIX)) {
            self.remove(left)?;
        }
        let name = format!("{PROBE_PREFIX}{}", process::id());
        self.create(&name)?;
        let seen = read("/proc/1/mountinfo").map(|mounts| has_namespace(&mounts, &name));
        self.remove(&name)?;
        seen
    }

    /// What the mount is that holds this directory.
    fn propagation(&self) -> Result<Propagation, KernelError> {
        let shown = self.dir().display().to_string();
        let failed = |error: io::Error| KernelError::io("open", shown.as_str(), &error);
        let path_only = (OFlag::O_PATH | OFlag::O_DIRECTORY).bits();
        let dir = OpenOptions::new().read(true).custom_flags(path_only).open(self.dir()).map_err(failed)?;
        // proc_pid_fdinfo(5): the mount that a descriptor is on, whatever is mounted over what.
        let info = read(&format!("/proc/thread-self/fdinfo/{}", dir.as_raw_fd()))?;
        let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).map(str::trim);
        let mounts = read("/proc/thread-self/mountinfo")?;
        let found = id.and_then(|id| propagation_of(&mounts, id));
        found.ok_or_else(|| KernelError::Vanished(format!("the mount that holds {shown}")))
    }
}

/// The identity of a namespace: `mnt:[4026531832]`.
fn namespace(path: &str) -> Result<PathBuf, KernelError> {
    fs::read_link(path).map_err(|error| KernelError::io("read", path, &error))
}

fn read(path: &str) -> Result<String, KernelError> {
    fs::read_to_string(path).map_err(|error| KernelError::io("read", path, &error))
}

/// The propagation of a mount in a text of proc_pid_mountinfo(5): `ID PARENT DEVICE ROOT POINT OPTIONS [TAG…] - TYPE …`.
fn propagation_of(mounts: &str, id: &str) -> Option<Propagation> {
    let fields = mounts.lines().map(|line| line.split(' ')).find(|fields| fields.clone().next() == Some(id))?;
    let tags: Vec<&str> = fields.skip(6).take_while(|field| *field != "-").collect();
    let tagged = |tag| tags.iter().any(|field| field.starts_with(tag));
    // A mount that is both receives from its master, and shares with a group that the master is not in.
    Some(match (tagged("master:"), tagged("shared:")) {
        (true, _) => Propagation::Slave,
        (false, true) => Propagation::Shared,
        (false, false) => Propagation::Private,
    })
}

/// Whether a text of proc_pid_mountinfo(5) has a namespace under a file name, in whatever directory.
fn has_namespace(mounts: &str, name: &str) -> bool {
    mounts.lines().any(|line| {
        let (mount, rest) = line.split_once(" - ").unwrap_or((line, ""));
        let point = mount.split(' ').nth(4).map(Path::new).and_then(Path::file_name);
        rest.starts_with("nsfs ") && point.is_some_and(|point| point == name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 0:21 / / rw,relatime shared:1 - overlay overlay rw
30 22 0:26 / /run rw,nosuid master:7 - tmpfs tmpfs rw
31 22 0:26 /netns /run/netns rw,nosuid shared:9 master:7 - tmpfs tmpfs rw
32 22 0:27 / /sys rw - sysfs sysfs rw
3 31 0:4 net:[4026532001] /run/netns/podwire-probe-7 rw shared:12 - nsfs nsfs rw
33 31 0:28 / /run/netns/podwire-probe-8 rw shared:12 - tmpfs nsfs rw
";

    #[test]
    fn a_mount_that_has_a_master_is_no_peer_of_the_node_even_when_it_is_shared_again() {
        assert_eq!(propagation_of(MOUNTS, "22"), Some(Propagation::Shared));
        assert_eq!(propagation_of(MOUNTS, "30"), Some(Propagation::Slave));
        assert_eq!(propagation_of(MOUNTS, "31"), Some(Propagation::Slave));
        assert_eq!(propagation_of(MOUNTS, "32"), Some(Propagation::Private));
        assert_eq!(propagation_of(MOUNTS, "34"), None);
    }

    #[test]
    fn a_namespace_is_found_by_its_file_name_and_type() {
        assert!(has_namespace(MOUNTS, "podwire-probe-7"));
        assert!(!has_namespace(MOUNTS, "podwire-probe"), "part of a name");
        assert!(!has_namespace(MOUNTS, "podwire-probe-8"), "not a namespace");
        assert!(!has_namespace("", "podwire-probe-7"));
    }
}
