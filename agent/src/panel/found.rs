//! What is in the kernel, whether or not the store knows of it. Blocking.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    causes::chain,
    domain::{
        adopt::{Adopted, Fate, Left, adopt},
        device::{Mark, MarkError, panel_key, panel_name},
        intent::{Intent, NicKey, PodKey},
        name::{Namespace, TopologyKey},
        spec::{NetnsRef, PodOwner},
    },
    kernel::{Kernel, KernelError, NetnsDir, SightedKind, Sighting, SiteView, Survey, Surveyed, survey},
    metrics::Metrics,
    pods::{NETNS_DIRS, NamedPods, Pod, Pods, PodsError, Wanted},
    store::Record,
};

use super::{
    converge::{Converge, Means},
    error::ChangeError,
};

/// The node cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The kernel's words.
    #[error("the panels and the devices of the node cannot be looked at")]
    Kernel(#[from] KernelError),
    /// The source of pods does not answer.
    #[error(transparent)]
    Pods(#[from] PodsError),
}

impl LookError {
    fn about(self, key: &TopologyKey) -> ChangeError {
        match self {
            Self::Kernel(source) => ChangeError::Look { key: key.clone(), source: Box::new(source) },
            Self::Pods(error) => error.into(),
        }
    }
}

/// Everything in the kernel that carries podwire's signs.
#[derive(Debug, Default)]
pub struct Found {
    topologies: BTreeMap<TopologyKey, Signs>,
    devices: BTreeMap<u32, String>,
    /// In podwire's group and without any mark, by pod: perhaps the far end of something that was not finished.
    unmarked: Vec<(Home, Sighting)>,
    /// Panels that were retired and are not taken down yet.
    pub retired: Vec<String>,
    /// Named network namespaces that podwire made: they are pods.
    pub namespaces: Vec<PathBuf>,
    /// What cannot be part of any topology, with the reasons.
    pub left: Vec<Left>,
    /// Pods of which the source tells and that cannot be read: what is in them is not known.
    pub(super) unread: usize,
    /// Named network namespaces with podwire's signs in them that are no pod of which the source tells: their devices.
    strange: BTreeMap<PathBuf, Vec<String>>,
    /// Why the source may not tell of all pods.
    untold: Option<String>,
}

/// A pod, as the topologies of its namespace ask for it.
#[derive(Debug, Clone)]
struct Home {
    namespace: Option<Namespace>,
    owner: PodOwner,
    shown: String,
}

/// What was found of one topology.
#[derive(Debug, Default)]
struct Signs {
    panel: bool,
    /// Devices of its pods that are marked as its own.
    marked: Vec<(Home, Sighting)>,
}

impl Found {
    /// Looks at all panels and into all pods.
    ///
    /// # Errors
    ///
    /// The node cannot be looked at. A single pod that cannot be read is among what is left.
    pub fn look(dir: &NetnsDir, pods: &dyn Pods) -> Result<Self, LookError> {
        let listed = match pods.list() {
            // A node on which nothing was ever made.
            Err(PodsError::Kernel(error)) if error.is_gone() => Vec::new(),
            listed => listed?,
        };
        let mut paths: Vec<PathBuf> = listed.iter().map(|pod| pod.netns_path.clone()).collect();
        paths.extend(named_namespaces(dir));
        let Survey { panels, retired, mut places, devices } = survey(dir, &paths)?;
        let others = places.split_off(listed.len());
        let mut found = Self { devices, retired, untold: pods.unknown(), ..Self::default() };
        for panel in panels {
            match panel_key(&panel) {
                Ok(key) => found.topologies.entry(key).or_default().panel = true,
                Err(error) => found.leave(format!("namespace {panel}"), format!("it is no panel: {error}")),
            }
        }
        let mut cookies = BTreeSet::new();
        for (pod, place) in listed.iter().zip(places) {
            match place {
                Surveyed::Read { cookie, signed, sightings } => {
                    cookies.insert(cookie);
                    if signed {
                        found.namespaces.push(pod.netns_path.clone());
                    }
                    let home = Home::of(pod);
                    for sighting in sightings {
                        found.sort_in(&home, sighting);
                    }
                }
                Surveyed::None(_) => {}
                Surveyed::Unreadable(error) => {
                    found.unread += 1;
                    found.leave(pod.netns_path.display().to_string(), format!("it cannot be read: {}", chain(&error)));
                }
            }
        }
        for (path, place) in paths.into_iter().skip(listed.len()).zip(others) {
            if let Surveyed::Read { cookie, sightings, .. } = place
                && !sightings.is_empty()
                && cookies.insert(cookie)
            {
                found.strange.insert(path, sightings.into_iter().map(|sighting| sighting.name).collect());
            }
        }
        found.left.sort();
        Ok(found)
    }

    /// What is in network namespaces of which the source of pods does not tell. `None`: nothing that is known of.
    pub(super) fn unknown_pods(&self, pods: &dyn Pods) -> Option<Left> {
        let untold = self.untold.as_deref().filter(|_| !self.topologies.is_empty() || !self.strange.is_empty());
        if self.strange.is_empty() && untold.is_none() {
            return None;
        }
        let shown = self.strange.iter().map(|(path, devices)| format!("{} ({})", path.display(), devices.join(" ")));
        let shown = shown.collect::<Vec<_>>().join(", ");
        let what = match self.strange.len() {
            0 => "pods unknown".to_owned(),
            1 => format!("1 pod unknown: {shown}"),
            count => format!("{count} pods unknown: {shown}"),
        };
        let why = untold.map_or_else(|| "the source of pods does not tell of them".to_owned(), ToOwned::to_owned);
        let reason = format!(
            "with `--pods {}`: {why}; what has a port in a panel goes with it, DIRECT and macvlan interfaces stay until \
             those pods end: delete the pods, or look with a source that knows them, such as `--pods cri`",
            pods.kind()
        );
        Some(Left { what, reason, fate: Fate::Stays })
    }

    fn leave(&mut self, what: String, reason: String) {
        self.left.push(Left { what, reason, fate: Fate::Stays });
    }

    fn sort_in(&mut self, home: &Home, sighting: Sighting) {
        let what = format!("{}/{}", home.shown, sighting.name);
        let mut keys = BTreeSet::new();
        let mut unread = None;
        for mark in &sighting.marks {
            match mark.parse::<Mark>() {
                Ok(Mark { key, .. }) if home.is_of(&key.namespace) => {
                    keys.insert(key);
                }
                Ok(Mark { key, .. }) => {
                    unread =
                        Some(format!("it is marked as of topology {key}, which does not plug pods of its namespace"));
                }
                // Somebody else's altname on somebody else's device.
                Err(MarkError::Foreign | MarkError::Name(_)) if !sighting.ours => {}
                Err(error) => unread = Some(format!("its mark `{mark}` cannot be read: {error}")),
            }
        }
        if keys.is_empty() && sighting.ours && sighting.marks.is_empty() {
            let reason = "it is in podwire's device group and has no mark: it goes if a panel has its port or if its \
                          other end is marked, else it is not provably podwire's";
            self.leave(what, reason.to_owned());
            self.unmarked.push((home.clone(), sighting));
            return;
        }
        if keys.is_empty()
            && let Some(reason) = unread
        {
            self.leave(what, reason);
        }
        for key in keys {
            self.topologies.entry(key).or_default().marked.push((home.clone(), sighting.clone()));
        }
    }

    /// The topologies that are in the kernel.
    pub fn keys(&self) -> impl Iterator<Item = &TopologyKey> {
        self.topologies.keys()
    }

    /// Whether a topology has a panel, or something that was to become one.
    pub fn has_panel(&self, key: &TopologyKey) -> bool {
        self.topologies.get(key).is_some_and(|signs| signs.panel)
    }

    /// Makes an intent of a topology as it is now.
    ///
    /// # Errors
    ///
    /// The node cannot be looked at.
    pub fn adopt(&self, key: &TopologyKey, kernel: &dyn Kernel, pods: &dyn Pods) -> Result<Adopted, LookError> {
        self.adopt_seen(key, kernel, pods).map(|(adopted, _)| adopted)
    }

    /// The same, and whether all pods that have something of it could be looked into.
    fn adopt_seen(
        &self,
        key: &TopologyKey,
        kernel: &dyn Kernel,
        pods: &dyn Pods,
    ) -> Result<(Adopted, bool), LookError> {
        // Before the pods are looked for, as in a converge.
        let pods_known = pods.unknown().is_none();
        let none = Signs::default();
        let signs = self.topologies.get(key).unwrap_or(&none);
        let mut owners: BTreeMap<PodKey, PodOwner> = BTreeMap::new();
        let mut pod = |home: &Home| {
            let found = pods.key(&key.namespace, &home.owner);
            owners.entry(found.clone()).or_insert_with(|| home.owner.clone());
            found
        };
        let mut direct = BTreeSet::new();
        let mut devices = BTreeSet::new();
        for (home, sighting) in &signs.marked {
            let near = pod(home);
            match sighting.kind {
                SightedKind::Veth(Some(peer)) => {
                    for far in self.far_ends(signs, key, sighting.index, peer) {
                        let far = pod(far);
                        direct.insert((near.clone(), far.clone()));
                        direct.insert((far, near.clone()));
                    }
                }
                SightedKind::Macvlan(Some(parent)) => {
                    devices.extend(self.devices.get(&parent).and_then(|name| name.parse().ok()));
                }
                SightedKind::Veth(None) | SightedKind::Macvlan(None) | SightedKind::Other => {}
            }
        }
        let wanted = owners.values().map(|owner| (key.namespace.clone(), owner.clone()));
        let wanted: Vec<Wanted> = wanted.map(|(namespace, owner)| Wanted { namespace, owner, uid: None }).collect();
        let routes_of = owners.keys().cloned().collect();
        let view = SiteView {
            panel: panel_name(key),
            pods: pods.find(&wanted)?,
            routes_of,
            direct,
            checksums: true,
            devices,
            part: None,
        };
        let observed = kernel.open(view)?.observe()?;
        let all_seen = observed.pods.values().all(|pod| !pod.may_hide(pods_known));
        Ok((adopt(key, &observed, &owners), all_seen))
    }

    /// Where the other end of a pair may be: its index and its peer's are the two, crossed.
    fn far_ends<'a>(
        &'a self,
        signs: &'a Signs,
        key: &'a TopologyKey,
        index: u32,
        peer: u32,
    ) -> impl Iterator<Item = &'a Home> {
        let unmarked = self.unmarked.iter().filter(|(home, _)| home.is_of(&key.namespace));
        let all = signs.marked.iter().chain(unmarked);
        all.filter(move |(_, far)| far.index == peer && far.kind == SightedKind::Veth(Some(index)))
            .map(|(home, _)| home)
    }

    /// What is marked as a topology's and is none of the NICs that it knows: of a change that was cut off, or of an earlier
    /// topology of its name. `None`: there is nothing.
    ///
    /// # Errors
    ///
    /// The node cannot be looked at.
    pub(super) fn strays(
        &self,
        key: &TopologyKey,
        known: &BTreeSet<NicKey>,
        kernel: &dyn Kernel,
        pods: &dyn Pods,
    ) -> Result<Option<Intent>, ChangeError> {
        let Some(signs) = self.topologies.get(key) else { return Ok(None) };
        let nic = |home: &Home, sighting: &Sighting| {
            Some(NicKey { pod: pods.key(&key.namespace, &home.owner), name: sighting.name.parse().ok()? })
        };
        if signs.marked.iter().filter_map(|(home, sighting)| nic(home, sighting)).all(|nic| known.contains(&nic)) {
            return Ok(None);
        }
        let (Adopted { mut former, .. }, all_seen) =
            self.adopt_seen(key, kernel, pods).map_err(|error| error.about(key))?;
        if !all_seen {
            return Err(ChangeError::PodsUnknown(key.clone()));
        }
        // What is known has its own intent, and a pod may have added to it what is not to go.
        former.retain(|nic| !known.contains(nic));
        Ok((former.spec.elements() > 0).then_some(former))
    }

    /// All topologies of the kernel that have anything to adopt, as a store would have them.
    ///
    /// # Errors
    ///
    /// The node cannot be looked at.
    pub fn records(&self, kernel: &dyn Kernel, pods: &dyn Pods) -> Result<Vec<(TopologyKey, Record)>, LookError> {
        let mut records = Vec::new();
        for key in self.keys() {
            records.extend(record(self.adopt(key, kernel, pods)?));
        }
        Ok(records)
    }

    /// Removes a topology that nobody asked for: a converge to nothing from what was adopted. Its panel is retired; who
    /// calls has it taken down. What cannot be proven stays, and is returned.
    ///
    /// # Errors
    ///
    /// The node cannot be looked at, or a step fails.
    pub fn remove(&self, key: &TopologyKey, kernel: &dyn Kernel, pods: &dyn Pods) -> Result<Vec<Left>, ChangeError> {
        let (adopted, all_seen) = self.adopt_seen(key, kernel, pods).map_err(|error| error.about(key))?;
        let removed =
            Converge::prepare(key, None, Some(&adopted.former), &Means { kernel, pods, metrics: &Metrics::default() })?
                .carry_out_what_can_be()?;
        if !all_seen || !removed.former_is_gone {
            return Err(ChangeError::PodsUnknown(key.clone()));
        }
        Ok(adopted.left.into_iter().filter(|left| left.fate == Fate::Stays).collect())
    }
}

