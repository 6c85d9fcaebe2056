//! A lease to be renewed.

use crate::v1;

/// A topology whose lease is to be renewed.
#[derive(Clone, Debug, PartialEq)]
pub struct Renewal(v1::renew_leases_request::Item);

impl Renewal {
    /// By namespace and name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let (namespace, name) = (namespace.into(), name.into());
        Self(v1::renew_leases_request::Item { namespace, name, generation: 0 })
    }

    /// Fencing number of the caller: not renewed where the stored one is higher. Default 0: not checked.
    pub fn generation(mut self, generation: u64) -> Self {
        self.0.generation = generation;
        self
    }
}

impl<A: Into<String>, B: Into<String>> From<(A, B)> for Renewal {
    fn from((namespace, name): (A, B)) -> Self {
        Self::new(namespace, name)
    }
}

impl From<&v1::Topology> for Renewal {
    /// With the topology's generation.
    fn from(topology: &v1::Topology) -> Self {
        Self::new(&topology.namespace, &topology.name).generation(topology.generation)
    }
}

impl From<Renewal> for v1::renew_leases_request::Item {
    fn from(renewal: Renewal) -> Self {
        renewal.0
    }
}
