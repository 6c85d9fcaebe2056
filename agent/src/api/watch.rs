//! The stream of `WatchTopologies`.

use futures_util::stream::{self, BoxStream, StreamExt};
use podwire_proto::v1::WatchTopologiesResponse;
use tonic::Status;

use crate::{
    domain::name::{Namespace, TopologyKey},
    panel::{ChangeError, Engine, Event, ResumeError, ResumeToken, TopologyView, Watcher},
};

use super::{Leaving, door::Access, parse::Watch, render};

/// Topologies of a snapshot that are looked at together.
const BATCH: usize = 8;

/// A snapshot where none was seen before, then what happens after it, until the agent leaves.
pub(super) fn events(
    engine: &Engine,
    watch: Watch,
    access: Access,
    leaving: Leaving,
) -> BoxStream<'static, Result<WatchTopologiesResponse, Status>> {
    let guard = Guard { access: access.clone(), namespace: watch.namespace.clone(), leaving };
    guard.watch(told(engine.clone(), watch, access))
}

fn told(engine: Engine, watch: Watch, access: Access) -> BoxStream<'static, Result<WatchTopologiesResponse, Status>> {
    if let Some(token) = watch.token {
        return follow(Follower::new(engine, watch, token, access)).boxed();
    }
    // The token comes first: what happens while the snapshot is taken is told twice rather than never.
    let token = engine.events().latest();
    let keys = match &watch.key {
        Some(key) => vec![key.clone()],
        None => engine.keys(|namespace| watch.sees(namespace, &access)),
    };
    // A few at a time, as they are taken: the whole node is not in memory for each who watches it.
    let batches: Vec<Vec<TopologyKey>> = keys.chunks(BATCH).map(<[TopologyKey]>::to_vec).collect();
    let of = engine.clone();
    let views = stream::iter(batches).then(move |keys| {
        let engine = of.clone();
        async move { stream::iter(engine.look_at(&keys).await) }
    });
    let snapshot = views.flatten().map(|view: TopologyView| Ok(render::snapshot(&view)));
    let synced = stream::iter([Ok(render::synced(token))]);
    snapshot.chain(synced).chain(follow(Follower::new(engine, watch, token, access))).boxed()
}

/// What ends a watch: its right is gone, the connection is old, or the agent leaves.
struct Guard {
    access: Access,
    /// The only one of which it tells.
    namespace: Option<Namespace>,
    leaving: Leaving,
}

impl Guard {
    /// What a watch tells, up to that.
    fn watch<T: Send + 'static>(
        self,
        told: BoxStream<'static, Result<T, Status>>,
    ) -> BoxStream<'static, Result<T, Status>> {
        let next = |state: Option<(Self, BoxStream<'static, Result<T, Status>>)>| async {
            let (mut guard, mut told) = state?;
            let next = tokio::select! {
                // First, so that nothing is told after a right was taken away.
                biased;
                status = guard.over() => Some(Err(status)),
                next = told.next() => next,
            };
            match next? {
                Ok(message) => Some((Ok(message), Some((guard, told)))),
                Err(status) => Some((Err(status), None)),
            }
        };
        stream::unfold(Some((self, told)), next).boxed()
    }

    async fn over(&mut self) -> Status {
        let still = self.access.clone();
        let right = async {
            match &self.namespace {
                Some(namespace) => self.access.lost(namespace).await,
                None => self.access.moved().await,
            }
        };
        tokio::select! {
            biased;
            status = right => status,
            status = still.retired() => status,
            () = self.leaving.asked() => ChangeError::ShuttingDown.into(),
        }
    }
}

impl Watch {
    /// Topologies of a namespace may be told of.
    fn sees(&self, namespace: &Namespace, access: &Access) -> bool {
        match &self.namespace {
            Some(wanted) => wanted == namespace,
            None => access.sees(namespace),
        }
    }

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
    watcher: Watcher,
    access: Access,
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
    fn new(engine: Engine, watch: Watch, token: ResumeToken, access: Access) -> Self {
        let watcher = engine.events().attend(token);
        Self { engine, watch, token, keeps_up: false, watcher, access }
    }

    async fn next(&mut self) -> Result<Event, Status> {
        loop {
            let events = self.engine.events();
            match events.nearly_forgets(self.token) {
                true if self.keeps_up => {
                    self.engine.metrics().work.sent_away.inc();
                    return Err(ResumeError::TooSlow { token: self.token, behind: events.behind(self.token) }.into());
                }
                nearly => self.keeps_up |= !nearly,
            }
            let event = events.after(self.token).await?;
            self.token = event.token;
            self.watcher.got(self.token);
            if self.watch.sees(&event.key.namespace, &self.access) && self.watch.wants(&event.key) {
                return Ok(event);
            }
        }
    }
}
