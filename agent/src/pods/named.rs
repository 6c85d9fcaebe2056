//! Pods of a bare host: named network namespaces.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    domain::{
        device::{PANEL_PREFIX, PARKED_PREFIX, RETIRED_PREFIX},
        intent::PodKey,
        name::Namespace,
        spec::{NetnsRef, PodOwner},
    },
    kernel::{Netns, NetnsDir, PodDoor},
};

use super::{
    Pod, PodChanges, Pods, PodsError, Wanted,
    door::{self, Way, refused},
    watch,
};

const KIND: &str = "netns";

/// Pod `bb1` of every Kubernetes namespace is the network namespace `bb1` of the netns directory.
#[derive(Debug, Clone)]
pub struct NamedPods {
    dir: NetnsDir,
}

impl NamedPods {
    /// Pods in this directory.
    pub fn new(dir: NetnsDir) -> Self {
        Self { dir }
    }

    /// Whether a name of the directory may be a pod's: panels are not.
    pub fn may_be_pod(name: &str) -> bool {
        ![PANEL_PREFIX, RETIRED_PREFIX, PARKED_PREFIX].iter().any(|prefix| name.starts_with(prefix))
    }

    fn path(&self, owner: &PodOwner) -> PathBuf {
        match owner {
            PodOwner::Pod(name) => self.dir.path(name.as_str()),
            PodOwner::Netns(NetnsRef::Name(name)) => self.dir.path(name),
            PodOwner::Netns(NetnsRef::Process(pid)) => PathBuf::from(format!("/proc/{pid}/ns/net")),
        }
    }

    fn way(&self, wanted: &Wanted) -> Way {
        let name = match &wanted.owner {
            PodOwner::Pod(name) => name.as_str(),
            PodOwner::Netns(NetnsRef::Name(name)) => name,
            PodOwner::Netns(NetnsRef::Process(_)) => "",
        };
        if !Self::may_be_pod(name) {
            return Way::Told(refused("PANEL", format!("`{name}` is a panel of podwire, not a pod")));
        }
        if let Some(uid) = &wanted.uid {
            let message = format!("uid {uid} was asked for, and a named network namespace has none: leave it out");
            return Way::Told(refused("UID_MISMATCH", message));
        }
        // A process that is gone never comes back as the same one.
        let absent: Box<dyn FnOnce(String) -> PodDoor> = match wanted.owner {
            PodOwner::Netns(NetnsRef::Process(_)) => Box::new(|reason| refused("NO_SUCH_PROCESS", reason)),
            _ => Box::new(|reason| PodDoor::Absent(format!("{reason} yet"))),
        };
        Way::Path { path: self.path(&wanted.owner), id: KIND.to_owned(), absent }
    }
}

impl Pods for NamedPods {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn key(&self, _: &Namespace, owner: &PodOwner) -> PodKey {
        match owner {
            PodOwner::Pod(name) => PodKey::new(name.as_str()),
            PodOwner::Netns(NetnsRef::Name(name)) => PodKey::new(name.as_str()),
            PodOwner::Netns(NetnsRef::Process(_)) => PodKey::new(owner.to_string()),
        }
    }

    fn find(&self, wanted: &[Wanted]) -> Result<BTreeMap<PodKey, PodDoor>, PodsError> {
        let doors = door::open_all(wanted.iter().map(|wanted| self.way(wanted)).collect())?;
        let keys = wanted.iter().map(|wanted| self.key(&wanted.namespace, &wanted.owner));
        Ok(keys.zip(doors).collect())
    }

    fn list(&self) -> Result<Vec<Pod>, PodsError> {
        let names = self.dir.names()?.into_iter().filter(|name| Self::may_be_pod(name));
        let pods = names.map(|name| {
            let netns_path = self.dir.path(&name);
            let (sandbox, problem) = match Netns::open(&netns_path) {
                Ok(netns) => (Some(door::identity(KIND, netns.cookie())), None),
                Err(error) => (None, Some(error.to_string())),
            };
            Pod { namespace: None, name, uid: None, sandbox, netns_path, problem }
        });
        Ok(pods.collect())
    }

    fn changes(&self) -> Result<PodChanges, PodsError> {
        watch::changes(&self.dir)
    }
}
