//! One connection for each node's agent.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{agent_pod::AgentPod, error::ClusterError};
use crate::{
    client::{Client, ClientBuilder},
    target::Target,
};

/// Connections by the name of the node.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<String, Connection>>);

struct Connection {
    /// UID of the agent's pod: a new pod is a new agent, even at the same address.
    uid: String,
    client: Client,
}

impl Connections {
    /// The client of this pod at this address, connected now if it was not. Callers that come at once each connect; the
    /// last one stays.
    pub(super) async fn client(
        &self,
        agent: AgentPod,
        target: Target,
        settings: &ClientBuilder,
    ) -> Result<Client, ClusterError> {
        if let Some(known) = self.all().get(&agent.node)
            && known.uid == agent.uid
            && *known.client.target() == target
        {
            return Ok(known.client.clone());
        }
        let client = settings.clone().connect(target).await.map_err(|seen| ClusterError::Unreachable {
            agent: agent.to_string(),
            node: agent.node.clone(),
            seen,
        })?;
        self.all().insert(agent.node, Connection { uid: agent.uid, client: client.clone() });
        Ok(client)
    }

    pub(super) fn forget(&self, node: &str) {
        self.all().remove(node);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
