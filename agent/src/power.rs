//! What the agent may do: it starts with all that a privileged container has, and keeps what the table below names.

mod seccomp;
mod syscalls;

use std::fs;

use rustix::{
    io::{self, Errno},
    thread::{
        CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

use crate::config::{Config, Endpoint};

pub use seccomp::SeccompError;

/// A capability that the agent keeps.
#[derive(Debug, Clone, Copy)]
pub struct Power {
    /// Its name, as capabilities(7) has it.
    pub name: &'static str,
    /// What the agent does by it.
    pub why: &'static str,
    /// What fails without it.
    pub without: &'static str,
    /// When it is kept.
    pub when: When,
    bit: CapabilitySet,
}

/// When a capability is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// With `--listen tcp://…` at a port below 1024.
    LowPort,
}

/// All of them. The table in `docs/security.md` is the same; a test compares the two.
pub const POWERS: [Power; 6] = [
    Power {
        name: "CAP_SYS_ADMIN",
        why: "to make network namespaces, mount them under their names and enter those of pods",
        without: "`unshare`, `mount` and `setns` are refused: no panel, no way into a pod",
        when: When::Always,
        bit: CapabilitySet::SYS_ADMIN,
    },
    Power {
        name: "CAP_NET_ADMIN",
        why: "to make and change links, bridges, addresses, routes and filters in panels and pods",
        without: "every change by netlink is refused",
        when: When::Always,
        bit: CapabilitySet::NET_ADMIN,
    },
    Power {
        name: "CAP_NET_BROADCAST",
        why: "to hear of changes in all namespaces by one socket (NETLINK_LISTEN_ALL_NSID)",
        without: "the agent does not start: what others change would not be heard of",
        when: When::Always,
        bit: CapabilitySet::NET_BROADCAST,
    },
    Power {
        name: "CAP_NET_RAW",
        why: "to capture and to send frames at the ports of a panel (packet sockets)",
        without: "no capture, no check of a link by a frame",
        when: When::Always,
        bit: CapabilitySet::NET_RAW,
    },
    Power {
        name: "CAP_SYS_PTRACE",
        why: "to open /proc/PID/ns/net of a pod's process, and to ask process 1 what the node sees",
        without: "namespaces that only a process names cannot be opened: `Permission denied`",
        when: When::Always,
        bit: CapabilitySet::SYS_PTRACE,
    },
    Power {
        name: "CAP_NET_BIND_SERVICE",
        why: "to listen on a TCP port below 1024",
        without: "`--listen tcp://…` at such a port is refused",
        when: When::LowPort,
        bit: CapabilitySet::NET_BIND_SERVICE,
    },
];

/// Why the agent does not have the capabilities that it is to have.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// It was not given what it needs.
    #[error(
        "the agent was not given what it needs: {}: run it as root, in Kubernetes with `privileged: true`, elsewhere \
         with these capabilities added",
        .0.iter().map(Power::told).collect::<Vec<_>>().join("; ")
    )]
    Missing(Vec<Power>),
    /// Capabilities belong to threads: what others have could not be taken from them.
    #[error("{0} threads run before the capabilities are dropped: this is a bug")]
    Threads(usize),
    /// The kernel refused.
    #[error("cannot {0}")]
    Refused(&'static str, #[source] io::Errno),
    /// The kernel said yes and did something else.
    #[error("capabilities {0:#x} are still there after they were dropped: is a security module in the way?")]
    Kept(u64),
}

impl Power {
    fn told(&self) -> String {
        format!("{} is missing, {} (without it {})", self.name, self.why, self.without)
    }

    /// Whether an agent with these settings needs it.
    pub fn needed(&self, config: &Config) -> bool {
        match self.when {
            When::Always => true,
            When::LowPort => {
                let low = |endpoint: &Endpoint| matches!(endpoint, Endpoint::Tcp(at) if (1..1024).contains(&at.port()));
                config.listen.iter().any(low)
                    || config.metrics.listen.is_some_and(|address| low(&Endpoint::Tcp(address)))
            }
        }
    }
}

