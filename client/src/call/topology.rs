//! Topologies: all that one scheduler asked of a node under one name.

use crate::{
    Result,
    call::{ChangeRequest, Sealed, change, present, wait},
    change::Change,
    client::Client,
    error::Error,
    renewal::Renewal,
    v1,
    watch::{Watch, WatchRequest},
};

/// What an apply would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The steps, in order. Empty: nothing to do.
    pub steps: Vec<v1::PlanStep>,
    /// The topology as an apply would make it: names and addresses chosen, nothing reserved.
    pub topology: v1::Topology,
}

impl Client {
    /// Replaces the whole desired state of a topology: what is not in it goes. Returns it with its effective values.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`] with every violation; [`Error::is_fenced`]; [`Error::is_precondition`] where single calls own
    /// the topology or something foreign is in the way; [`Error::is_exhausted`]; [`Error::is_unimplemented`] where the
    /// kernel lacks something; [`Error::is_deadline`] with `.until_ready()`: what was asked stays.
    pub fn apply(&self, topology: impl Into<v1::Topology>) -> Change<v1::ApplyTopologyRequest> {
        let topology = Some(topology.into());
        Change::new(self, v1::ApplyTopologyRequest { topology, ..Default::default() })
    }

    /// What [`apply`](Self::apply) would do. Touches nothing.
    ///
    /// # Errors
    ///
    /// As [`apply`](Self::apply).
    pub fn plan(&self, topology: impl Into<v1::Topology>) -> Change<v1::PlanTopologyRequest> {
        let topology = Some(topology.into());
        Change::new(self, v1::PlanTopologyRequest { topology, ..Default::default() })
    }

    /// A topology as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`].
    pub async fn get_topology(&self, namespace: impl Into<String>, name: impl Into<String>) -> Result<v1::Topology> {
        let request = v1::GetTopologyRequest { namespace: namespace.into(), name: name.into() };
        let response = self.answer(self.topologies().get_topology(self.request(request))).await?;
        present(response.topology, "topology")
    }

    /// All topologies of a namespace, or (`None`) of the node, by namespace and name.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`] where the namespace is none.
    pub async fn list_topologies(&self, namespace: Option<&str>) -> Result<Vec<v1::Topology>> {
        let request = v1::ListTopologiesRequest { namespace: namespace.unwrap_or_default().to_owned() };
        let response = self.answer(self.topologies().list_topologies(self.request(request))).await?;
        Ok(response.topologies)
    }

    /// Removes a topology with all that it has; an absent one succeeds. Its pods are free of it when it answers.
    ///
    /// # Errors
    ///
    /// [`Error::is_fenced`].
    pub fn delete_topology(
        &self,
        namespace: impl Into<String>,
        name: impl Into<String>,
    ) -> Change<v1::DeleteTopologyRequest> {
        let (namespace, name) = (namespace.into(), name.into());
        Change::new(self, v1::DeleteTopologyRequest { namespace, name, ..Default::default() })
    }

    /// Lets the leases of many topologies run in full again, at most 10000; an answer for each, in the same order.
    ///
    /// # Errors
    ///
    /// Of the call as a whole only: what became of each is in its answer.
    pub async fn renew_leases<I>(&self, topologies: I) -> Result<Vec<v1::renew_leases_response::Item>>
    where
        I: IntoIterator,
        I::Item: Into<Renewal>,
    {
        let topologies = topologies.into_iter().map(|each| each.into().into()).collect();
        let request = self.request(v1::RenewLeasesRequest { topologies });
        Ok(self.answer(self.topologies().renew_leases(request)).await?.topologies)
    }

    /// Watches topologies: a snapshot, SYNCED, then every change. Has no deadline once it is open.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`], or OUT_OF_RANGE where the resume token is too old: begin without one. Either may come
    /// from [`Watch::next`] too.
    pub async fn watch(&self, request: WatchRequest) -> Result<Watch> {
        let stream = self.answer(self.topologies().watch_topologies(v1::WatchTopologiesRequest::from(request))).await?;
        Ok(Watch::new(stream, self.target().clone()))
    }
}

impl Sealed for v1::ApplyTopologyRequest {}

impl ChangeRequest for v1::ApplyTopologyRequest {
    type Answer = v1::Topology;

    fn set_generation(&mut self, generation: u64) {
        self.topology.get_or_insert_default().generation = generation;
    }

    fn set_force(&mut self) {
        self.force = true;
    }

    async fn send(self, client: &Client) -> Result<v1::Topology, Error> {
        let response = client.answer(client.topologies().apply_topology(client.request(self))).await?;
        present(response.topology, "topology")
    }
}

impl Sealed for v1::PlanTopologyRequest {}

impl ChangeRequest for v1::PlanTopologyRequest {
    type Answer = Plan;

    fn set_generation(&mut self, generation: u64) {
        self.topology.get_or_insert_default().generation = generation;
    }

    fn set_force(&mut self) {
        self.force = true;
    }

    async fn send(self, client: &Client) -> Result<Plan, Error> {
        let response = client.answer(client.topologies().plan_topology(client.request(self))).await?;
        Ok(Plan { steps: response.steps, topology: present(response.topology, "topology")? })
    }
}

change!(DeleteTopologyRequest, topologies.delete_topology, (), |_response| Ok(()));
wait!(ApplyTopologyRequest);
