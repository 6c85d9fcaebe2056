//! The filter of system calls: a setting of the agent.

use std::fmt;

use clap::ValueEnum;

/// What becomes of a system call that the agent has no need of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Seccomp {
    /// It is made.
    Off,
    /// It is made, and a line of the kernel's log or audit says so (`type=1326`).
    Log,
    /// It is refused with EPERM.
    Enforce,
}

impl fmt::Display for Seccomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Log => "log",
            Self::Enforce => "enforce",
        })
    }
}
