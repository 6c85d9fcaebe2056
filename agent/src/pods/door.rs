//! The way into a pod's namespace, whatever told its path.

use std::path::Path;

use crate::{
    domain::{
        intent::PodKey,
        name::PodUid,
        observed::{Refusal, SandboxId},
    },
    kernel::{Netns, NetnsError, PodDoor},
};

use super::PodsError;

/// Opens the namespace at a path. The identity of the sandbox is `id` with the namespace's cookie.
pub(super) fn open(path: &Path, id: &str) -> Result<PodDoor, PodsError> {
    Ok(match Netns::open(path) {
        Ok(netns) => {
            let sandbox = identity(id, netns.cookie());
            PodDoor::Open(netns, sandbox)
        }
        Err(error @ NetnsError::Absent(_)) => PodDoor::Absent(error.to_string()),
        Err(error @ NetnsError::NotNetns { .. }) => refused("NOT_A_NETNS", error.to_string()),
        Err(error @ NetnsError::Own(_)) => refused("HOST_NETWORK", error.to_string()),
        // Of the agent and not of this pod: everybody would fail.
        Err(NetnsError::Kernel(error)) if error.is_exhausted() => return Err(error.into()),
        Err(NetnsError::Kernel(error)) => refused("NETNS_UNREADABLE", error.to_string()),
    })
}

pub(super) fn identity(id: &str, cookie: u64) -> SandboxId {
    SandboxId::new(format!("{id}-{cookie:x}"))
}

/// What a door says of its pod: its sandbox, or why it cannot be plugged.
pub(super) fn told(door: PodDoor) -> (Option<SandboxId>, Option<String>) {
    match door {
        PodDoor::Open(_, sandbox) => (Some(sandbox), None),
        PodDoor::Absent(reason) => (None, Some(reason)),
        PodDoor::Refused(refusal) => (None, Some(refusal.message)),
    }
}

/// Refuses a pod that is not known to be the incarnation which was asked for.
pub(super) fn another_incarnation(pod: &PodKey, wanted: Option<&PodUid>, seen: Option<&PodUid>) -> Option<PodDoor> {
    let wanted = wanted.filter(|wanted| Some(*wanted) != seen)?;
    let message = match seen {
        Some(seen) => format!(
            "uid {wanted} was asked for, and pod {pod} has uid {seen} now: it was made anew; apply the topology with the \
             new uid, or without any"
        ),
        None => format!("uid {wanted} was asked for, and nobody has told the uid of pod {pod} so far"),
    };
    Some(refused("UID_MISMATCH", message))
}

pub(super) fn refused(reason: &'static str, message: String) -> PodDoor {
    PodDoor::Refused(Refusal { reason, message })
}
