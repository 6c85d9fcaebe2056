//! Network namespaces: opened, checked, entered on threads that do nothing else.
//!
//! This file is the only one that calls `setns` and `unshare`.

mod dir;
mod standing;

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, open},
    sched::{CloneFlags, setns, unshare},
    sys::{
        stat::Mode,
        statfs::{NSFS_MAGIC, fstatfs},
    },
};

use super::{error::KernelError, socket::RouteSocket};
pub use dir::NetnsDir;
use standing::{Begun, Standing};

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

/// A namespace that is being made. Nothing is left of it where nobody waits for it.
#[derive(Debug)]
pub(super) struct NetnsBegun<T>(Begun<Result<(Netns, T), KernelError>>);

impl<T> NetnsBegun<T> {
    /// Waits until it is made.
    ///
    /// # Errors
    ///
    /// No namespace can be made, or the work panics.
    pub(super) fn end(self) -> Result<(Netns, T), KernelError> {
        self.0.end()?
    }
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

    /// Opens and checks the network namespaces at some paths: one turn of a thread for all of them.
    ///
    /// # Errors
    ///
    /// There is no thread to be had. Of each, as [`Self::open`].
    pub fn open_all(paths: &[PathBuf]) -> Result<Vec<Result<Self, NetnsError>>, KernelError> {
        let found: Vec<_> = paths.iter().map(|path| Found::at(path)).collect();
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let visit = |found: Found| found.visit(|| ()).map(|(netns, ())| netns);
        away("network namespaces", move || Ok(found.into_iter().map(|found| found.and_then(visit)).collect()))
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
        let found = Found::at(path)?;
        let shown = found.shown.clone();
        away(&shown, move || Ok(found.visit(work)))?
    }

    /// Begins to make a namespace that has no name, and to do `work` inside it.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub(super) fn begin<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<NetnsBegun<T>, KernelError> {
        const SHOWN: &str = "a new namespace";
        let make = move || {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| KernelError::call("unshare", "a namespace", errno))?;
            let (fd, socket) = (own_netns()?.into(), RouteSocket::open()?);
            let (cookie, first) = (socket.cookie(), Mutex::new(Some(socket)));
            Ok((Self { fd, path: SHOWN.to_owned(), cookie, first }, work()))
        };
        begin_away(SHOWN, make).map(NetnsBegun)
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

/// What may be a network namespace, and was not entered yet.
struct Found {
    fd: OwnedFd,
    shown: String,
    /// Cookie of the namespace that the agent is in.
    own: u64,
}

impl Found {
    /// What is at a path.
    fn at(path: &Path) -> Result<Self, NetnsError> {
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
        Ok(Self { fd, shown, own: own_cookie()? })
    }

    /// Enters it and does `work` inside. On a thread that may be away.
    fn visit<T>(self, work: impl FnOnce() -> T) -> Result<(Netns, T), NetnsError> {
        let Self { fd, shown: path, own } = self;
        match enter(&fd, &path) {
            Err(KernelError::Call { errno: Errno::EINVAL, .. }) => {
                return Err(NetnsError::NotNetns { path, seen: "a namespace of another kind" });
            }
            entered => entered?,
        }
        let socket = RouteSocket::open()?;
        if socket.cookie() == own {
            // Nothing is done in the node's own namespace, whatever led there.
            return Err(NetnsError::Own(path));
        }
        let done = work();
        let (cookie, first) = (socket.cookie(), Mutex::new(Some(socket)));
        Ok((Netns { fd, path, cookie, first }, done))
    }
}

/// The namespace that the calling thread is in: the agent's own, for identity and for threads that come home, which is never
/// plugged, or one that the thread has just made.
pub(super) fn own_netns() -> Result<File, KernelError> {
    const OWN: &str = "/proc/thread-self/ns/net";
    File::open(OWN).map_err(|error| KernelError::io("open", OWN, &error))
}

/// Cookie of the namespace that the agent itself is in. Asked for at home, before a thread enters another one.
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
    begin_away(shown, work)?.end()?
}

/// The same, without waiting for its end.
fn begin_away<T: Send + 'static>(
    shown: &str,
    work: impl FnOnce() -> Result<T, KernelError> + Send + 'static,
) -> Result<Begun<Result<T, KernelError>>, KernelError> {
    static HOME: OnceLock<File> = OnceLock::new();
    static THREADS: Standing = Standing::new(standing::IDLE);
    let home = match HOME.get() {
        Some(home) => home,
        None => own_netns().map(|own| HOME.get_or_init(|| own))?,
    };
    THREADS.begin(shown, move || {
        let done = work();
        (done, setns(home, CloneFlags::CLONE_NEWNET).is_ok())
    })
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
