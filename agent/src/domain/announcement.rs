//! Sandboxes that the CNI plugin tells of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{
    name::{Namespace, PodName, PodUid},
    observed::SandboxId,
};

/// A sandbox as the CNI plugin tells of it: the container runtime does not list it before CNI ADD has returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnnouncedSandbox {
    /// Kubernetes namespace of its pod: `K8S_POD_NAMESPACE` of `CNI_ARGS`.
    pub namespace: Namespace,
    /// Name of its pod: `K8S_POD_NAME`.
    pub pod: PodName,
    /// UID of its pod: `K8S_POD_UID`, which old runtimes do not give.
    pub uid: Option<PodUid>,
    /// The runtime's id of it: `CNI_CONTAINERID`.
    pub sandbox_id: SandboxId,
    /// Path of its network namespace as the agent sees it: `CNI_NETNS`. It comes from outside: nobody has checked what is
    /// there.
    pub netns_path: PathBuf,
}

/// A sandbox at whose path a network namespace was found: what is stored of it, for the next run of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// It.
    pub sandbox: AnnouncedSandbox,
    /// Cookie of the namespace (`SO_NETNS_COOKIE`): the same path may lead to another one later.
    pub cookie: u64,
    /// Boot id of the node: cookies begin anew with each boot.
    pub boot_id: String,
    /// When it was announced: nanoseconds since 1970.
    pub at: i64,
}
