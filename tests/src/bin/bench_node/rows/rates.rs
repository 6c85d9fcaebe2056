//! What happens without a caller, and how many changes the store takes.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use podwire_proto::v1::{ApplyTopologyRequest, GetTopologyRequest, Topology};
use podwire_tests::elements::{lease, topology};

use super::{Group, crowd::remove_pods, in_turn};
use crate::{
    bench::{Bench, PARKED, Side, apply, delete, ms},
    figures::{Goal, Row, Samples, median},
    lesson::{Lesson, Shape},
};

/// How often pods appear in a round.
const TIMES: usize = 3;

/// Callers that change something.
const WRITERS: usize = 64;

/// How long they do.
const WHILE: Duration = Duration::from_secs(1);

pub(super) const RATES: Group = Group {
    name: "rates",
    rounds: [5, 1],
    round,
    rows: &[
        Row {
            name: "appears",
            what: "from the last pod's named namespace to READY",
            against: "",
            unit: "ms",
            ours: "appears",
            theirs: "",
            goal: Goal::None,
            margin: Goal::Below(5000.0),
        },
        Row {
            name: "commits",
            what: "changes of 64 callers, store on disk",
            against: "store on tmpfs",
            unit: "/s",
            ours: "disk",
            theirs: "tmpfs",
            goal: Goal::None,
            margin: Goal::None,
        },
    ],
};

fn round(bench: &Bench, round: usize, samples: &mut Samples) -> Result<()> {
    let disk = tempfile::tempdir_in(bench.disk()?)?;
    let on_disk = disk.path().join("state").display().to_string();
    let (mut appears, mut ours, mut theirs) = (Vec::new(), 0.0, 0.0);
    in_turn(
        round,
        &mut [
            &mut || {
                ours = commits(bench, bench.start_with("commits", &on_disk, 0)?)?;
                Ok(())
            },
            &mut || {
                let mut side = bench.start("appears", PARKED)?;
                for time in 0..TIMES {
                    appears.push(ms(appear(bench, &mut side, &format!("t{time}"))?));
                }
                theirs = commits(bench, side)?;
                Ok(())
            },
        ],
    )?;
    fs::remove_dir_all(&on_disk)?;
    for (series, value) in [("appears", median(&appears)), ("disk", ours), ("tmpfs", theirs)] {
        samples.push(series, value);
    }
    Ok(())
}

/// A topology waits for the last of its pods: how long from that one's being there until its caller is told READY.
fn appear(bench: &Bench, side: &mut Side, name: &str) -> Result<Duration> {
    let lesson = [Lesson::triangle(Shape::Bridges, 1)];
    let (last, others) = lesson[0].pods.split_last().context("a pod")?;
    others.iter().try_for_each(|pod| side.place.make(pod))?;
    let took = bench.runtime.block_on(async {
        let (mut calls, wanted) = (side.calls.clone(), lesson[0].topology(name));
        let waiting = tokio::spawn(async move {
            apply(&mut calls, wanted).await?;
            Ok::<_, anyhow::Error>(Instant::now())
        });
        let mine = GetTopologyRequest { namespace: "lessons".into(), name: name.into() };
        while side.calls.get_topology(mine.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        side.place.make(last)?;
        let there = Instant::now();
        Ok::<_, anyhow::Error>(waiting.await.context("a caller panicked")??.duration_since(there))
    })?;
    bench.runtime.block_on(delete(&mut side.calls, name))?;
    side.place.wait_until_quiet()?;
    remove_pods(&side.place, &lesson)?;
    Ok(took)
}

/// Changes that touch no kernel, so that each is a commit and nothing else, in a second.
fn commits(bench: &Bench, side: Side) -> Result<f64> {
    let began = Instant::now();
    let done = bench.runtime.block_on(async {
        let writers = (0..WRITERS).map(|writer| {
            let mut calls = side.calls.clone();
            tokio::spawn(async move {
                let mut done = 0_u32;
                while began.elapsed() < WHILE {
                    let lease = lease(Duration::from_secs(600 + u64::from(done % 2)));
                    let topology = Some(Topology { lease, ..topology(&format!("c{writer}")) });
                    calls.apply_topology(ApplyTopologyRequest { topology, ..ApplyTopologyRequest::default() }).await?;
                    done += 1;
                }
                Ok::<_, anyhow::Error>(done)
            })
        });
        let mut sum = 0;
        for writer in writers.collect::<Vec<_>>() {
            sum += writer.await.context("a writer panicked")??;
        }
        Ok::<_, anyhow::Error>(sum)
    })?;
    let rate = f64::from(done) / began.elapsed().as_secs_f64();
    bench.stop(side)?;
    Ok(rate)
}
