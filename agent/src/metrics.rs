//! What is counted and measured. It knows no room, so that every room may use it; one value is handed to those that do, and
//! there is no global one. Without a listener for it all of it is counted all the same: an atomic addition each.
//!
//! A label has one of few values that the agent knows, never what a caller wrote. The exception are the counters of single
//! interfaces, of which the operator says how many there may be.

mod calls;
mod door;
mod instrument;
mod kernel;
mod node;
mod work;

use std::{ops::Deref, sync::Arc};

use prometheus_client::registry::Registry;

pub use self::{calls::Calls, door::Door, kernel::Netlink, node::Node, work::Work};
pub(crate) use self::{
    door::{Files, Refusal, Way},
    instrument::Under,
    kernel::Exchange,
    node::Flow,
    work::Stage,
};

/// All instruments of an agent. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Instruments>);

/// By what they are about.
#[derive(Debug, Default)]
pub struct Instruments {
    /// Calls.
    pub calls: Calls,
    /// Who gets in, by which files, and what is written down of it.
    pub door: Door,
    /// What the kernel is asked.
    pub netlink: Netlink,
    /// What is done: converging, healing, storing, telling.
    pub work: Work,
    /// What there is; written when somebody asks.
    pub node: Node,
}

impl Deref for Metrics {
    type Target = Instruments;

    fn deref(&self) -> &Instruments {
        &self.0
    }
}

impl Metrics {
    /// All of them under their names, for an exporter.
    pub(crate) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("podwire");
        self.calls.register(&mut registry);
        self.door.register(&mut registry);
        self.netlink.register(&mut registry);
        self.work.register(&mut registry);
        self.node.register(&mut registry);
        registry
    }
}
