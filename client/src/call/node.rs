//! The node and its pods.

use crate::{Result, client::Client, v1};

impl Client {
    /// The agent's version, the node's name, what its kernel can do, and the limits.
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`](crate::Error::is_unavailable) where the agent is away.
    pub async fn get_node(&self) -> Result<v1::GetNodeResponse> {
        self.answer(self.node().get_node(self.request(v1::GetNodeRequest {}))).await
    }

    /// The pods of a namespace, or (`None`) of the node, that the agent can plug now, by namespace and name.
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`](crate::Error::is_unavailable) where the source of pods does not answer.
    pub async fn list_pods(&self, namespace: Option<&str>) -> Result<Vec<v1::Pod>> {
        let request = v1::ListPodsRequest { namespace: namespace.unwrap_or_default().to_owned() };
        Ok(self.answer(self.node().list_pods(self.request(request))).await?.pods)
    }
}
