//! A way in for `tests/fuzz`: a node whose kernel is the model that the tests of the planner have.

use std::collections::BTreeSet;

use super::model::Model;
use crate::domain::{intent::PodKey, observed::Observed, step::Step};

/// A node with the devices `eth0` and `eth1`.
#[derive(Debug, Clone)]
pub struct Node(Model);

impl Default for Node {
    /// One without pods.
    fn default() -> Self {
        Self::new([])
    }
}

impl Node {
    /// A node on which these pods run, with nothing of podwire's.
    pub fn new(pods: impl IntoIterator<Item = PodKey>) -> Self {
        Self(Model::new(pods.into_iter().map(|pod| (pod, true))))
    }

    /// Starts those of these pods that do not run.
    pub fn start(&mut self, pods: impl IntoIterator<Item = PodKey>) {
        for pod in pods {
            if !self.0.pods.contains_key(&pod) {
                self.0.pods.insert(pod.clone(), None);
                self.0.start(&pod);
            }
        }
    }

    /// Carries steps out in order.
    ///
    /// # Errors
    ///
    /// The first that Linux would refuse, and why.
    pub fn execute(&mut self, steps: &[Step]) -> Result<(), String> {
        self.0.execute(steps)
    }

    /// What a look shows.
    pub fn observe(&self) -> Observed {
        self.0.observe()
    }

    /// All that is there, in words that do not depend on how it came there.
    pub fn show(&self) -> BTreeSet<String> {
        self.0.show()
    }
}
