//! What callers were told last, kept apart from the agent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::AddAssign,
};

use podwire_proto::v1::{Attachment, Interface, Link, Topology, interface::Owner};
use podwire_tests::elements::{interfaces, topology};

/// Where single calls work.
const CALLS: &str = "default";

/// Calls that were made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    acknowledged: u64,
    refused: u64,
    interfaces: usize,
}

impl AddAssign for Figures {
    fn add_assign(&mut self, more: Self) {
        self.acknowledged += more.acknowledged;
        self.refused += more.refused;
        self.interfaces += more.interfaces;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, refused, interfaces } = self;
        write!(f, "{acknowledged} calls acknowledged, {refused} refused, {interfaces} interfaces at the end")
    }
}

/// The topologies as they were acknowledged last.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    topologies: BTreeMap<String, Topology>,
    calls: u64,
    refused: u64,
}

impl Acknowledged {
    fn counted(&mut self, acknowledged: bool) -> bool {
        *(if acknowledged { &mut self.calls } else { &mut self.refused }) += 1;
        acknowledged
    }

    fn of_calls(&mut self) -> &mut Topology {
        self.topologies.entry(CALLS.to_owned()).or_insert_with(|| topology(CALLS))
    }

    pub(super) fn applied(&mut self, made: Option<Topology>) {
        if self.counted(made.is_some()) {
            self.topologies.extend(made.map(|made| (made.name.clone(), made)));
        }
    }

    pub(super) fn deleted(&mut self, name: &str, acknowledged: bool) {
        if self.counted(acknowledged) {
            self.topologies.remove(name);
        }
    }

    pub(super) fn bridge(&mut self, acknowledged: bool) {
        if self.counted(acknowledged) {
            self.of_calls();
        }
    }

    pub(super) fn attached(&mut self, made: Option<Attachment>) {
        if self.counted(made.is_some()) {
            let all = &mut self.of_calls().attachments;
            all.retain(|each| made.as_ref().is_none_or(|made| made.name != each.name));
            all.extend(made);
        }
    }

    pub(super) fn linked(&mut self, made: Option<Link>) {
        if self.counted(made.is_some()) {
            let all = &mut self.of_calls().links;
            all.retain(|each| made.as_ref().is_none_or(|made| made.name != each.name));
            all.extend(made);
        }
    }

    /// An attachment or a link is gone.
    pub(super) fn removed(&mut self, name: &str, acknowledged: bool) {
        if self.counted(acknowledged) {
            let all = self.of_calls();
            all.attachments.retain(|each| each.name != name);
            all.links.retain(|each| each.name != name);
        }
    }

    /// The bridge is gone, and with it what was plugged into it.
    pub(super) fn bridge_removed(&mut self, acknowledged: bool) {
        if self.counted(acknowledged) {
            self.of_calls().attachments.clear();
        }
    }

    /// Compares all interfaces: whose, name, MAC, addresses.
    pub(super) fn assert_told(&self, told: &[Topology], story: impl Fn() -> String) {
        let wanted: BTreeSet<String> = self.topologies.values().flat_map(facts).collect();
        let told: BTreeSet<String> = told.iter().flat_map(facts).collect();
        assert_eq!(wanted, told, "acknowledged, and told\nafter\n{}", story());
    }

    pub(super) fn figures(&self) -> Figures {
        let interfaces = self.topologies.values().map(|topology| interfaces(topology).count()).sum();
        Figures { acknowledged: self.calls, refused: self.refused, interfaces }
    }
}

fn facts(topology: &Topology) -> Vec<String> {
    interfaces(topology).map(|interface| format!("{}: {}", topology.name, fact(interface))).collect()
}

fn fact(interface: &Interface) -> String {
    let Some(Owner::Pod(pod)) = &interface.owner else { panic!("{interface:?}") };
    let mut addresses = interface.status.as_ref().map(|status| status.addresses.clone()).unwrap_or_default();
    addresses.sort();
    format!("{pod}/{} {} {}", interface.name, interface.mac, addresses.join(" "))
}
