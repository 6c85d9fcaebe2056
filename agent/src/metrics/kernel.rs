//! What the kernel is asked.

use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};

use super::instrument::{Histograms, exchange, timed};

/// How the kernel is asked by netlink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// To change something: messages of one send. It waits for RTNL, the one lock of the node's networking.
    Batch,
    /// For a table.
    Dump,
    /// For one object.
    Get,
}

/// Netlink, and what it tells by itself.
#[derive(Debug)]
pub struct Netlink {
    family: Histograms<1>,
    batch: Histogram,
    dump: Histogram,
    get: Histogram,
    messages: Counter,
    /// The agent could not keep up with what the kernel told.
    pub(crate) overruns: Counter,
    /// What hears the kernel failed and was begun anew.
    pub(crate) restarts: Counter,
}

impl Default for Netlink {
    fn default() -> Self {
        let family = Histograms::new_with_constructor(exchange);
        let of = |kind| family.get_or_create_owned(&[("kind", kind)]);
        Self {
            batch: of("batch"),
            dump: of("dump"),
            get: of("get"),
            family,
            messages: Counter::default(),
            overruns: Counter::default(),
            restarts: Counter::default(),
        }
    }
}

impl Netlink {
    /// Does an exchange of so many messages and measures it.
    pub(crate) fn exchange<T>(&self, kind: Exchange, messages: usize, work: impl FnOnce() -> T) -> T {
        self.messages.inc_by(messages as u64);
        let histogram = match kind {
            Exchange::Batch => &self.batch,
            Exchange::Dump => &self.dump,
            Exchange::Get => &self.get,
        };
        timed(histogram, work)
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "netlink_duration_seconds",
            "From a request of a converge to the kernel's answer, with the wait for RTNL: changes (`batch`), tables (`dump`), \
             single objects (`get`)",
            self.family.clone(),
        );
        registry.register("netlink_messages", "Messages of a converge to the kernel", self.messages.clone());
        registry.register(
            "ear_overruns",
            "Times that the kernel told more than could be heard, and all was looked at",
            self.overruns.clone(),
        );
        registry.register(
            "ear_restarts",
            "Times that what hears the kernel failed and was begun anew",
            self.restarts.clone(),
        );
    }
}
