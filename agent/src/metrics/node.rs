//! What there is. Nobody keeps it up to date: it is written when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::{
    encoding::EncodeLabelValue,
    metrics::{counter::Counter, family::Family, gauge::Gauge, info::Info},
    registry::Registry,
};

use super::instrument::Gauges;

/// What there is on the node.
#[derive(Debug, Default)]
pub struct Node {
    /// Topologies by state.
    pub(crate) topologies: Gauges<1>,
    /// How many there may be.
    pub(crate) topologies_limit: Gauge,
    /// Interfaces by state.
    pub(crate) interfaces: Gauges<1>,
    /// Topologies about which somebody fights.
    pub(crate) fights: Gauge,
    /// Topologies that wait for a heal.
    pub(crate) heals_waiting: Gauge,
    /// Captures that run.
    pub(crate) captures: Gauge,
    /// Watchers.
    pub(crate) watchers: Gauge,
    /// Events that the slowest watcher has not got.
    pub(crate) watch_lag: Gauge,
    /// Whether changes are taken.
    pub(crate) takes_changes: Gauge,
    /// Whether all pods of the node are known.
    pub(crate) pods_known: Gauge,
    /// Descriptors that the agent has open.
    pub(crate) descriptors: Gauge,
    /// How many it may have.
    pub(crate) descriptors_limit: Gauge,
    /// Bytes of memory.
    pub(crate) memory: Gauge,
    /// When the agent started, in seconds since 1970.
    pub(crate) started: Gauge<f64, AtomicU64>,
    left_out: Gauge,
    counters: [Family<InterfaceLabels, Counter>; FLOWS.len()],
}

/// The topology of an interface, and the interface in it. Their number is limited by a setting.
type InterfaceLabels = [(&'static str, Text); 3];

/// A label's value that somebody else chose.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Text(String);

impl EncodeLabelValue for Text {
    fn encode(&self, encoder: &mut prometheus_client::encoding::LabelValueEncoder) -> Result<(), std::fmt::Error> {
        self.0.as_str().encode(encoder)
    }
}

/// Counters of one interface: name and meaning. `sent` and `received` are its pod's.
const FLOWS: [(&str, &str); 6] = [
    ("interface_sent_frames", "Frames that an interface sent"),
    ("interface_sent_bytes", "Bytes that an interface sent"),
    ("interface_sent_frames_dropped", "Frames that an interface sent and that were dropped at its port"),
    ("interface_received_frames", "Frames that went to an interface"),
    ("interface_received_bytes", "Bytes that went to an interface"),
    ("interface_received_frames_dropped", "Frames to an interface that were dropped, in its queue or behind it"),
];

/// What came and went at an interface, in the order of its counters' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Namespace and name of the topology, and the interface.
    pub(crate) interface: [String; 3],
    /// Sent frames, bytes and drops, received ones.
    pub(crate) counters: [u64; FLOWS.len()],
}

impl Node {
    /// Writes the counters of interfaces in the place of those before them. So many were left out.
    pub(crate) fn set_flows(&self, flows: Vec<Flow>, left_out: usize) {
        self.left_out.set(i64::try_from(left_out).unwrap_or(i64::MAX));
        for family in &self.counters {
            family.clear();
        }
        for Flow { interface: [namespace, topology, interface], counters } in flows {
            let labels = [("namespace", Text(namespace)), ("topology", Text(topology)), ("interface", Text(interface))];
            for (family, value) in self.counters.iter().zip(counters) {
                family.get_or_create(&labels).inner().store(value, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("build", "The agent's version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("start_timestamp_seconds", "When the agent started, since 1970", self.started.clone());
        let gauges = [
            ("topologies_limit", "How many topologies there may be", &self.topologies_limit),
            ("fights", "Topologies of which somebody keeps changing something that the agent puts right", &self.fights),
            ("heals_waiting", "Topologies that wait for a heal", &self.heals_waiting),
            ("captures", "Captures that run", &self.captures),
            ("watchers", "Streams of WatchTopologies", &self.watchers),
            ("watch_lag_events", "Events that the slowest watcher has not got yet", &self.watch_lag),
            (
                "takes_changes",
                "1: changes are taken; 0: the store cannot be read, see `podwire-agent recover`",
                &self.takes_changes,
            ),
            (
                "pods_known",
                "1: all pods of the node are known; 0: the container runtime does not answer, or has not told yet where a sandbox has its network",
                &self.pods_known,
            ),
            ("open_descriptors", "Descriptors that the agent has open", &self.descriptors),
            ("open_descriptors_limit", "Descriptors that the agent may have open", &self.descriptors_limit),
            ("resident_memory_bytes", "Memory that the agent has", &self.memory),
            (
                "interfaces_left_out",
                "Interfaces without counters here, since --metrics-interfaces is less than there are",
                &self.left_out,
            ),
        ];
        for (name, help, gauge) in gauges {
            registry.register(name, help, gauge.clone());
        }
        registry.register("topologies", "Topologies by the worst state in them", self.topologies.clone());
        registry.register("interfaces", "Interfaces, and uplinks of bridges, by state", self.interfaces.clone());
        for ((name, help), family) in FLOWS.into_iter().zip(&self.counters) {
            registry.register(name, help, family.clone());
        }
    }
}
