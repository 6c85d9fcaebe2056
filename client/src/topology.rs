//! Everything that is asked of a node under one name.

use std::time::Duration;

use crate::v1;

/// Everything that is asked of a node under one name: bridges, links and attachments.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology(v1::Topology);

impl Topology {
    /// By Kubernetes namespace and name, each 1 to 63 of `[a-z0-9]([-a-z0-9]*[a-z0-9])?`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let (namespace, name) = (namespace.into(), name.into());
        Self(v1::Topology { namespace, name, ..Default::default() })
    }

    /// Another LAN segment.
    pub fn bridge(mut self, bridge: impl Into<v1::Bridge>) -> Self {
        self.0.bridges.push(bridge.into());
        self
    }

    /// Another wire.
    pub fn link(mut self, link: impl Into<v1::Link>) -> Self {
        self.0.links.push(link.into());
        self
    }

    /// Another interface plugged into a bridge or onto a device.
    pub fn attach(mut self, attachment: impl Into<v1::Attachment>) -> Self {
        self.0.attachments.push(attachment.into());
        self
    }

    /// Several wires.
    pub fn links<L: Into<v1::Link>>(mut self, links: impl IntoIterator<Item = L>) -> Self {
        self.0.links.extend(links.into_iter().map(Into::into));
        self
    }

    /// Several interfaces plugged into bridges or onto devices.
    pub fn attach_all<A: Into<v1::Attachment>>(mut self, attachments: impl IntoIterator<Item = A>) -> Self {
        self.0.attachments.extend(attachments.into_iter().map(Into::into));
        self
    }

    /// Time without a renewal or an apply after which the topology is deleted; at least 1 s. Default: never.
    pub fn lease(mut self, lease: Duration) -> Self {
        // A lease longer than the message holds is 292 billion years.
        self.0.lease = lease.try_into().ok();
        self
    }

    /// Fencing number of the scheduler: what a scheduler with a lower one asks for is refused from then on.
    pub fn generation(mut self, generation: u64) -> Self {
        self.0.generation = generation;
        self
    }
}

impl From<Topology> for v1::Topology {
    fn from(topology: Topology) -> Self {
        topology.0
    }
}

/// Every interface of a topology: both ends of each link, then that of each attachment.
pub fn interfaces(topology: &v1::Topology) -> impl Iterator<Item = &v1::Interface> {
    let ends = topology.links.iter().flat_map(|link| {
        let far_end = link.far_end.as_ref().map(|v1::link::FarEnd::B(b)| b);
        link.a.iter().chain(far_end)
    });
    let plugged = topology.attachments.iter().filter_map(|attachment| attachment.interface.as_ref());
    ends.chain(plugged)
}
