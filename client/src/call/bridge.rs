//! Bridges, one by one, in a topology that is owned by single calls.

use crate::{
    Result,
    call::{change, present},
    change::Change,
    client::Client,
    v1,
};

impl Client {
    /// Makes a bridge in a topology of single calls, which is made if it is not there; an equal one succeeds. Returns it with
    /// its effective values.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) with every violation;
    /// [`Error::is_already_exists`](crate::Error::is_already_exists) naming the fields that differ;
    /// [`Error::is_precondition`](crate::Error::is_precondition) where an apply owns the topology;
    /// [`Error::is_fenced`](crate::Error::is_fenced).
    pub fn create_bridge(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        bridge: impl Into<v1::Bridge>,
    ) -> Change<v1::CreateBridgeRequest> {
        let (namespace, topology, bridge) = (namespace.into(), topology.into(), Some(bridge.into()));
        Change::new(self, v1::CreateBridgeRequest { namespace, topology, bridge, ..Default::default() })
    }

    /// A bridge of any topology, as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found).
    pub async fn get_bridge(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        name: impl Into<String>,
    ) -> Result<v1::Bridge> {
        let (namespace, topology, name) = (namespace.into(), topology.into(), name.into());
        let request = self.request(v1::GetBridgeRequest { namespace, topology, name });
        present(self.answer(self.bridges().get_bridge(request)).await?.bridge, "bridge")
    }

    /// The bridges of one topology, or (`None`) of all of a namespace, by topology and name.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) where the namespace or the topology is no name.
    pub async fn list_bridges(
        &self,
        namespace: impl Into<String>,
        topology: Option<&str>,
    ) -> Result<Vec<v1::list_bridges_response::Item>> {
        let (namespace, topology) = (namespace.into(), topology.unwrap_or_default().to_owned());
        let request = self.request(v1::ListBridgesRequest { namespace, topology });
        Ok(self.answer(self.bridges().list_bridges(request)).await?.bridges)
    }

    /// Removes a bridge; an absent one succeeds.
    ///
    /// # Errors
    ///
    /// [`Error::is_precondition`](crate::Error::is_precondition) where it has attachments, unless `.cascade()`, or where an
    /// apply owns the topology;
    /// [`Error::is_fenced`](crate::Error::is_fenced).
    pub fn delete_bridge(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        name: impl Into<String>,
    ) -> Change<v1::DeleteBridgeRequest> {
        let (namespace, topology, name) = (namespace.into(), topology.into(), name.into());
        Change::new(self, v1::DeleteBridgeRequest { namespace, topology, name, ..Default::default() })
    }
}

change!(CreateBridgeRequest, bridges.create_bridge, v1::Bridge, |response| present(response.bridge, "bridge"));
change!(DeleteBridgeRequest, bridges.delete_bridge, (), |_response| Ok(()));
