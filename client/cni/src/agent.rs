//! The agent of the node, or that it is away.

use std::time::Duration;

use podwire_client::{Client, ConnectError, Error};

use crate::error::{CniError, Code};

/// How long the agent has for the first answer, connecting included: a pod must not wait longer for one that is away. A
/// living one answers in a millisecond, since it looks at nothing for it.
const FIRST_ANSWER: Duration = Duration::from_millis(600);

/// Why there is no agent to ask.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// The configuration names no place where an agent could be.
    #[error(transparent)]
    Target(ConnectError),
    /// Nobody answers there, or not in time, or who does touches no wire.
    #[error("the agent is away: {0}")]
    Away(String),
}

impl From<AgentError> for CniError {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Target(error) => {
                Self::new(Code::InvalidConfig, "the agent's address is wrong", error.to_string())
            }
            AgentError::Away(words) => Self::new(Code::TryAgainLater, "the agent is away", words),
        }
    }
}

/// Connects, and hears whether somebody is there: a socket accepts connections though its agent hangs.
pub(crate) async fn reach(target: &str) -> Result<Client, AgentError> {
    let answered = tokio::time::timeout(FIRST_ANSWER, async {
        let client = Client::builder().connect_timeout(FIRST_ANSWER).connect(target).await.map_err(unreachable)?;
        let node = client.with_deadline(FIRST_ANSWER).get_node().await;
        match node.map_err(|error| AgentError::Away(error.to_string()))?.store_problem {
            problem if problem.is_empty() => Ok(client),
            problem => Err(AgentError::Away(format!("the agent at {target} takes no changes: {problem}"))),
        }
    });
    answered.await.unwrap_or_else(|_| {
        Err(AgentError::Away(format!("nobody at {target} answers within {} ms", FIRST_ANSWER.as_millis())))
    })
}

fn unreachable(error: ConnectError) -> AgentError {
    match error {
        ConnectError::Target(_) => AgentError::Target(error),
        _ => AgentError::Away(error.to_string()),
    }
}

/// What an answer of the agent means to a runtime.
pub(crate) fn refused(error: &Error) -> CniError {
    let code = if error.is_retryable() {
        Code::TryAgainLater
    } else if error.is_invalid() {
        // All that the agent judges came from there.
        Code::InvalidEnvironment
    } else {
        Code::Refused
    };
    CniError::new(code, "the agent refuses", error.to_string())
}
