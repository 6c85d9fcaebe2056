//! One agent for a netns directory, whatever it listens on. The store sees to its own directory.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc,
};

/// Why an agent does not have its directories for itself.
#[derive(Debug, thiserror::Error)]
pub enum AloneError {
    /// Another one has it.
    #[error(
        "another agent works with {} ({setting}): there is one for each node: stop that one, or leave this one out", .path.display()
    )]
    Taken {
        /// The setting.
        setting: &'static str,
        /// Its value.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot lock {} ({setting}): it must belong to the agent's user", .path.display())]
    System {
        /// The setting.
        setting: &'static str,
        /// Its value.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// The netns directory of an agent, locked for as long as this lives.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "it is held for its lock")] File);

impl Alone {
    /// Locks the directory, which exists. No file is left behind, and the kernel unlocks after a crash.
    ///
    /// # Errors
    ///
    /// Another agent has it, or the system refuses.
    pub fn hold(netns: &Path) -> Result<Self, AloneError> {
        lock(netns).map(Self)
    }
}

/// Not by `flock`: `ip netns add` takes that one of this directory and would wait for us for ever. And not by a file in it,
/// which would be a pod to everybody who lists it. A directory cannot be opened for writing, so the lock is a shared one,
/// and whether there is another is asked by looking for what an exclusive one would meet. Two that start at the same moment
/// may both leave; never do both stay.
fn lock(path: &Path) -> Result<File, AloneError> {
    let setting = "--netns-dir";
    let refused = |source: io::Error| AloneError::System { setting, path: path.to_owned(), source };
    let dir = File::open(path).map_err(refused)?;
    fcntl(&dir, FcntlArg::F_OFD_SETLK(&whole(libc::F_RDLCK))).map_err(|errno| refused(errno.into()))?;
    let mut met = whole(libc::F_WRLCK);
    fcntl(&dir, FcntlArg::F_OFD_GETLK(&mut met)).map_err(|errno| refused(errno.into()))?;
    if i32::from(met.l_type) == libc::F_UNLCK {
        Ok(dir)
    } else {
        Err(AloneError::Taken { setting, path: path.to_owned() })
    }
}

/// A lock of a whole file.
fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or_default(),
        l_whence: i16::try_from(libc::SEEK_SET).unwrap_or_default(),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use nix::fcntl::{Flock, FlockArg};

    use super::*;

    #[test]
    fn a_directory_has_one_agent() {
        let [a, b] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let first = Alone::hold(a.path()).unwrap();
        assert!(Alone::hold(a.path()).unwrap_err().to_string().contains("--netns-dir"));
        let second = Alone::hold(b.path()).unwrap();
        drop((first, second));
        Alone::hold(a.path()).unwrap();
        for dir in [a, b] {
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
        }
    }

    #[test]
    fn whoever_makes_named_namespaces_by_ip_is_not_in_the_way() {
        let netns = tempfile::tempdir().unwrap();
        let _ip = Flock::lock(File::open(netns.path()).unwrap(), FlockArg::LockExclusiveNonblock).unwrap();
        let _agent = Alone::hold(netns.path()).unwrap();
    }
}
