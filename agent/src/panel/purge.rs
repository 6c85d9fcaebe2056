//! Takes everything of podwire's off a node. Blocking.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use crate::{
    causes::chain,
    domain::{
        adopt::{Fate, Left},
        device::panel_name,
        intent::Intent,
        name::TopologyKey,
    },
    kernel::{Kernel, NetnsDir},
    metrics::Metrics,
    pods::Pods,
    store::{Store, StoreError},
};

use super::{
    converge::{Converge, Means},
    found::{Found, LookError},
    recover::intents,
};

/// A purge: what a node has, and the parts to remove it with.
pub struct Purge<'a> {
    dir: NetnsDir,
    kernel: &'a dyn Kernel,
    pods: &'a dyn Pods,
    /// What the store knows of; none where it cannot be read.
    known: Vec<Arc<Intent>>,
}

/// What a purge would remove.
#[derive(Debug)]
pub struct Preview {
    /// The topologies of the store and of the kernel, with their interfaces.
    pub topologies: Vec<(TopologyKey, Vec<String>)>,
    /// Panels that were retired and are not taken down yet.
    pub retired: Vec<String>,
    /// What would stay, with the reasons.
    pub left: Vec<Left>,
    /// Network namespaces that podwire made: they are pods and stay.
    pub namespaces: Vec<PathBuf>,
}

/// What a purge came to.
#[derive(Debug)]
pub struct Purged {
    /// The topologies that are gone.
    pub removed: Vec<TopologyKey>,
    /// What stayed, with the reasons. Empty: nothing of podwire's is left in the kernel but its named namespaces.
    pub left: Vec<Left>,
    /// Network namespaces that podwire made: they are pods and stay.
    pub namespaces: Vec<PathBuf>,
}

impl<'a> Purge<'a> {
    /// A purge of the node. `store` is `None` where it cannot be read: what is ours is then proven by adoption.
    ///
    /// # Errors
    ///
    /// The store does not give its intents.
    pub fn new(
        dir: NetnsDir,
        kernel: &'a dyn Kernel,
        pods: &'a dyn Pods,
        store: Option<&dyn Store>,
    ) -> Result<Self, StoreError> {
        let known = store.map(intents).transpose()?.unwrap_or_default();
        Ok(Self { dir, kernel, pods, known })
    }

    /// Looks, and touches nothing.
    ///
    /// # Errors
    ///
    /// The node cannot be looked at.
    pub fn preview(&self) -> Result<Preview, LookError> {
        let found = Found::look(&self.dir, self.pods)?;
        let mut left = found.left.clone();
        let mut topologies = Vec::new();
        for key in self.keys(&found) {
            let adopted = found.adopt(&key, self.kernel, self.pods)?;
            let mut nics: BTreeSet<String> = adopted.former.nics().map(ToString::to_string).collect();
            let known = self.known.iter().filter(|intent| *intent.key() == key);
            nics.extend(known.flat_map(|intent| intent.nics()).map(ToString::to_string));
            left.extend(adopted.left.into_iter().filter(|left| left.fate == Fate::Stays));
            topologies.push((key, nics.into_iter().collect()));
        }
        left.extend(found.unknown_pods(self.pods));
        Ok(Preview { topologies, retired: found.retired, left, namespaces: found.namespaces })
    }

    /// The topologies of the store and those that are ours in the kernel.
    fn keys(&self, found: &Found) -> BTreeSet<TopologyKey> {
        found.keys().cloned().chain(self.known.iter().map(|intent| intent.key().clone())).collect()
    }

    /// Removes everything that is provably ours. One thing that cannot be removed does not keep the others.
    ///
    /// # Errors
    ///
    /// The node cannot be looked at.
    pub fn carry_out(&self) -> Result<Purged, LookError> {
        let before = self.keys(&Found::look(&self.dir, self.pods)?);
        let mut left = Vec::new();
        let mut failed = |what: String, error: &dyn std::error::Error| {
            left.push(Left { what, reason: chain(error), fate: Fate::Stays });
        };
        for intent in &self.known {
            let gone = Converge::prepare(
                intent.key(),
                None,
                Some(intent),
                &Means { kernel: self.kernel, pods: self.pods, metrics: &Metrics::default() },
            );
            if let Err(error) = gone.and_then(Converge::carry_out_what_can_be) {
                failed(format!("topology {}", intent.key()), &error);
            }
        }
        let found = Found::look(&self.dir, self.pods)?;
        for key in found.keys() {
            // A file that never became a mount is no panel for a converge.
            let removed = found.remove(key, self.kernel, self.pods).map(drop);
            if let Err(error) = removed {
                failed(format!("topology {key}"), &error);
            }
            if let Err(error) = self.dir.remove_leftover(&panel_name(key)) {
                failed(format!("file {}", panel_name(key)), &error);
            }
        }
        if let Err(error) = self.kernel.reap()
            && !error.is_gone()
        {
            failed("retired panels".to_owned(), &error);
        }
        let after = Found::look(&self.dir, self.pods)?;
        left.extend(after.left.iter().cloned());
        left.extend(after.unknown_pods(self.pods));
        for key in after.keys() {
            if after.has_panel(key) {
                let what = format!("panel {}", panel_name(key));
                left.push(Left { what, reason: "it is still there".to_owned(), fate: Fate::Stays });
            }
            left.extend(after.adopt(key, self.kernel, self.pods)?.left);
        }
        let stays = |name: &String| Left {
            what: format!("retired panel {name}"),
            reason: "it is still there".to_owned(),
            fate: Fate::Stays,
        };
        left.extend(after.retired.iter().map(stays));
        let removed = before.into_iter().filter(|key| !after.keys().any(|other| other == key)).collect();
        Ok(Purged { removed, left, namespaces: after.namespaces })
    }
}
