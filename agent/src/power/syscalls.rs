//! The system calls that the agent makes once it runs, and with what arguments: all that `--seccomp` lets through.
//!
//! What the test-suite needs is here, and beside it the siblings that another libc (musl) or another architecture (aarch64,
//! which has no call without `at`) makes for the same thing. The agent starts no program, so there is no `execve`.

use nix::libc;

/// libc does not name it for aarch64, which has it (include/uapi/asm-generic/unistd.h) and glibc uses it there.
#[cfg(target_arch = "aarch64")]
const RENAMEAT: i64 = 38;
#[cfg(not(target_arch = "aarch64"))]
const RENAMEAT: i64 = libc::SYS_renameat;

/// A call that may be made with some values of one argument only.
#[derive(Debug)]
pub(super) struct Limited {
    /// Its number on this architecture.
    pub(super) call: i64,
    /// Which argument, from 0.
    pub(super) argument: u8,
    /// Which values: the lower 32 bits, for all that these calls look at is there.
    pub(super) values: Values,
}

/// Values of an argument.
#[derive(Debug)]
pub(super) enum Values {
    /// These.
    Are(&'static [u32]),
    /// Those that have this flag.
    Have(u32),
    /// Those that lack this flag.
    Lack(u32),
}

/// All that may be made with any arguments, in groups by what they are for.
pub(super) const GROUPS: &[&[i64]] = &[
    // The state, the audit, certificates and the policy; /proc and the names in the netns directory.
    &[
        libc::SYS_openat,
        libc::SYS_close,
        libc::SYS_read,
        libc::SYS_readv,
        libc::SYS_pread64,
        libc::SYS_preadv,
        libc::SYS_write,
        libc::SYS_writev,
        libc::SYS_pwrite64,
        libc::SYS_pwritev,
        libc::SYS_lseek,
        libc::SYS_fstat,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_statfs,
        libc::SYS_fstatfs,
        libc::SYS_getdents64,
        libc::SYS_readlinkat,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_fcntl,
        libc::SYS_flock,
        libc::SYS_dup,
        libc::SYS_dup3,
        libc::SYS_fsync,
        libc::SYS_fdatasync,
        libc::SYS_ftruncate,
        libc::SYS_fallocate,
        libc::SYS_mkdirat,
        RENAMEAT,
        libc::SYS_renameat2,
        libc::SYS_linkat,
        libc::SYS_unlinkat,
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        libc::SYS_umask,
        libc::SYS_getcwd,
    ],
    // Waiting: for sockets, for files that change, for other threads, for a time.
    &[
        libc::SYS_epoll_create1,
        libc::SYS_epoll_ctl,
        libc::SYS_epoll_pwait,
        libc::SYS_ppoll,
        libc::SYS_pselect6,
        libc::SYS_eventfd2,
        libc::SYS_pipe2,
        libc::SYS_inotify_init1,
        libc::SYS_inotify_add_watch,
        libc::SYS_inotify_rm_watch,
        libc::SYS_futex,
        libc::SYS_nanosleep,
        libc::SYS_clock_nanosleep,
        libc::SYS_clock_gettime,
        libc::SYS_clock_getres,
        libc::SYS_gettimeofday,
        libc::SYS_sched_yield,
        libc::SYS_restart_syscall,
    ],
    // Sockets once they are open: gRPC, netlink and frames.
    &[
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_connect,
        libc::SYS_getsockname,
        libc::SYS_getpeername,
        libc::SYS_getsockopt,
        libc::SYS_setsockopt,
        libc::SYS_sendto,
        libc::SYS_sendmsg,
        libc::SYS_sendmmsg,
        libc::SYS_recvfrom,
        libc::SYS_recvmsg,
        libc::SYS_recvmmsg,
        libc::SYS_shutdown,
    ],
    // Memory that is not code.
    &[libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise],
    // The life of threads: their start, their signals, their end, and that of the process.
    &[
        // Its flags are behind a pointer, where no filter sees them. When it is enforced, another filter answers ENOSYS.
        libc::SYS_clone3,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_set_tid_address,
        libc::SYS_membarrier,
        libc::SYS_sched_getaffinity,
        libc::SYS_gettid,
        libc::SYS_getpid,
        libc::SYS_getppid,
        libc::SYS_getuid,
        libc::SYS_geteuid,
        libc::SYS_getgid,
        libc::SYS_getegid,
        libc::SYS_sigaltstack,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ],
    // What the machine is, and chance.
    &[libc::SYS_uname, libc::SYS_sysinfo, libc::SYS_getrusage, libc::SYS_getrandom],
    // The same by calls that younger architectures do not have.
    #[cfg(target_arch = "x86_64")]
    &[
        libc::SYS_open,
        libc::SYS_stat,
        libc::SYS_lstat,
        libc::SYS_access,
        libc::SYS_readlink,
        libc::SYS_rename,
        libc::SYS_link,
        libc::SYS_unlink,
        libc::SYS_mkdir,
        libc::SYS_rmdir,
        libc::SYS_chmod,
        libc::SYS_dup2,
        libc::SYS_pipe,
        libc::SYS_poll,
        libc::SYS_select,
        libc::SYS_epoll_wait,
        libc::SYS_getrlimit,
        libc::SYS_time,
        // Says at the start of a thread where its own memory is (musl).
        libc::SYS_arch_prctl,
    ],
];

/// All that may be made with some arguments.
#[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "they are flags of 32 bits")]
pub(super) const LIMITED: &[Limited] = &[
    // For gRPC by TCP and unix sockets, netlink, packet sockets.
    Limited {
        call: libc::SYS_socket,
        argument: 0,
        values: Values::Are(&[
            libc::AF_UNIX as u32,
            libc::AF_INET as u32,
            libc::AF_INET6 as u32,
            libc::AF_NETLINK as u32,
            libc::AF_PACKET as u32,
        ]),
    },
    // How the runtime hears of signals.
    Limited { call: libc::SYS_socketpair, argument: 0, values: Values::Are(&[libc::AF_UNIX as u32]) },
    // Threads; no process.
    Limited { call: libc::SYS_clone, argument: 0, values: Values::Have(libc::CLONE_THREAD as u32) },
    // The end by a panic that cannot be unwound (glibc, musl); no other signal to anybody.
    Limited { call: libc::SYS_tgkill, argument: 2, values: Values::Are(&[libc::SIGABRT as u32]) },
    Limited { call: libc::SYS_tkill, argument: 1, values: Values::Are(&[libc::SIGABRT as u32]) },
    // Its own limits, of no other process.
    Limited { call: libc::SYS_prlimit64, argument: 0, values: Values::Are(&[0]) },
    // Memory that is not code.
    Limited { call: libc::SYS_mmap, argument: 2, values: Values::Lack(libc::PROT_EXEC as u32) },
    // Memory that does not become code.
    Limited { call: libc::SYS_mprotect, argument: 2, values: Values::Lack(libc::PROT_EXEC as u32) },
    // Names of threads, and of memory in /proc/PID/maps.
    Limited {
        call: libc::SYS_prctl,
        argument: 0,
        values: Values::Are(&[libc::PR_SET_NAME as u32, libc::PR_GET_NAME as u32, libc::PR_SET_VMA as u32]),
    },
    // Sockets that do not block, a closing at exec, whether the log is a terminal.
    Limited {
        call: libc::SYS_ioctl,
        argument: 1,
        values: Values::Are(&[
            libc::FIONBIO as u32,
            libc::FIOCLEX as u32,
            libc::FIONREAD as u32,
            libc::TCGETS as u32,
            libc::TIOCGWINSZ as u32,
        ]),
    },
    // A thread enters the network namespace of a pod or a panel; no namespace of another kind.
    Limited { call: libc::SYS_setns, argument: 1, values: Values::Are(&[libc::CLONE_NEWNET as u32]) },
    // A thread makes a network namespace; none of another kind, above all none of users.
    Limited { call: libc::SYS_unshare, argument: 0, values: Values::Are(&[libc::CLONE_NEWNET as u32]) },
    // Namespaces under names: a bind mount, and its propagation; no file system, no remount.
    Limited {
        call: libc::SYS_mount,
        argument: 3,
        values: Values::Are(&[
            libc::MS_BIND as u32,
            (libc::MS_BIND | libc::MS_REC) as u32,
            (libc::MS_SHARED | libc::MS_REC) as u32,
        ]),
    },
    // Names of namespaces that end.
    Limited {
        call: libc::SYS_umount2,
        argument: 1,
        values: Values::Are(&[libc::MNT_DETACH as u32, (libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) as u32]),
    },
];
