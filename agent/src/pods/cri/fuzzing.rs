//! Ways in for `tests/fuzz`: what a container runtime says.

use std::{collections::HashMap, path::PathBuf};

use podwire_proto::cri::PodSandbox;

use crate::domain::{intent::PodKey, observed::SandboxId};

use super::{info, sandbox::Sandbox};

/// The path of a sandbox' network namespace from `PodSandboxStatusResponse.info`; `None`: it has none or does not say.
#[allow(clippy::implicit_hasher, reason = "prost has the default one")]
pub fn netns_path(info: &HashMap<String, String>) -> Option<PathBuf> {
    match info::place(info) {
        info::Place::Netns(path) => Some(path),
        info::Place::Host | info::Place::Untold(_) => None,
    }
}

/// A sandbox of `ListPodSandbox` with its pod; `None`: it is none of a pod's.
pub fn sandbox(listed: &PodSandbox) -> Option<(SandboxId, PodKey)> {
    let sandbox = Sandbox::parse(listed)?;
    Some((SandboxId::new(sandbox.id.as_str()), sandbox.key()))
}
