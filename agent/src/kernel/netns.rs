//! Network namespaces: opened, checked, entered on threads that do nothing else.
//!
//! This file is the only one that calls `setns` and `unshare`.

mod standing;

use std::{
    fs::{self, File},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
};

use netns_rs::Env;
use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::{
        stat::Mode,
        statfs::{NSFS_MAGIC, fstatfs},
    },
};

use super::{error::KernelError, socket::RouteSocket};
use standing::Standing;

/// A network namespace that was opened and is not the node's own. Hold it only for one operation: a held descriptor
/// keeps a dead pod's namespace and its interfaces alive.
#[derive(Debug)]
pub struct Netns {
    fd: OwnedFd,
    path: String,
    cookie: u64,
    /// The socket by which the cookie was read, for who asks for one first: entering costs a thread.
    first: Mutex<Option<RouteSocket>>,
}

/// Why a path does not lead to the network namespace of a pod.
#[derive(Debug, thiserror::Error)]
pub enum NetnsError {
    /// Nothing is there, or not any more.
    #[error("there is no network namespace at {0}")]
    Absent(String),
    /// A stale path: a plain file, a namespace of another kind.
    #[error("{path} is not a network namespace: {seen}")]
    NotNetns {
        /// The path.
        path: String,
        /// What is there instead.
        seen: &'static str,
    },
    /// The node's own namespace: a pod with hostNetwork, or a mistake that would cut the node off.
    #[error("{0} is the node's own network namespace: podwire never plugs interfaces into it")]
    Own(String),
    /// The kernel's words.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

impl Netns {
    /// Opens and checks the network namespace at a path.
    ///
    /// # Errors
    ///
    /// It is not there, not a network namespace, or the node's own.
    pub fn open(path: &Path) -> Result<Self, NetnsError> {
        Self::open_and(path, || ()).map(|(netns, ())| netns)
    }

    /// Opens and checks the network namespace at a path, and does `work` while it is inside.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub(super) fn open_and<T: Send + 'static>(
        path: &Path,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(Self, T), NetnsError> {
        let shown = path.display().to_string();
        let failed = |operation| {
            let object = shown.clone();
            move |errno| match errno {
                Errno::ENOENT | Errno::ENODEV | Errno::ENXIO | Errno::ESRCH => NetnsError::Absent(object),
                errno => NetnsError::Kernel(KernelError::call(operation, object, errno)),
            }
        };
        // O_PATH first: what is there may be a FIFO or a device, which opening would disturb.
        let place = open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed("open"))?;
        let kind = fstatfs(&place).map_err(failed("statfs"))?.filesystem_type();
        if kind != NSFS_MAGIC {
            return Err(NetnsError::NotNetns { path: shown, seen: "a plain file, left over or not mounted yet" });
        }
        let again = PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()));
        let fd = open(&again, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed("open"))?;
        let own = own_cookie()?;
        let object = shown.clone();
        let look = move || {
            enter(&fd, &object)?;
            let socket = RouteSocket::open()?;
            // Nothing is done in the node's own namespace, whatever led there.
            let done = (socket.cookie() != own).then(work);
            Ok((fd, socket, done))
        };
        let (fd, socket, done) = match away(&shown, look) {
            Ok(entered) => entered,
            Err(KernelError::Call { errno: Errno::EINVAL, .. }) => {
                return Err(NetnsError::NotNetns { path: shown, seen: "a namespace of another kind" });
            }
            Err(error) => return Err(error.into()),
        };
        let Some(done) = done else { return Err(NetnsError::Own(shown)) };
        let (cookie, first) = (socket.cookie(), Mutex::new(Some(socket)));
        Ok((Self { fd, path: shown, cookie, first }, done))
    }

    /// The kernel's identity of the namespace, never given twice between boots (`SO_NETNS_COOKIE`).
    pub fn cookie(&self) -> u64 {
        self.cookie
    }

    /// Where it was opened.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its descriptor, for netlink attributes.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A netlink socket inside it.
    ///
    /// # Errors
    ///
    /// The kernel's words.
    pub(super) fn socket(&self) -> Result<RouteSocket, KernelError> {
        if let Some(first) = self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Ok(first);
        }
        self.run(RouteSocket::open)?
    }

    /// Keeps a socket of this namespace for who asks next.
    pub(super) fn keep(&self, socket: RouteSocket) {
        *self.first.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    /// Runs `work` on a fresh thread inside the namespace. The thread ends with it.
    ///
    /// # Errors
    ///
    /// The namespace cannot be entered, or `work` panics.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, KernelError> {
        on_thread(&self.path, || {
            enter(&self.fd, &self.path)?;
            Ok(work())
        })
    }

    /// The same on a thread that stands ready: for short work that owns what it needs.
    ///
    /// # Errors
    ///
    /// As [`Self::run`].
    pub(super) fn visit<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, KernelError> {
        let fd = self.fd.try_clone().map_err(|error| KernelError::io("duplicate", &*self.path, &error))?;
        let shown = self.path.clone();
        away(&self.path, move || {
            enter(&fd, &shown)?;
            Ok(work())
        })
    }
}

