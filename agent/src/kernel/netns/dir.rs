//! The directory in which namespaces have names.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use netns_rs::Env;
use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
};

use super::{KernelError, Netns, NetnsError};

/// The directory in which network namespaces are mounted under names, as `ip netns` has it.
#[derive(Debug, Clone)]
pub struct NetnsDir {
    path: PathBuf,
    /// Held while a name is half made: a file that is not mounted yet looks like one that is left over.
    half_made: Arc<Mutex<()>>,
}

impl Env for NetnsDir {
    fn persist_dir(&self) -> PathBuf {
        self.path.clone()
    }
}

impl NetnsDir {
    /// The directory at a path.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), half_made: Arc::default() }
    }

    /// The path of a name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// Makes the directory a shared mount, so that what is mounted in it later is seen in other mount namespaces.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn prepare(&self) -> Result<(), KernelError> {
        self.init().map_err(|source| KernelError::Netns { name: self.path.display().to_string(), source })
    }

    /// Makes a namespace under a name.
    ///
    /// # Errors
    ///
    /// `is_present`: the name is taken. Else the kernel's words.
    pub fn create(&self, name: &str) -> Result<(), KernelError> {
        let (netns, ()) = Netns::begin(|| ())?.end()?;
        self.name(netns, name).map(drop)
    }

    /// Gives a namespace that has none a name.
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub(in crate::kernel) fn name(&self, mut netns: Netns, name: &str) -> Result<Netns, KernelError> {
        self.mount(&PathBuf::from(format!("/proc/self/fd/{}", netns.fd().as_raw_fd())), name)?;
        netns.path = self.path(name).display().to_string();
        Ok(netns)
    }

    /// Takes a name away. The namespace ends when nothing else holds it. An absent one is removed already.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn remove(&self, name: &str) -> Result<(), KernelError> {
        let path = self.path(name);
        match umount2(&path, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
            Err(errno) => return Err(KernelError::call("umount", path.display().to_string(), errno)),
        }
        match fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(KernelError::io("unlink", path.display().to_string(), &error)),
        }
    }

    /// Gives a namespace another name: a mount that is in use cannot be renamed, so it is mounted a second time and
    /// the first name taken away.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn rename(&self, from: &str, to: &str) -> Result<(), KernelError> {
        self.name_too(from, to)?;
        self.remove(from).inspect_err(|_| {
            // It keeps its old name, and only that one.
            let _ = self.remove(to);
        })
    }

    /// Gives a namespace a second name.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub(in crate::kernel) fn name_too(&self, from: &str, to: &str) -> Result<(), KernelError> {
        self.mount(&self.path(from), to)
    }

    fn mount(&self, namespace: &Path, name: &str) -> Result<(), KernelError> {
        let path = self.path(name);
        let shown = || path.display().to_string();
        let _making = self.half_made();
        // The file is ours only if we made it: another one may be somebody's namespace.
        File::create_new(&path).map_err(|error| KernelError::io("create", shown(), &error))?;
        mount(Some(namespace), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|errno| {
            let _ = fs::remove_file(&path);
            KernelError::call("mount", shown(), errno)
        })
    }

    /// Takes away a name that is a plain file: of an agent that was killed before it mounted. Nothing else is touched.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub fn remove_leftover(&self, name: &str) -> Result<(), KernelError> {
        let _making = self.half_made();
        let path = self.path(name);
        let leftover = matches!(Netns::open(&path), Err(NetnsError::NotNetns { .. }))
            && fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        if leftover { self.remove(name) } else { Ok(()) }
    }

    fn half_made(&self) -> MutexGuard<'_, ()> {
        self.half_made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The names in it.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn names(&self) -> Result<Vec<String>, KernelError> {
        let failed = |error: std::io::Error| KernelError::io("read", self.path.display().to_string(), &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}
