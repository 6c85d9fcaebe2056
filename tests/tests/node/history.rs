//! Whatever happens in whatever order: when it comes to rest, all is READY, the intents are what was acknowledged last, and
//! the kernel is what a fresh agent builds from them.
//!
//! `PODWIRE_HISTORIES` sets how many (default: 1 in each of three tests), `PODWIRE_SEED` repeats one.

mod acknowledged;
mod event;

use std::{env, process::Command, time::Duration};

use podwire_proto::v1::{ListTopologiesRequest, State, Topology};
use podwire_tests::{
    condition::{holds, within},
    elements::{state, states},
    lab::{Lab, agent::Agent, snapshot::Snapshot},
    private::measured,
    random::{self, Random},
};

use self::{acknowledged::Figures, event::History};
use crate::private;

/// Events of one history.
const EVENTS: usize = 40;

/// A fight may have to be over first.
const REST: Duration = Duration::from_secs(90);

fn histories() -> u64 {
    env::var("PODWIRE_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

async fn list(agent: &Agent) -> Result<Vec<Topology>, String> {
    let all = agent.topologies().list_topologies(ListTopologiesRequest::default()).await;
    all.map(|all| all.into_inner().topologies).map_err(|status| status.to_string())
}

/// Waits until every interface is READY, for all pods are there, and nothing changes any more.
async fn at_rest(lab: &Lab, agent: &Agent) -> (Snapshot, Vec<Topology>) {
    let (snapshot, all) = within(REST, "all comes to rest", async || {
        let all = list(agent).await?;
        for topology in &all {
            let waits: Vec<_> = states(topology).into_iter().filter(|(_, state)| *state != State::Ready).collect();
            holds(waits.is_empty() && state(topology) == State::Ready, format!("{}: {waits:?}", topology.name))?;
        }
        if let Some(retired) = lab.panels().into_iter().find(|name| !name.starts_with("podwire.")) {
            return Err(format!("{retired} is there"));
        }
        let (one, two) = (lab.snapshot(), lab.snapshot());
        if one == two && list(agent).await?.len() == all.len() { Ok((two, all)) } else { Err(one.difference(&two)) }
    })
    .await;
    (snapshot.without_indexes(), all)
}

/// Removes by hand what agents made, but for the intents.
fn raze(lab: &Lab) {
    for panel in lab.panels() {
        lab.ip(&format!("netns del {panel}"));
    }
    for pod in lab.namespaces() {
        while let Some(device) = lab.link_names(&pod).first() {
            // It may go by itself: its panel went, or the other end of a DIRECT link.
            drop(Command::new("ip").args(["-n", &pod, "link", "del", device]).output().unwrap());
        }
    }
}

fn ends_as_if_built_anew(stream: u64) {
    private(async |lab| {
        let mut random = Random::of(stream);
        let mut seen = Figures::default();
        for _ in 0..histories() {
            let mut history = History::new(lab).await;
            for _ in 0..EVENTS {
                history.goes_on(&mut random).await;
            }
            history.all_pods_are_there();
            let (came_to, told) = at_rest(lab, history.agent()).await;
            history.assert_acknowledged(&told);
            history.agent().kill();
            raze(lab);
            history.start().await;
            let (built, told) = at_rest(lab, history.agent()).await;
            history.assert_acknowledged(&told);
            assert!(came_to == built, "{}\nafter\n{}", built.difference(&came_to), history.story());
            seen += history.figures();
            history.end();
        }
        let (seed, histories) = (random::seed(), histories());
        measured(&format!("PODWIRE_SEED={seed}, stream {stream}: {histories} histories of {EVENTS} events, {seen}"));
    });
}

#[test]
fn a_random_history_ends_as_if_built_anew_1() {
    ends_as_if_built_anew(101);
}

#[test]
fn a_random_history_ends_as_if_built_anew_2() {
    ends_as_if_built_anew(102);
}

#[test]
fn a_random_history_ends_as_if_built_anew_3() {
    ends_as_if_built_anew(103);
}