/// The namespace that the agent itself is in: for identity, and for threads that come home. It is never plugged.
pub(super) fn own_netns() -> Result<File, KernelError> {
    const OWN: &str = "/proc/thread-self/ns/net";
    File::open(OWN).map_err(|error| KernelError::io("open", OWN, &error))
}

/// Cookie of the namespace that the agent itself is in. It stays there: threads that enter another one do not come back,
/// and ask before they do.
pub(super) fn own_cookie() -> Result<u64, KernelError> {
    static OWN: OnceLock<u64> = OnceLock::new();
    match OWN.get() {
        Some(cookie) => Ok(*cookie),
        None => RouteSocket::open().map(|socket| *OWN.get_or_init(|| socket.cookie())),
    }
}

fn enter(fd: &OwnedFd, shown: &str) -> Result<(), KernelError> {
    setns(fd, CloneFlags::CLONE_NEWNET).map_err(|errno| KernelError::call("setns", shown, errno))
}

/// Runs `work`, which may leave the agent's namespace, on a thread that stands ready for such, and is home again when this
/// returns. One that does not get home ends.
fn away<T: Send + 'static>(
    shown: &str,
    work: impl FnOnce() -> Result<T, KernelError> + Send + 'static,
) -> Result<T, KernelError> {
    static HOME: OnceLock<File> = OnceLock::new();
    static THREADS: Standing = Standing::new(standing::IDLE);
    let home = match HOME.get() {
        Some(home) => home,
        None => own_netns().map(|own| HOME.get_or_init(|| own))?,
    };
    THREADS.run(shown, move || {
        let done = work();
        (done, setns(home, CloneFlags::CLONE_NEWNET).is_ok())
    })?
}

/// Runs `work` on a fresh thread in a fresh namespace that nobody else sees and that ends with the thread.
///
/// # Errors
///
/// No namespace can be made, or `work` panics.
pub(super) fn in_scratch<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, KernelError> {
    on_thread("a scratch namespace", || {
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| KernelError::call("unshare", "a namespace", errno))?;
        Ok(work())
    })
}

/// A thread that ends with its work: what it does to its own namespace stays its own.
fn on_thread<T: Send>(shown: &str, work: impl FnOnce() -> Result<T, KernelError> + Send) -> Result<T, KernelError> {
    thread::scope(|scope| {
        let started = thread::Builder::new().name("podwire-netns".to_owned()).spawn_scoped(scope, work);
        let thread = started.map_err(|error| KernelError::io("start a thread for", shown, &error))?;
        thread.join().unwrap_or_else(|_| Err(KernelError::Panicked(shown.to_owned())))
    })
}

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
        self.create_and(name, || ()).map(drop)
    }

    /// Makes a namespace under a name, and does `work` inside it.
    ///
    /// # Errors
    ///
    /// As [`Self::create`].
    pub(super) fn create_and<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<(Netns, T), KernelError> {
        /// Of the thread and not of the process: it is the one that has left.
        const OWN: &str = "/proc/thread-self/ns/net";
        let path = self.path(name);
        let shown = path.display().to_string();
        let _making = self.half_made();
        // The file is ours only if we made it: another one may be somebody's namespace.
        File::create_new(&path).map_err(|error| KernelError::io("create", &*shown, &error))?;
        let object = shown.clone();
        let make = move || {
            let failed = |operation| {
                let object = object.clone();
                move |errno| KernelError::call(operation, object, errno)
            };
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| KernelError::call("unshare", "a namespace", errno))?;
            mount(Some(OWN), &path, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(failed("mount"))?;
            let fd = open(&path, OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed("open"))?;
            Ok((fd, RouteSocket::open()?, work()))
        };
        let (fd, socket, done) = away(&shown, make).inspect_err(|_| {
            let _ = self.remove(name);
        })?;
        let (cookie, first) = (socket.cookie(), Mutex::new(Some(socket)));
        Ok((Netns { fd, path: shown, cookie, first }, done))
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
    pub(super) fn name_too(&self, from: &str, to: &str) -> Result<(), KernelError> {
        let (from_path, to_path) = (self.path(from), self.path(to));
        let _making = self.half_made();
        File::create_new(&to_path).map_err(|e| KernelError::io("create", to_path.display().to_string(), &e))?;
        mount(Some(&from_path), &to_path, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(|errno| {
            let _ = fs::remove_file(&to_path);
            KernelError::call("mount", to_path.display().to_string(), errno)
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
