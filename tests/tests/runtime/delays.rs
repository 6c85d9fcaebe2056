//! How long it takes from a sandbox that is made to an interface that is READY in it.

use std::time::{Duration, Instant};

use podwire_proto::v1::{State, WatchTopologiesRequest};
use podwire_tests::{
    condition::PATIENCE,
    containerd::{Sandbox, Version},
    elements::state,
    lab::agent::Agent,
    private::measured,
};

use crate::{agent, lan_of, until, with_containerd};

const ROUNDS: u32 = 40;

/// The median of all rounds has to be below. It is 25 ms on a machine at rest; by the list alone, every 5 s, it would be 2.5 s.
const MEDIAN: Duration = Duration::from_millis(1500);

/// When the topology has become READY, by the agent's events: asking would make it look.
async fn ready(agent: &Agent) -> Instant {
    let all = WatchTopologiesRequest::default();
    let mut events = agent.topologies().watch_topologies(all).await.unwrap().into_inner();
    loop {
        let event = tokio::time::timeout(PATIENCE, events.message()).await.expect("an event in time");
        if event.unwrap().unwrap().topology.is_some_and(|now| state(&now) == State::Ready) {
            return Instant::now();
        }
    }
}

fn delays(version: Version) {
    with_containerd(version, async |lab, containerd| {
        let agent = agent(lab).await;
        containerd.pod("a").await;
        agent.apply(lan_of(&["a", "b"])).await.unwrap();
        let mut delays = Vec::new();
        for attempt in 0..ROUNDS {
            let run = async {
                let id = containerd.run(Sandbox::of("b").attempt(attempt)).await.unwrap();
                (id, Instant::now())
            };
            let ((id, listed), ready) = tokio::join!(run, ready(&agent));
            delays.push(ready.saturating_duration_since(listed));
            containerd.remove(&id).await.unwrap();
            until(&agent, "12", State::Pending).await;
        }
        delays.sort_unstable();
        let at = |percent: usize| delays[(delays.len() * percent / 100).min(delays.len() - 1)];
        measured(&format!(
            "containerd {version:?}: RunPodSandbox has returned, until READY: median {:?}, p99 {:?}, {ROUNDS} rounds",
            at(50),
            at(99)
        ));
        assert!(at(50) < MEDIAN, "{delays:?}");
    });
}

#[test]
fn a_new_sandbox_is_plugged_soon_where_the_runtime_is_polled() {
    delays(Version::System);
}

#[test]
fn a_new_sandbox_is_plugged_soon_where_the_runtime_has_events() {
    delays(Version::Events);
}

#[test]
fn a_new_sandbox_is_plugged_soon_by_the_newest_runtime() {
    delays(Version::Newest);
}
