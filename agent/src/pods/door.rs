//! The way into a pod's namespace, whatever told its path.

use std::path::{Path, PathBuf};

use crate::{
    domain::{
        intent::PodKey,
        name::PodUid,
        observed::{Refusal, SandboxId},
    },
    kernel::{Netns, NetnsError, PodDoor},
};

use super::PodsError;

/// What is known of the way into a pod before it is tried.
pub(super) enum Way {
    /// There is none, and this is why.
    Told(PodDoor),
    /// Its namespace is at a path.
    Path {
        path: PathBuf,
        /// The identity of the sandbox is this with the namespace's cookie.
        id: String,
        /// What is to be said where nothing is there.
        absent: Box<dyn FnOnce(String) -> PodDoor>,
    },
}

impl Way {
    /// To the namespace at a path.
    pub(super) fn to(path: &Path, id: &str) -> Self {
        Self::Path { path: path.to_owned(), id: id.to_owned(), absent: Box::new(PodDoor::Absent) }
    }
}

/// Tries ways, all together: to enter a namespace takes a turn of a thread.
pub(super) fn open_all(ways: Vec<Way>) -> Result<Vec<PodDoor>, PodsError> {
    let path = |way: &Way| match way {
        Way::Path { path, .. } => Some(path.clone()),
        Way::Told(_) => None,
    };
    let paths: Vec<PathBuf> = ways.iter().filter_map(path).collect();
    let mut opened = Netns::open_all(&paths)?.into_iter();
    let open = |way| match way {
        Way::Told(door) => Ok(door),
        Way::Path { path, id, absent } => {
            let opened = opened.next().unwrap_or_else(|| Err(NetnsError::Absent(path.display().to_string())));
            door(&id, absent, opened)
        }
    };
    ways.into_iter().map(open).collect()
}

/// Tries one.
pub(super) fn open(way: Way) -> Result<PodDoor, PodsError> {
    match way {
        Way::Told(door) => Ok(door),
        Way::Path { path, id, absent } => door(&id, absent, Netns::open(&path)),
    }
}

fn door(
    id: &str,
    absent: impl FnOnce(String) -> PodDoor,
    opened: Result<Netns, NetnsError>,
) -> Result<PodDoor, PodsError> {
    Ok(match opened {
        Ok(netns) => {
            let sandbox = identity(id, netns.cookie());
            PodDoor::Open(netns, sandbox)
        }
        Err(error @ NetnsError::Absent(_)) => absent(error.to_string()),
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
