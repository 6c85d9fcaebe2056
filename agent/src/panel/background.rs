//! What goes on without being asked: pods that come and go, leases that end, panels that are taken down.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::sleep;

use crate::pods::PodChange;

use super::{
    engine::Engine,
    error::ChangeError,
    healer::{self, Cause},
    orphans,
};

/// How often topologies that are not READY are tried again without an event.
const SWEEP: Duration = Duration::from_secs(30);

/// How long to wait where a retired panel cannot be taken down.
const REAP_AGAIN: Duration = Duration::from_secs(10);

/// How long the lease task sleeps at most: a suspended node's timers stand still while its leases run.
const LEASE_LOOK: Duration = Duration::from_secs(30);

/// Starts the tasks. They end with the runtime: nothing that they do has to be finished.
pub(super) fn start(engine: &Engine) -> Result<(), ChangeError> {
    if engine.takes_changes().is_err() {
        // No wire is touched before the operator has said what is right.
        return Ok(());
    }
    let mut changes = engine.0.pods.changes()?;
    healer::listen(engine)?;
    engine.0.retired.notify_one();
    let follower = engine.clone();
    tokio::spawn(async move {
        let all = follower.ledger().keys(None);
        follower.heal_soon(all, &Cause::Started);
        while let Some(change) = changes.next().await {
            follow(&follower, change);
        }
    });
    tokio::spawn(orphans::follow(engine.clone()));
    tokio::spawn(expire_leases(engine.clone()));
    tokio::spawn(reap(engine.clone()));
    tokio::spawn(sweep(engine.clone()));
    Ok(())
}

fn follow(engine: &Engine, change: PodChange) {
    let keys = match &change {
        PodChange::Appeared(pod) | PodChange::Gone(pod) => engine.ledger().of_pod(pod),
        PodChange::Overrun => engine.ledger().keys(None),
    };
    let cause = match change {
        PodChange::Appeared(pod) => Cause::Appeared(pod),
        PodChange::Gone(pod) => Cause::Gone(pod),
        PodChange::Overrun => Cause::Again,
    };
    engine.heal_soon(keys, &cause);
}

async fn sweep(engine: Engine) {
    loop {
        sleep(SWEEP).await;
        let keys = engine.ledger().unfinished();
        engine.heal_soon(keys, &Cause::Again);
        engine.forget_old_generations().await;
    }
}

async fn expire_leases(engine: Engine) {
    loop {
        let (next, ended) = engine.ledger().leases();
        for key in &ended {
            engine.expire(key).await;
        }
        tokio::select! {
            () = sleep(next.unwrap_or(LEASE_LOOK).clamp(Duration::from_millis(10), LEASE_LOOK)) => {}
            () = engine.0.leases.notified() => {}
        }
    }
}

async fn reap(engine: Engine) {
    loop {
        engine.0.retired.notified().await;
        if !engine.reap().await {
            sleep(REAP_AGAIN).await;
            engine.0.retired.notify_one();
        }
    }
}
