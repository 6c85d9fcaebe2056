//! A watch of topologies.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio_stream::Stream;
use tonic::Streaming;

use crate::{error::Error, target::Target, v1};

/// One event of a watch: what happened, the topology after it, the cause, and the token to resume after it.
pub type WatchEvent = v1::WatchTopologiesResponse;

/// What to watch, and from where.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchRequest(v1::WatchTopologiesRequest);

impl WatchRequest {
    /// Every topology of the node.
    pub fn all() -> Self {
        Self::default()
    }

    /// The topologies of one Kubernetes namespace.
    pub fn namespace(namespace: impl Into<String>) -> Self {
        Self(v1::WatchTopologiesRequest { namespace: namespace.into(), ..Default::default() })
    }

    /// One topology.
    pub fn topology(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        let (namespace, name) = (namespace.into(), name.into());
        Self(v1::WatchTopologiesRequest { namespace, name, ..Default::default() })
    }

    /// Resume after the event with this token, without a snapshot.
    pub fn resume(mut self, token: impl Into<String>) -> Self {
        self.0.resume_token = token.into();
        self
    }
}

impl From<WatchRequest> for v1::WatchTopologiesRequest {
    fn from(request: WatchRequest) -> Self {
        request.0
    }
}

/// Events of topologies, until it is dropped. Also a `Stream`.
#[derive(Debug)]
pub struct Watch {
    /// `None` once it has ended: a broken stream would go on with another error.
    events: Option<Streaming<WatchEvent>>,
    target: Target,
    resume_token: String,
}

impl Watch {
    pub(crate) fn new(events: Streaming<WatchEvent>, target: Target) -> Self {
        Self { events: Some(events), target, resume_token: String::new() }
    }

    /// The next event; `None` when the agent ended the watch, which it does when it stops, and after an error.
    ///
    /// Dropping the future loses nothing, so it may stand in a `select!`.
    ///
    /// # Errors
    ///
    /// [`Error::is_unavailable`] where the connection broke: watch again with [`resume_token`](Self::resume_token).
    pub async fn next(&mut self) -> Option<Result<WatchEvent, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Token of the last event that came; empty before the first.
    pub fn resume_token(&self) -> &str {
        &self.resume_token
    }
}

impl Stream for Watch {
    type Item = Result<WatchEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(events) = &mut self.events else {
            return Poll::Ready(None);
        };
        let next = ready!(Pin::new(events).poll_next(cx));
        if let Some(Ok(event)) = &next {
            self.resume_token.clone_from(&event.resume_token);
        } else {
            self.events = None;
        }
        Poll::Ready(next.map(|event| event.map_err(|status| Error::from_status(status, &self.target))))
    }
}
