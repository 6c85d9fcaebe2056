//! Whatever happens in whatever order: when it comes to rest, the kernel is what a fresh agent builds from the intents.
//!
//! `PODWIRE_HISTORIES` sets how many (default: 1 in each of three tests), `PODWIRE_SEED` repeats one.

mod event;

use std::{env, process::Command, time::Duration};

use podwire_proto::v1::{ListTopologiesRequest, State, Topology};
use podwire_tests::{
    condition::within,
    elements::{interfaces, states},
    lab::{Lab, agent::Agent, snapshot::Snapshot},
    random::Random,
};

use self::event::History;
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

/// Waits until every interface whose pod is there is READY, and nothing changes any more.
async fn at_rest(lab: &Lab, agent: &Agent) -> Snapshot {
    within(REST, "all comes to rest", async || {
        let all = list(agent).await?;
        let pods = lab.namespaces();
        for topology in &all {
            for (interface, state) in states(topology) {
                let there = interface.split('/').next().is_some_and(|pod| pods.iter().any(|name| name == pod));
                let waits_for_far_end = state == State::Pending && !there || state == State::Ready;
                if !waits_for_far_end && !of_direct_link(topology, &interface) {
                    return Err(format!("{}: {interface} is {state:?}: {:?}", topology.name, topology.status));
                }
            }
        }
        if let Some(retired) = lab.panels().into_iter().find(|name| !name.starts_with("podwire.")) {
            return Err(format!("{retired} is there"));
        }
        let (one, two) = (lab.snapshot(), lab.snapshot());
        if one == two && list(agent).await?.len() == all.len() { Ok(two) } else { Err(one.difference(&two)) }
    })
    .await
    .without_indexes()
}

/// One end of a DIRECT link waits for both pods.
fn of_direct_link(topology: &Topology, interface: &str) -> bool {
    let name = interface.rsplit('/').next();
    let pending = |each: &podwire_proto::v1::Interface| Some(each.name.as_str()) == name;
    interfaces(topology).filter(|each| pending(each)).all(|each| each.name.starts_with('d'))
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
        for _ in 0..histories() {
            let mut history = History::new(lab).await;
            for _ in 0..EVENTS {
                history.goes_on(&mut random).await;
            }
            history.all_pods_are_there();
            let came_to = at_rest(lab, history.agent()).await;
            history.agent().kill();
            raze(lab);
            history.start().await;
            let built = at_rest(lab, history.agent()).await;
            assert!(came_to == built, "{}\nafter\n{}", built.difference(&came_to), history.story());
            history.end();
        }
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
