//! What is known of one topology.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{
    domain::{
        desired::Desired,
        intent::{Intent, NicKey, PodKey},
        observed::SandboxId,
        spec::InterfaceId,
        status::State,
    },
    kernel::Moment,
    panel::{
        converge::Outcome,
        fight::{Fights, Vain},
        glance::{Glances, Rumours, Unseen},
        view::TopologyView,
    },
};

/// Wait between a heal that failed as a whole and the next, at first.
const FIRST_RETRY: Duration = Duration::from_millis(500);

/// And at last.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// A topology of this node.
#[derive(Debug)]
pub(in crate::panel) struct Entry {
    /// What it shall be.
    pub intent: Arc<Intent>,
    /// What it was, while a change is under way: it keeps its claims until the change is certain.
    pub former: Option<Arc<Intent>>,
    /// A change is under way: `intent` is what was asked and is not certain yet.
    pub(super) under_way: bool,
    /// When the lease ends, on the clock of `boottime`.
    pub lease_ends: Option<Duration>,
    /// Why the last heal failed as a whole, and what that makes of it. `None`: it did not.
    pub trouble: Option<(State, String)>,
    /// Interfaces that the kernel refused, with its words.
    pub failures: BTreeMap<InterfaceId, String>,
    /// State of each interface and since when.
    pub states: BTreeMap<InterfaceId, (State, SystemTime)>,
    /// State of the whole and since when.
    pub state: (State, SystemTime),
    /// Its lease has ended and it is being deleted: too late to renew.
    pub ending: bool,
    /// What was published last.
    pub published: Option<Arc<TopologyView>>,
    /// When the last look at it began.
    pub looked_at: Moment,
    /// What somebody changes again and again.
    pub fights: Fights,
    /// When it is looked at again for that.
    pub alarm: Option<Duration>,
    /// Looks that found nothing to put right.
    pub vain: Vain,
    /// How long the heal that comes waits, as those before it failed as a whole; zero: the last one did not.
    pub failed: Duration,
    /// Whether each interface that is there was set up by its pod when it was last seen.
    pub ups: BTreeMap<NicKey, bool>,
    /// The sandbox of each pod that was there when it was last seen.
    pub sandboxes: BTreeMap<PodKey, SandboxId>,
    /// Indexes of the devices of the node that it used when it was last seen.
    pub parents: BTreeSet<u32>,
    /// Its devices.
    pub glances: Glances,
    /// The highest index that a bridge or a port had when it was last seen.
    pub highest: u32,
}

/// What a look at a part of a topology takes for given.
#[derive(Debug, Clone)]
pub(in crate::panel) struct Known {
    /// All that there is.
    pub desired: Arc<Desired>,
    /// The sandbox of each pod.
    pub sandboxes: BTreeMap<PodKey, SandboxId>,
    /// The highest index in the panel.
    pub highest: u32,
}

impl Entry {
    /// A topology of which nothing was seen yet.
    pub(in crate::panel) fn new(intent: Arc<Intent>) -> Self {
        Self {
            intent,
            former: None,
            under_way: false,
            lease_ends: None,
            trouble: None,
            failures: BTreeMap::new(),
            states: BTreeMap::new(),
            state: (State::Pending, SystemTime::now()),
            ending: false,
            published: None,
            looked_at: Moment::default(),
            fights: Fights::default(),
            alarm: None,
            vain: Vain::default(),
            failed: Duration::ZERO,
            ups: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            parents: BTreeSet::new(),
            glances: Glances::default(),
            highest: 0,
        }
    }

    /// What is known of it, where all of it was seen to be as it shall be and nothing speaks against that it is. `None`: it has to
    /// be looked at as a whole.
    pub(in crate::panel) fn known(&self) -> Option<Known> {
        let quiet = self.former.is_none()
            && self.state.0 == State::Ready
            && self.trouble.is_none()
            && self.failures.is_empty()
            && self.failed == Duration::ZERO
            && !self.fights.are_on();
        let published = self.published.as_ref().filter(|published| published.intent == self.intent);
        let desired = Arc::clone(&published.filter(|_| quiet)?.desired);
        if self.glances.are_old(&desired) {
            return None;
        }
        Some(Known { desired, sandboxes: self.sandboxes.clone(), highest: self.highest })
    }

    /// What of it is to be looked at for what was heard.
    pub(in crate::panel) fn unseen(&self, rumours: &Rumours) -> Unseen {
        rumours.unseen(&self.glances, self.looked_at)
    }

    /// Whether a pod of it came, went or has another sandbox since the last look: what its end took along is no damage.
    pub(in crate::panel) fn restarted(&self, outcome: &Outcome) -> bool {
        self.sandboxes != outcome.sandboxes()
    }

    /// Whether there may still be something of what it was: at an interface that failed.
    pub(in crate::panel) fn keeps_former(&self, outcome: &Outcome) -> bool {
        let mut failed = outcome.failures.iter().flatten().map(|(id, _)| id);
        self.former.as_ref().is_some_and(|former| failed.any(|id| former.assigned.contains_key(id)))
    }

    /// The NICs that it has or had.
    pub(in crate::panel) fn known_nics(&self) -> BTreeSet<NicKey> {
        let intents = [Some(&self.intent), self.former.as_ref()].into_iter().flatten();
        intents.flat_map(|intent| intent.nics()).cloned().collect()
    }

    /// Notes that a heal failed as a whole, and says how long to wait with the next one.
    pub(in crate::panel) fn heal_failed(&mut self) -> Duration {
        self.failed = (self.failed * 2).clamp(FIRST_RETRY, LAST_RETRY);
        self.failed
    }

    /// Interfaces that their pods have set up or down since the last look.
    pub(in crate::panel) fn flapped(&self, outcome: &Outcome) -> BTreeSet<NicKey> {
        let now = outcome.ups();
        let before = self.ups.iter().filter(|(nic, up)| now.get(*nic).is_some_and(|now| now != *up));
        before.map(|(nic, _)| nic.clone()).collect()
    }
}