/// What a store keeps of an adopted topology. `None`: there is nothing to keep. What is ours and cannot be kept stands
/// beside it as what it was, so that the next converge removes it.
pub(super) fn record(adopted: Adopted) -> Option<(TopologyKey, Record)> {
    let Adopted { intent, former, .. } = adopted;
    if intent.spec.elements() == 0 {
        return None;
    }
    let former = (former != intent).then(|| Arc::new(former));
    Some((intent.key().clone(), Record::Live { intent: Arc::new(intent), former }))
}

/// The named network namespaces of the node that are no panels, whosever they are.
fn named_namespaces(dir: &NetnsDir) -> Vec<PathBuf> {
    let dirs = [dir.clone()].into_iter().chain(NETNS_DIRS.map(NetnsDir::new));
    // `/var/run` is a link to `/run` on most nodes. A directory that is not there has none.
    let dirs: BTreeSet<PathBuf> = dirs.filter_map(|dir| dir.dir().canonicalize().ok()).collect();
    let named = |dir: PathBuf| {
        let dir = NetnsDir::new(dir);
        let names = dir.names().unwrap_or_default().into_iter().filter(|name| NamedPods::may_be_pod(name));
        names.map(|name| dir.path(&name)).collect::<Vec<_>>()
    };
    dirs.into_iter().flat_map(named).collect()
}

impl Home {
    fn of(pod: &Pod) -> Self {
        let owner = match pod.name.parse() {
            Ok(name) => PodOwner::Pod(name),
            Err(_) => PodOwner::Netns(NetnsRef::Name(pod.name.clone())),
        };
        let shown = match &pod.namespace {
            Some(namespace) => format!("{namespace}/{}", pod.name),
            None => pod.name.clone(),
        };
        Self { namespace: pod.namespace.clone(), owner, shown }
    }

    /// Whether topologies of a namespace may plug it.
    fn is_of(&self, namespace: &Namespace) -> bool {
        self.namespace.as_ref().is_none_or(|own| own == namespace)
    }
}
