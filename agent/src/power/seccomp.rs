//! The system calls that the kernel takes from the agent (seccomp(2)).

use std::{collections::BTreeMap, env::consts::ARCH};

use nix::{errno::Errno, libc};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use crate::config::Seccomp;

use super::syscalls::{GROUPS, LIMITED, Limited, Values};

/// Why there is no filter.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// It cannot be made: of an architecture for which there is none, say.
    #[error("the filter of system calls cannot be made for {ARCH}: use --seccomp off there")]
    Make(#[from] BackendError),
    /// The kernel does not take it.
    #[error(
        "the kernel does not take the filter of system calls: it needs CONFIG_SECCOMP_FILTER, and the container may \
         forbid it: else use --seccomp off"
    )]
    Apply(#[from] seccompiler::Error),
}

impl Seccomp {
    /// Puts the calling thread, and all that it will start, under the filter. It cannot be taken off again.
    ///
    /// # Errors
    ///
    /// The filter cannot be made, or the kernel does not take it.
    pub fn apply(self) -> Result<(), SeccompError> {
        let rest = match self {
            Self::Off => return Ok(()),
            Self::Log => SeccompAction::Log,
            Self::Enforce => {
                // First: the other one lets no further filter in. glibc then takes `clone`, whose flags a filter sees.
                apply_filter(&no_clone3()?)?;
                SeccompAction::Errno(Errno::EPERM as u32)
            }
        };
        Ok(apply_filter(&allowed(rest)?)?)
    }
}

/// Lets the list through; what becomes of the rest.
fn allowed(rest: SeccompAction) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in GROUPS.iter().copied().flatten() {
        rules.insert(*call, Vec::new());
    }
    for limited in LIMITED {
        rules.insert(limited.call, limited.rules()?);
    }
    SeccompFilter::new(rules, rest, SeccompAction::Allow, arch()?)?.try_into()
}

/// Answers `clone3` as a kernel does that does not have it.
fn no_clone3() -> Result<BpfProgram, BackendError> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let unknown = SeccompAction::Errno(Errno::ENOSYS as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, unknown, arch()?)?.try_into()
}

fn arch() -> Result<TargetArch, BackendError> {
    ARCH.try_into()
}

impl Limited {
    fn rules(&self) -> Result<Vec<SeccompRule>, BackendError> {
        let rule = |how, value: u32| {
            let condition = SeccompCondition::new(self.argument, SeccompCmpArgLen::Dword, how, value.into())?;
            SeccompRule::new(vec![condition])
        };
        match self.values {
            Values::Are(values) => values.iter().map(|value| rule(SeccompCmpOp::Eq, *value)).collect(),
            Values::Have(flag) => Ok(vec![rule(SeccompCmpOp::MaskedEq(flag.into()), flag)?]),
            Values::Lack(flag) => Ok(vec![rule(SeccompCmpOp::MaskedEq(flag.into()), 0)?]),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        io::{self, Read, Write},
        net::{TcpListener, TcpStream},
        process::Command,
        thread,
    };

    use nix::{
        sched::{CloneFlags, unshare},
        sys::{
            memfd::{MFdFlags, memfd_create},
            signal::kill,
            socket::{AddressFamily, SockFlag, SockType, socket},
        },
        unistd::Pid,
    };

    use super::*;

    /// What no agent has business with.
    const DANGEROUS: &[i64] = &[
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_open,
        libc::SYS_pidfd_getfd,
        libc::SYS_kill,
        libc::SYS_bpf,
        libc::SYS_seccomp,
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_reboot,
        libc::SYS_add_key,
        libc::SYS_keyctl,
        libc::SYS_request_key,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_perf_event_open,
        libc::SYS_swapon,
        libc::SYS_swapoff,
        libc::SYS_acct,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_adjtimex,
        libc::SYS_sethostname,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_fsopen,
        libc::SYS_fsmount,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_mount_setattr,
        libc::SYS_mknodat,
        libc::SYS_name_to_handle_at,
        libc::SYS_open_by_handle_at,
        libc::SYS_personality,
        libc::SYS_setuid,
        libc::SYS_setresuid,
        libc::SYS_capset,
        libc::SYS_memfd_create,
        libc::SYS_quotactl,
        libc::SYS_syslog,
        libc::SYS_fanotify_init,
    ];

    /// What a program may do that has no right at all, and an agent need not: kind of error of each, if any.
    fn needless() -> [Option<Errno>; 5] {
        let spawned = Command::new("true").status().map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)));
        [
            memfd_create("x", MFdFlags::empty()).err(),
            kill(Pid::this(), None).err(),
            spawned.err(),
            socket(AddressFamily::Vsock, SockType::Stream, SockFlag::empty(), None).err(),
            unshare(CloneFlags::CLONE_NEWUSER).err(),
        ]
    }

    /// What an agent does all the time.
    fn needful() -> io::Result<()> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("a"), "x")?;
        fs::rename(dir.path().join("a"), dir.path().join("b"))?;
        assert_eq!(fs::read_dir(dir.path())?.count(), 1);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let caller = thread::Builder::new().spawn(move || TcpStream::connect(address)?.write_all(b"x"))?;
        let mut said = String::new();
        listener.accept()?.0.read_to_string(&mut said)?;
        caller.join().unwrap()
    }

    /// Runs on a thread that ends, so that no other test is under the filter.
    fn under<T: Send + 'static>(mode: Seccomp, work: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = thread::spawn(move || {
            mode.apply().unwrap();
            work()
        });
        thread.join().unwrap()
    }

    #[test]
    fn enforced_it_refuses_what_the_agent_has_no_need_of_and_nothing_else() {
        let before = needless();
        assert!(before[..3].iter().all(Option::is_none) && !before.contains(&Some(Errno::EPERM)), "{before:?}");
        assert_eq!(under(Seccomp::Enforce, needless), [Some(Errno::EPERM); 5]);
        under(Seccomp::Enforce, needful).unwrap();
        assert_eq!(needless(), before, "other threads have no filter");
    }

    #[test]
    fn logged_or_off_it_refuses_nothing() {
        let before = needless();
        for mode in [Seccomp::Log, Seccomp::Off] {
            assert_eq!(under(mode, needless), before, "{mode}");
            under(mode, needful).unwrap();
        }
    }

    #[test]
    fn a_filter_cannot_be_lifted_by_another_one() {
        let error = under(Seccomp::Enforce, || Seccomp::Enforce.apply().unwrap_err());
        assert!(matches!(error, SeccompError::Apply(_)), "{error}");
    }

    #[test]
    fn nothing_dangerous_is_on_the_list_and_nothing_twice() {
        let all: Vec<i64> =
            GROUPS.iter().copied().flatten().copied().chain(LIMITED.iter().map(|limited| limited.call)).collect();
        let set: BTreeSet<i64> = all.iter().copied().collect();
        assert_eq!(set.len(), all.len(), "{all:?}");
        let wrong: Vec<&i64> = DANGEROUS.iter().filter(|call| set.contains(call)).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    }
}
