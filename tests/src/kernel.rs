//! A private kernel: user (when not root), network, mount, IPC and pid namespaces of our own, with an empty `/run`.
//!
//! Two processes make it. The outer one ([`enter`]) unshares and waits; the inner one ([`init`]) is process 1 of the new
//! pid namespace, finishes the mounts, runs the command and reaps. When either dies, all that ran in it is killed.

use std::{
    env,
    ffi::OsString,
    fs, io,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, ExitCode, ExitStatus},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::Signal,
        wait::{WaitStatus, waitpid},
    },
    unistd::{Gid, Pid, Uid, getegid, geteuid, setgid, setgroups, setuid},
};

use crate::{loopback, reach};

/// Exit status of the helper where the system forbids namespaces: nothing ran.
pub const FORBIDDEN: u8 = 125;

/// The first argument by which [`enter`] runs its own executable again as process 1.
pub const INIT: &str = "--as-process-1";

/// Makes the private kernel, runs `command` in it and returns its exit status.
///
/// `user`: become this unprivileged user first, as root only, to prove what works without root.
///
/// # Errors
///
/// A step that failed. [`Forbidden`] where the system does not let us make namespaces.
pub fn enter(user: Option<u32>, command: &[OsString]) -> Result<ExitStatus> {
    if let Some(user) = user {
        become_user(user)?;
    }
    let (uid, gid) = (geteuid(), getegid());
    if !uid.is_root() {
        unshare(CloneFlags::CLONE_NEWUSER).map_err(Forbidden)?;
        map_to_root(uid, gid)?;
    }
    let flags =
        CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWPID;
    unshare(flags).map_err(Forbidden)?;
    // Last: a change of credentials forgets it.
    prctl::set_pdeathsig(Signal::SIGKILL).context("die with the caller")?;
    let helper = env::current_exe().context("find our own executable")?;
    let status = Command::new(helper).arg(INIT).args(command).status().context("start process 1")?;
    Ok(status)
}

/// Process 1 of the private kernel: mounts, brings the loopback up, runs `command`, reaps, and returns its status.
///
/// # Errors
///
/// A step that failed.
pub fn init(command: &[OsString]) -> Result<ExitCode> {
    prctl::set_pdeathsig(Signal::SIGKILL).context("die with the outer process")?;
    change(Path::new("/"), MsFlags::MS_REC | MsFlags::MS_PRIVATE).context("make the mounts private")?;
    // Best effort: a container with parts of /proc or /sys masked may not mount a new one, and little needs it.
    let _ = filesystem("proc", "/proc", MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC);
    let _ = filesystem("sysfs", "/sys", MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC);
    filesystem("tmpfs", "/run", MsFlags::MS_NOSUID | MsFlags::MS_NODEV).context("an empty /run")?;
    fs::create_dir("/run/netns").context("make /run/netns")?;
    loopback::up().context("bring the loopback up")?;

    let (program, args) = command.split_first().context("no command")?;
    let child = Command::new(program).args(args).spawn().with_context(|| format!("run `{}`", program.display()))?;
    let child = Pid::from_raw(i32::try_from(child.id()).context("a pid fits")?);
    loop {
        match waitpid(None, None) {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => {
                return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => {
                return Ok(ExitCode::from(128 + u8::try_from(signal as i32).unwrap_or(0)));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => bail!("wait for the command: {error}"),
        }
    }
}

/// The system does not let us make namespaces; says which setting to look at.
#[derive(Debug, Clone, Copy)]
pub struct Forbidden(pub Errno);

impl std::fmt::Display for Forbidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "this system forbids new namespaces ({}). As root it works; without, look at:", self.0)?;
        for (name, wanted) in [
            ("kernel.unprivileged_userns_clone", "1"),
            ("user.max_user_namespaces", "15000"),
            ("user.max_net_namespaces", "15000"),
            ("kernel.apparmor_restrict_unprivileged_userns", "0"),
        ] {
            let path = format!("/proc/sys/{}", name.replace('.', "/"));
            match fs::read_to_string(path) {
                Ok(value) => writeln!(f, "  sysctl -w {name}={wanted}   (it is {})", value.trim())?,
                Err(_) => writeln!(f, "  {name}: not on this system")?,
            }
        }
        write!(f, "  or, in a container, at its seccomp profile and its capabilities")
    }
}

impl std::error::Error for Forbidden {}

/// The exit code that a shell would give for `status`.
pub fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Drops root for good.
fn become_user(user: u32) -> Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    reach::open_paths().context("let an unprivileged user reach our files")?;
    setgroups(&[]).context("drop the groups")?;
    setgid(Gid::from_raw(user)).context("drop the group")?;
    setuid(Uid::from_raw(user)).context("drop root")?;
    // Dropping root makes /proc/self belong to root, and the uid map could not be written.
    prctl::set_dumpable(true).context("own /proc/self again")
}

/// Root inside is the caller outside, and nobody else is anybody.
fn map_to_root(uid: Uid, gid: Gid) -> Result<()> {
    // A system that lets us unshare and then refuses the map (AppArmor) forbids it all the same.
    let write = |path: &str, text: String| match fs::write(path, text) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(anyhow::Error::new(Forbidden(Errno::EACCES)))
        }
        other => other.with_context(|| format!("write {path}")),
    };
    write("/proc/self/setgroups", "deny".into())?;
    write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    write("/proc/self/gid_map", format!("0 {gid} 1"))
}

fn change(target: &Path, flags: MsFlags) -> nix::Result<()> {
    mount(None::<&str>, target, None::<&str>, flags, None::<&str>)
}

fn filesystem(kind: &str, target: &str, flags: MsFlags) -> nix::Result<()> {
    mount(Some(kind), target, Some(kind), flags, None::<&str>)
}
