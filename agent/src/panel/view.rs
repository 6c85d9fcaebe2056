//! What a topology is now, for rendering.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use crate::domain::{
    desired::Desired,
    intent::Intent,
    name::TopologyKey,
    spec::InterfaceId,
    status::{InterfaceStatus, PortStatus, State},
};

/// A topology with what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopologyView {
    /// What it shall be.
    pub intent: Arc<Intent>,
    /// The devices that follow from it: effective MACs, MTUs and addresses.
    pub desired: Arc<Desired>,
    /// What was seen, for every interface.
    pub interfaces: BTreeMap<InterfaceId, InterfaceStatus>,
    /// What the ports of interfaces do, where they are there. No news by itself.
    pub ports: BTreeMap<InterfaceId, PortStatus>,
    /// When its state last changed.
    pub since: SystemTime,
    /// When its lease ends; `None`: there is none.
    pub lease_expires: Option<SystemTime>,
    /// File name of its panel in the netns directory.
    pub panel: String,
    /// Why it could not be looked at or healed as a whole, and what that makes of it; its interfaces are then as they were
    /// seen last. `None`: that it could.
    pub trouble: Option<(State, String)>,
}

impl TopologyView {
    /// Its key.
    pub fn key(&self) -> &TopologyKey {
        self.intent.key()
    }

    /// The worst state of its interfaces, or of the whole where that is in trouble; READY where it has none.
    pub fn state(&self) -> State {
        let whole = self.trouble.as_ref().map(|(state, _)| *state);
        self.interfaces.values().map(|seen| seen.state).chain(whole).max().unwrap_or(State::Ready)
    }

    /// Why it is not READY: why the whole is not, or each interface once.
    pub fn reasons(&self) -> String {
        if let Some((_, trouble)) = &self.trouble {
            return trouble.clone();
        }
        let waiting = self.interfaces.iter().filter(|(_, s)| s.state != State::Ready);
        waiting.map(|(id, s)| format!("{id}: {}", s.reason)).collect::<Vec<_>>().join("; ")
    }

    /// Whether two views say the same; that a lease runs is no news.
    pub(super) fn shows_the_same(&self, other: &Self) -> bool {
        self.intent == other.intent && self.interfaces == other.interfaces && self.trouble == other.trouble
    }
}
