//! Where pods come from: settings of the agent and of its subcommands alike.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::pods::Source;

use super::{ConfigError, absolute};

/// Bytes of the longest path of a unix socket: `sun_path` of sys/un.h less the final zero.
const SOCKET_BYTES: usize = 107;

/// How pods are found.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[group(skip)]
pub struct PodSettings {
    /// How pods are found.
    #[arg(long, value_name = "SOURCE", env = "PODWIRE_PODS", value_enum, default_value_t = PodSource::Cri)]
    pub pods: PodSource,

    /// Socket of the container runtime, with --pods cri: an absolute path, `unix://` before it or not. Default: the first
    /// that answers of k3s' or RKE2's, CRI-O's, cri-dockerd's and containerd's. It need not be there yet.
    #[arg(long, value_name = "PATH", env = "PODWIRE_CRI_SOCKET", value_parser = socket)]
    pub cri_socket: Option<PathBuf>,
}

/// How pods are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PodSource {
    /// Pod `bb1` of a namespace is what the node's container runtime calls so, by Kubernetes' labels of its sandboxes.
    Cri,
    /// Pod `bb1` is the named network namespace `bb1` of --netns-dir.
    Netns,
    /// The CNI plugin podwire-cni announces them as they come, and they are kept in --state-dir. For runtimes that cannot be
    /// asked for their pods.
    Announced,
}

impl PodSettings {
    /// Checks that they go together.
    ///
    /// # Errors
    ///
    /// They do not.
    pub fn check(&self) -> Result<(), ConfigError> {
        match &self.cri_socket {
            Some(socket) if self.pods != PodSource::Cri => {
                Err(ConfigError::UnusedSocket { socket: socket.clone(), pods: self.pods })
            }
            _ => Ok(()),
        }
    }

    /// Where pods come from.
    pub fn source(&self) -> Source {
        match self.pods {
            PodSource::Cri => Source::Cri { socket: self.cri_socket.clone() },
            PodSource::Netns => Source::Netns,
            PodSource::Announced => Source::Announced,
        }
    }
}

impl std::fmt::Display for PodSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cri => "cri",
            Self::Netns => "netns",
            Self::Announced => "announced",
        })
    }
}

fn socket(text: &str) -> Result<PathBuf, String> {
    let path = absolute(text.strip_prefix("unix://").unwrap_or(text))?;
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_BYTES {
        return Err(format!("it has {bytes} bytes, a unix socket has at most {SOCKET_BYTES}"));
    }
    Ok(path)
}