/// Drops every capability but those of [`POWERS`] that the settings need from all sets of the process, and the right to
/// gain others by an exec. Call it while the process has one thread: later ones inherit what is left.
///
/// # Errors
///
/// One that is needed is missing, there are other threads, or the kernel refuses.
pub fn keep_needed(config: &Config) -> Result<(), PowerError> {
    let refused = |what| move |errno| PowerError::Refused(what, errno);
    let needed: Vec<Power> = POWERS.into_iter().filter(|power| power.needed(config)).collect();
    let held = capabilities(None).map_err(refused("read the capabilities"))?.permitted;
    let missing: Vec<Power> = needed.iter().filter(|power| !held.contains(power.bit)).copied().collect();
    if !missing.is_empty() {
        return Err(PowerError::Missing(missing));
    }
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(PowerError::Threads(threads));
    }
    let keep = needed.iter().fold(CapabilitySet::empty(), |all, power| all | power.bit);
    // First: it needs CAP_SETPCAP, which goes below.
    let bound = shrink_bounding_set(keep)?;
    clear_ambient_capability_set().map_err(refused("clear the ambient capabilities"))?;
    let wanted = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    set_capabilities(None, wanted).map_err(refused("drop capabilities"))?;
    set_no_new_privs(true).map_err(refused("set no_new_privs"))?;
    let left = capabilities(None).map_err(refused("read the capabilities"))?;
    if left != wanted {
        return Err(PowerError::Kept((left.permitted | left.effective | left.inheritable).bits() & !keep.bits()));
    }
    if !bound {
        tracing::warn!(
            "the bounding set is wider than it need be, since CAP_SETPCAP is missing: no_new_privs stands in"
        );
    }
    Ok(())
}

/// Takes all others out of the bounding set. False: they are in it and may not be taken out.
fn shrink_bounding_set(keep: CapabilitySet) -> Result<bool, PowerError> {
    let refused = |errno| PowerError::Refused("shrink the bounding set", errno);
    let mut shrunk = true;
    for number in 0..u64::BITS {
        let bit = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(bit) {
            Ok(true) if !keep.contains(bit) => match remove_capability_from_bounding_set(bit) {
                Ok(()) => {}
                Err(Errno::PERM) => shrunk = false,
                Err(errno) => return Err(refused(errno)),
            },
            Ok(_) => {}
            // Beyond the last one that this kernel knows.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(refused(errno)),
        }
    }
    Ok(shrunk)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn a_process_with_several_threads_is_left_as_it_is() {
        let config = Config::try_parse_from(["podwire-agent"]).unwrap();
        let before = capabilities(None).unwrap();
        // libtest has a thread for the test and one that waits for it. Where the tests lack capabilities, that is said first.
        let error = keep_needed(&config).unwrap_err();
        assert!(matches!(&error, PowerError::Threads(2..) | PowerError::Missing(_)), "{error}");
        assert_eq!(capabilities(None).unwrap(), before);
    }

    #[test]
    fn only_a_listener_on_a_low_port_needs_the_capability_for_it() {
        let needs = |listen: &str| {
            let config = Config::try_parse_from(["podwire-agent", "--listen", listen]).unwrap();
            POWERS.iter().any(|power| power.when == When::LowPort && power.needed(&config))
        };
        assert!(needs("tcp://0.0.0.0:1023") && needs("unix:///run/a.sock,tcp://[::1]:443"));
        let told = |listen: &str| {
            let config = Config::try_parse_from(["podwire-agent", "--metrics-listen", listen]).unwrap();
            POWERS.iter().any(|power| power.when == When::LowPort && power.needed(&config))
        };
        assert!(told("tcp://127.0.0.1:81") && !told("tcp://127.0.0.1:9464"));
        assert!(!needs("tcp://0.0.0.0:1024") && !needs("tcp://127.0.0.1:0") && !needs("unix:///run/a.sock"));
    }
}
