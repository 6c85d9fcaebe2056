//! A change of one link in a large topology, against the same in a small one.

use std::time::Instant;

use anyhow::Result;
use podwire_proto::v1::{Topology, UpdateLinkRequest};
use podwire_tests::elements::{link, nic, topology};

use super::Group;
use crate::{
    bench::{Bench, PARKED, Side, apply, delete, ms},
    figures::{Goal, Row, Samples, median},
};

/// Links of the two topologies.
const LARGE: usize = 500;
const SMALL: usize = 5;

/// Changes of each in a round.
const TIMES: usize = 4;

pub(super) const CHANGE: Group = Group {
    name: "change",
    rounds: [1, 1],
    round,
    rows: &[Row {
        name: "change",
        what: "UpdateLink in a topology of 500 links and pods",
        against: "the same in one of 5",
        unit: "ms",
        ours: "large",
        theirs: "small",
        goal: Goal::AtMost(3.0),
        margin: Goal::AtMost(500.0),
    }],
};

/// Pods in a ring, each linked with the next.
fn ring(name: &str, links: usize) -> (Vec<String>, Topology) {
    let pods: Vec<String> = (0..links).map(|pod| format!("{name}-{pod}")).collect();
    let wire = |number: usize| {
        let ends = [number, (number + 1) % links].map(|pod| nic(&pods[pod], ""));
        let [a, b] = ends;
        link(&format!("w{number}"), a, b)
    };
    let all = Topology { links: (0..links).map(wire).collect(), ..topology(name) };
    (pods, all)
}

/// Makes both once; the rounds are inside, for it takes longer to make them than to change them.
fn round(bench: &Bench, _: usize, samples: &mut Samples) -> Result<()> {
    let (links, rounds) = if bench.small { (30, 2) } else { (LARGE, 15) };
    let mut side = bench.start("change", PARKED)?;
    let both = [ring("large", links), ring("small", SMALL)];
    for (pods, topology) in &both {
        pods.iter().try_for_each(|pod| side.place.make(pod))?;
        bench.runtime.block_on(apply(&mut side.calls, topology.clone()))?;
    }
    for _ in 0..rounds {
        for name in ["large", "small"] {
            let mut times = Vec::new();
            for time in 0..TIMES {
                times.push(change(bench, &side, name, time % 2 == 1)?);
            }
            samples.push(name, median(&times));
        }
    }
    for (name, (pods, _)) in ["large", "small"].into_iter().zip(&both) {
        bench.runtime.block_on(delete(&mut side.calls, name))?;
        pods.iter().try_for_each(|pod| side.place.remove(pod))?;
    }
    side.place.wait_until_quiet()?;
    bench.stop(side)
}

/// Pulls or plugs the cable of one link.
fn change(bench: &Bench, side: &Side, name: &str, up: bool) -> Result<f64> {
    let request = UpdateLinkRequest {
        namespace: "lessons".into(),
        topology: name.into(),
        name: "w1".into(),
        up: Some(up),
        force: true,
        ..UpdateLinkRequest::default()
    };
    let mut links = bench.runtime.block_on(async { side.agent.links() });
    let began = Instant::now();
    bench.runtime.block_on(links.update_link(request))?;
    Ok(ms(began.elapsed()))
}
