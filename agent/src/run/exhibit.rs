//! What metrics say: what was counted meanwhile, and what there is when somebody asks.

use std::{fs, time::SystemTime};

use nix::{
    sys::resource::{Resource, getrlimit},
    unistd::{SysconfVar, sysconf},
};
use prometheus_client::{encoding::text::encode, registry::Registry};

use crate::{
    domain::{observed::Counters, status::State},
    metrics::{Flow, Metrics},
    panel::{Engine, TopologyView},
};

/// All states, and their names.
const STATES: [(State, &str); 4] =
    [(State::Ready, "ready"), (State::Degraded, "degraded"), (State::Pending, "pending"), (State::Failed, "failed")];

/// What is shown.
pub(super) struct Exhibit {
    engine: Engine,
    metrics: Metrics,
    registry: Registry,
    /// How many interfaces have counters of their own.
    interfaces: usize,
}

impl Exhibit {
    /// What an engine and all around it count, with counters of so many interfaces.
    pub(super) fn new(engine: &Engine, interfaces: usize) -> Self {
        let metrics = engine.metrics().clone();
        let registry = metrics.registry();
        let started = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        metrics.node.started.set(started.as_secs_f64());
        Self { engine: engine.clone(), metrics, registry, interfaces }
    }

    /// All of it as text.
    pub(super) async fn text(&self) -> String {
        if self.interfaces > 0 {
            self.look().await;
        }
        self.count();
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            // Writing to a string does not fail.
            text.clear();
        }
        text
    }

    fn count(&self) {
        let (node, census) = (&self.metrics.node, self.engine.census());
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (state, name) in STATES {
            let of =
                |counts: &std::collections::BTreeMap<State, usize>| number(counts.get(&state).copied().unwrap_or(0));
            node.topologies.get_or_create(&[("state", name)]).set(of(&census.topologies));
            node.interfaces.get_or_create(&[("state", name)]).set(of(&census.interfaces));
        }
        node.topologies_limit.set(number(self.engine.node().max_topologies));
        node.fights.set(number(census.fights));
        node.heals_waiting.set(number(census.heals_waiting));
        node.captures.set(number(census.captures));
        node.watchers.set(number(census.watchers));
        node.watch_lag.set(i64::try_from(census.watch_lag).unwrap_or(i64::MAX));
        node.takes_changes.set(self.engine.takes_changes().is_ok().into());
        node.pods_known.set(census.pods_known.into());
        self.metrics.work.tell_events(census.events);
        node.descriptors.set(fs::read_dir("/proc/self/fd").map_or(0, |all| number(all.count())));
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(soft, _)| soft);
        node.descriptors_limit.set(i64::try_from(limit).unwrap_or(i64::MAX));
        node.memory.set(resident().unwrap_or_default());
    }

    /// Looks at the first topologies, for the counters of their interfaces.
    async fn look(&self) {
        let (keys, left_out) = self.engine.first(self.interfaces);
        // Together: of those on which the agent works all are waited for no longer than one is.
        let views = self.engine.look_at(&keys).await;
        self.metrics.node.set_flows(views.iter().flat_map(flows_of).collect(), left_out);
    }
}

fn flows_of(view: &TopologyView) -> impl Iterator<Item = Flow> {
    let key = view.key();
    view.ports.iter().map(|(id, port)| {
        let Counters { rx_frames, rx_bytes, rx_dropped, tx_frames, tx_bytes, tx_dropped, .. } = port.counters;
        Flow {
            interface: [key.namespace.to_string(), key.name.to_string(), id.to_string()],
            // What comes in at the port was sent by the interface.
            counters: [rx_frames, rx_bytes, rx_dropped, tx_frames, tx_bytes, tx_dropped],
        }
    })
}

/// Bytes, by the second number of /proc/self/statm: see proc_pid_statm(5).
fn resident() -> Option<i64> {
    let statm = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(sysconf(SysconfVar::PAGE_SIZE).ok()??))
}
