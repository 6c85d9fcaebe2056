//! What is done: converging, healing, storing, telling.

use std::{sync::atomic::Ordering, time::Duration};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use super::instrument::{Counters, Histograms, Under, effort, patience, timed};

/// A part of a converge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Pods are found and their namespaces opened.
    Find,
    /// The kernel is looked at.
    Look,
    /// What to do is computed.
    Plan,
    /// It is done.
    Execute,
    /// The kernel is looked at again, until nothing is left to do.
    Settle,
    /// The intent is stored, while the kernel works or before.
    Store,
}

impl Stage {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Find, "find"),
        (Self::Look, "look"),
        (Self::Plan, "plan"),
        (Self::Execute, "execute"),
        (Self::Settle, "settle"),
        (Self::Store, "store"),
    ];
}

/// What sets off heals.
const CAUSES: [&str; 6] = ["started", "appeared", "gone", "heard", "delete_failed", "again"];

/// What is done.
#[derive(Debug)]
pub struct Work {
    family: Histograms<1>,
    stages: [Histogram; Stage::ALL.len()],
    steps: Counters<1>,
    heals: Counters<2>,
    /// Heals that put right what somebody else had changed.
    pub(crate) repairs: Counter,
    changes: Gauge,
    waiting: Gauge,
    wait: Histogram,
    commit: Histogram,
    stored: Counter,
    /// Commits that failed.
    pub(crate) commits_failed: Counter,
    events: Counter,
    /// Watchers that were sent away since they read too slowly.
    pub(crate) sent_away: Counter,
}

impl Default for Work {
    fn default() -> Self {
        let family = Histograms::new_with_constructor(effort);
        let heals = Counters::default();
        for cause in CAUSES {
            for result in ["ok", "failed"] {
                drop(heals.get_or_create(&[("cause", cause), ("result", result)]));
            }
        }
        let stages = Stage::ALL.map(|(_, name)| family.get_or_create_owned(&[("stage", name)]));
        Self {
            family,
            stages,
            steps: Counters::default(),
            heals,
            repairs: Counter::default(),
            changes: Gauge::default(),
            waiting: Gauge::default(),
            wait: patience(),
            commit: effort(),
            stored: Counter::default(),
            commits_failed: Counter::default(),
            events: Counter::default(),
            sent_away: Counter::default(),
        }
    }
}

impl Work {
    /// Does a part of a converge and measures it.
    pub(crate) fn stage<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        timed(self.histogram(stage), work)
    }

    fn histogram(&self, stage: Stage) -> &Histogram {
        // In the order of their declaration, as in `Stage::ALL`.
        &self.stages[stage as usize]
    }

    /// Steps of this action were taken.
    pub(crate) fn stepped(&self, action: &'static str) {
        self.steps.get_or_create(&[("action", action)]).inc();
    }

    /// A heal has ended.
    pub(crate) fn healed(&self, cause: &'static str, well: bool) {
        self.heals.get_or_create(&[("cause", cause), ("result", if well { "ok" } else { "failed" })]).inc();
    }

    /// A change is under way until this is dropped.
    pub(crate) fn change(&self) -> Under {
        Under::begin(&self.changes)
    }

    /// Somebody waits for the turn of a topology until this is dropped.
    pub(crate) fn wait(&self) -> Under {
        Under::begin(&self.waiting)
    }

    /// Somebody got the turn of a topology after this time.
    pub(crate) fn waited(&self, took: Duration) {
        self.wait.observe(took.as_secs_f64());
    }

    /// Does a commit of so many changes and measures it.
    pub(crate) fn commit<T, E>(&self, changes: usize, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.stored.inc_by(changes as u64);
        timed(&self.commit, work).inspect_err(|_| {
            self.commits_failed.inc();
        })
    }

    /// So many events were told so far.
    pub(crate) fn tell_events(&self, count: u64) {
        self.events.inner().store(count, Ordering::Relaxed);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("converge_duration_seconds", "Parts of a converge", self.family.clone());
        registry.register("steps", "Steps that were taken in the kernel, by what they do", self.steps.clone());
        registry.register("heals", "Heals, by what set them off and how they ended", self.heals.clone());
        registry.register("repairs", "Heals that put right what somebody else had changed", self.repairs.clone());
        registry.register(
            "changes_under_way",
            "Changes that callers asked for and that are not done yet",
            self.changes.clone(),
        );
        registry.register(
            "turns_waiting",
            "Changes, heals and reads that wait for another one of the same topology",
            self.waiting.clone(),
        );
        registry.register(
            "turn_wait_seconds",
            "How long changes, heals and reads waited for another one of the same topology",
            self.wait.clone(),
        );
        registry.register("store_commit_duration_seconds", "Commits of the store, with fdatasync", self.commit.clone());
        registry.register(
            "store_changes",
            "Changes that were stored; those that wait share one commit",
            self.stored.clone(),
        );
        registry.register(
            "store_commits_failed",
            "Commits that failed: a full or a broken disk",
            self.commits_failed.clone(),
        );
        registry.register("events", "Events of topologies that were told to watchers", self.events.clone());
        registry.register(
            "watchers_sent_away",
            "Watchers that were sent away since they read too slowly",
            self.sent_away.clone(),
        );
    }
}
