//! One connection for each node's agent.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{agent_pod::AgentPod, error::ClusterError};
use crate::{
    client::{Client, ClientBuilder},
    target::Target,
};

/// How long a connection is kept that nobody asks for: nodes come and go, and nobody says when.
const UNUSED: Duration = Duration::from_secs(3600);

/// Connections by the name of the node.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<String, Connection>>);

struct Connection<C = Client> {
    /// UID of the agent's pod: a new pod is a new agent, even at the same address.
    uid: String,
    /// When it was asked for last.
    used: Instant,
    client: C,
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
        if let Some(known) = self.all().get_mut(&agent.node)
            && known.uid == agent.uid
            && *known.client.target() == target
        {
            known.used = Instant::now();
            return Ok(known.client.clone());
        }
        let client = settings.clone().connect(target).await.map_err(|seen| ClusterError::Unreachable {
            agent: agent.to_string(),
            node: agent.node.clone(),
            seen,
        })?;
        let (mut all, used) = (self.all(), Instant::now());
        forget_unused(&mut all, used);
        all.insert(agent.node, Connection { uid: agent.uid, used, client: client.clone() });
        Ok(client)
    }

    pub(super) fn forget(&self, node: &str) {
        self.all().remove(node);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_unused<C>(all: &mut HashMap<String, Connection<C>>, now: Instant) {
    all.retain(|_, known| now.saturating_duration_since(known.used) < UNUSED);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asks_for_is_not_kept_for_ever() {
        let begin = Instant::now();
        let connection = |used| Connection { uid: String::new(), used, client: () };
        let mut all = HashMap::from([
            ("gone".to_owned(), connection(begin)),
            ("there".to_owned(), connection(begin + UNUSED / 2)),
        ]);
        forget_unused(&mut all, begin + UNUSED.saturating_sub(Duration::from_secs(1)));
        assert_eq!(all.len(), 2);
        forget_unused(&mut all, begin + UNUSED);
        assert_eq!(all.keys().collect::<Vec<_>>(), ["there"]);
    }
}
