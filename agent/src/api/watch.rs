//! The stream of `WatchTopologies`.

use futures_util::stream::{self, BoxStream, StreamExt};
use podwire_proto::v1::WatchTopologiesResponse;
use tonic::Status;

use crate::{
    domain::name::TopologyKey,
    panel::{ChangeError, Engine, Event, ResumeError, ResumeToken, TopologyView},
};

use super::{Leaving, parse::Watch, render};

/// A snapshot where none was seen before, then what happens after it, until the agent leaves.
pub(super) async fn events(
    engine: &Engine,
    watch: Watch,
    leaving: Leaving,
) -> BoxStream<'static, Result<WatchTopologiesResponse, Status>> {
    let engine = engine.clone();
    if let Some(token) = watch.token {
        return follow(Follower::new(engine, watch, token, leaving)).boxed();
    }
    // The token comes first: what happens while the snapshot is taken is told twice rather than never.
    let token = engine.events().latest();
    let views = match &watch.key {
        Some(key) => engine.get(key).await.into_iter().collect(),
        None => engine.list(watch.namespace.as_ref()).await,
    };
    let snapshot = stream::iter(views).map(|view: TopologyView| Ok(render::snapshot(&view)));
    let synced = stream::iter([Ok(render::synced(token))]);
    snapshot.chain(synced).chain(follow(Follower::new(engine, watch, token, leaving))).boxed()
}

impl Watch {
    fn wants(&self, key: &TopologyKey) -> bool {
        match &self.key {
            Some(wanted) => wanted == key,
            None => self.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace),
        }
    }
}

/// Somebody who reads the events at his own pace.
struct Follower {
    engine: Engine,
    watch: Watch,
    /// Of the last event seen.
    token: ResumeToken,
    /// It has kept up with what happens. If it falls behind later it is sent away before it loses an event; one that
    /// resumes may begin far behind.
    keeps_up: bool,
    leaving: Leaving,
}

/// The events, up to the error that ends them.
fn follow(follower: Follower) -> impl stream::Stream<Item = Result<WatchTopologiesResponse, Status>> {
    stream::unfold(Some(follower), |follower| async {
        let mut follower = follower?;
        match follower.next().await {
            Ok(event) => Some((Ok(render::change(&event)), Some(follower))),
            Err(status) => Some((Err(status), None)),
        }
    })
}

impl Follower {
    fn new(engine: Engine, watch: Watch, token: ResumeToken, leaving: Leaving) -> Self {
        Self { engine, watch, token, keeps_up: false, leaving }
    }

    async fn next(&mut self) -> Result<Event, Status> {
        loop {
            let events = self.engine.events();
            match events.nearly_forgets(self.token) {
                true if self.keeps_up => {
                    return Err(ResumeError::TooSlow { token: self.token, behind: events.behind(self.token) }.into());
                }
                nearly => self.keeps_up |= !nearly,
            }
            let event = tokio::select! {
                event = self.engine.events().after(self.token) => event?,
                () = self.leaving.asked() => return Err(ChangeError::ShuttingDown.into()),
            };
            self.token = event.token;
            if self.watch.wants(&event.key) {
                return Ok(event);
            }
        }
    }
}
