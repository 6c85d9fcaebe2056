//! Waiting for READY.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::domain::{name::ElementName, status::State};

use super::{
    super::{
        error::ChangeError,
        events::{EventKind, ResumeToken},
        view::TopologyView,
    },
    Engine,
};

impl Engine {
    /// Waits until a topology, or one element of it, is READY.
    pub(super) async fn until_ready(
        &self,
        mut view: TopologyView,
        element: Option<ElementName>,
        mut token: ResumeToken,
        until: Option<Instant>,
    ) -> Result<TopologyView, ChangeError> {
        let Some(until) = until else { return Ok(view) };
        let key = view.key().clone();
        let mut leaving = self.0.leaving.subscribe();
        let asked = Arc::clone(&view.intent);
        loop {
            let still_asked = match &element {
                Some(element) => view.intent.spec.has(element),
                None => view.intent.body() == asked.body(),
            };
            if !still_asked {
                return Err(ChangeError::Superseded(key));
            }
            let waiting = view.trouble.is_some()
                || view.interfaces.iter().any(|(id, status)| {
                    element.as_ref().is_none_or(|element| id.element == *element) && status.state != State::Ready
                });
            if !waiting {
                return Ok(view);
            }
            let event = tokio::select! {
                event = timeout_at(until, self.0.events.after(token)) => event,
                _ = leaving.wait_for(|leaving| *leaving) => return Err(ChangeError::ShuttingDown),
            };
            match event {
                Err(_) => return Err(ChangeError::NotReady(Box::new(view))),
                Ok(Ok(event)) => {
                    token = event.token;
                    match event.kind {
                        EventKind::Changed(now) if event.key == key => view = (*now).clone(),
                        EventKind::Deleted if event.key == key => return Err(ChangeError::Superseded(key)),
                        EventKind::Changed(_) | EventKind::Deleted => {}
                    }
                }
                Ok(Err(_)) => {
                    token = self.0.events.latest();
                    view = self.get(&key).await?;
                }
            }
        }
    }
}
