//! A node with a thousand topologies: what one more costs, and what the agent costs while nothing happens.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::unistd::Pid;
use podwire_proto::v1::{GetTopologyRequest, State, WatchTopologiesRequest};
use podwire_tests::elements::state;
use tokio::time::timeout;

use super::{
    Group,
    crowd::{all, make_pods, remove_pods},
};
use crate::{
    bench::{Bench, PARKED, Side, ms},
    figures::{Goal, Row, Samples},
    lesson::{Lesson, Shape},
};

/// Callers of GetTopology.
const READERS: usize = 64;

/// How long is counted what an idle agent does, and what readers get.
const WHILE: Duration = Duration::from_secs(5);
const BRIEFLY: Duration = Duration::from_secs(1);

/// How long a start may take, and what it sets off: on the busiest machine.
const AT_MOST: Duration = Duration::from_secs(120);

/// Wake-ups in a second below which what was set off is over.
const REST: f64 = 10.0;

pub(super) const THOUSAND: Group = Group {
    name: "thousand",
    rounds: [1, 1],
    round,
    rows: &[
        Row {
            name: "thousand",
            what: "triangle, with 1,000 topologies on the node",
            against: "with none",
            unit: "ms",
            ours: "full",
            theirs: "empty",
            goal: Goal::AtMost(1.5),
            margin: Goal::AtMost(20.0),
        },
        Row {
            name: "thousand-old",
            what: "the same, pods older than the others'",
            against: "with none",
            unit: "ms",
            ours: "old",
            theirs: "empty",
            goal: Goal::None,
            margin: Goal::None,
        },
        Row {
            name: "memory",
            what: "RSS of the agent with them",
            against: "",
            unit: "MiB",
            ours: "memory",
            theirs: "",
            goal: Goal::Below(64.0),
            margin: Goal::Below(200.0),
        },
        Row {
            name: "idle",
            what: "wake-ups of the idle agent with them",
            against: "",
            unit: "/s",
            ours: "wakeups",
            theirs: "",
            goal: Goal::Below(1.0),
            margin: Goal::Below(100.0),
        },
        Row {
            name: "start",
            what: "start with them, until all are READY",
            against: "",
            unit: "ms",
            ours: "start",
            theirs: "",
            goal: Goal::None,
            margin: Goal::None,
        },
        Row {
            name: "reads",
            what: "GetTopology, 64 callers",
            against: "",
            unit: "/s",
            ours: "reads",
            theirs: "",
            goal: Goal::None,
            margin: Goal::None,
        },
    ],
};

/// Once, with the rounds inside: before and after.
fn round(bench: &Bench, _: usize, samples: &mut Samples) -> Result<()> {
    let (count, rounds) = if bench.small { (30, 3) } else { (1000, 15) };
    let mut side = bench.start("thousand", PARKED)?;
    let old = vec![Lesson::triangle(Shape::Bridges, 50_000); rounds];
    make_pods(&side.place, &old[..1])?;
    bench.lesson(&mut side, "warm", &old[0])?;
    one_more(bench, &mut side, samples, "empty", 60_000..60_000 + rounds)?;
    let lessons: Vec<Lesson> = (0..count).map(|number| Lesson::triangle(Shape::Bridges, number)).collect();
    make_pods(&side.place, &lessons)?;
    bench.runtime.block_on(all(&side, &lessons, true))?;
    wait_until_idle(side.agent.pid())?;
    one_more(bench, &mut side, samples, "full", 70_000..70_000 + rounds)?;
    applied(bench, &mut side, samples, "old", &old)?;
    side = idle(bench, side, count, samples)?;
    reads(bench, &side, count, samples)?;
    bench.stop(side)
}

/// One more topology, each time of pods that were just made, as a lesson's are.
fn one_more(
    bench: &Bench,
    side: &mut Side,
    samples: &mut Samples,
    series: &'static str,
    numbers: Range<usize>,
) -> Result<()> {
    let lessons: Vec<Lesson> = numbers.map(|number| Lesson::triangle(Shape::Bridges, number)).collect();
    make_pods(&side.place, &lessons)?;
    applied(bench, side, samples, series, &lessons)?;
    remove_pods(&side.place, &lessons)
}

fn applied(
    bench: &Bench,
    side: &mut Side,
    samples: &mut Samples,
    series: &'static str,
    lessons: &[Lesson],
) -> Result<()> {
    for lesson in lessons {
        // Nobody waits until there is no panel: the node is full of them.
        let made = bench.runtime.block_on(crate::bench::apply(&mut side.calls, lesson.topology("one")))?;
        bench.runtime.block_on(crate::bench::delete(&mut side.calls, "one"))?;
        side.place.wait_until_retired()?;
        samples.push(series, ms(made));
    }
    Ok(())
}

/// Starts the agent anew, so that it is as after a day without changes, and counts.
fn idle(bench: &Bench, side: Side, count: usize, samples: &mut Samples) -> Result<Side> {
    bench.stop(side)?;
    let began = Instant::now();
    let mut side = bench.start("thousand", PARKED)?;
    bench
        .runtime
        .block_on(async { timeout(AT_MOST, all_ready(&mut side, count)).await })
        .context("not all are READY")??;
    samples.push("start", ms(began.elapsed()));
    let pid = side.agent.pid();
    // What the start has set off goes on for a while behind that: each topology is healed once.
    wait_until_idle(pid)?;
    let before = switches(pid)?;
    let span = if bench.small { BRIEFLY } else { WHILE };
    thread::sleep(span);
    samples.push("wakeups", wakeups(pid, &before)? / span.as_secs_f64());
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    let kib: f64 = kib.trim().trim_end_matches(" kB").parse()?;
    samples.push("memory", kib / 1024.0);
    Ok(side)
}

/// Watches, as a scheduler does, until so many topologies are READY.
async fn all_ready(side: &mut Side, count: usize) -> Result<()> {
    let mut ready = BTreeSet::new();
    let mut watch = side.calls.watch_topologies(WatchTopologiesRequest::default()).await?.into_inner();
    while ready.len() < count {
        let event = watch.message().await?.context("the watch ended")?;
        ready.extend(event.topology.filter(|topology| state(topology) == State::Ready).map(|topology| topology.name));
    }
    Ok(())
}

/// Waits until the agent does nothing any more.
pub(super) fn wait_until_idle(pid: Pid) -> Result<()> {
    let began = Instant::now();
    loop {
        let before = switches(pid)?;
        thread::sleep(Duration::from_secs(1));
        if wakeups(pid, &before)? < REST {
            return Ok(());
        }
        ensure!(began.elapsed() < AT_MOST, "the agent does not come to rest");
    }
}

/// How often each thread of a process has gone to sleep by itself.
fn switches(pid: Pid) -> Result<BTreeMap<OsString, f64>> {
    let mut all = BTreeMap::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?;
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        all.insert(task.file_name(), count.and_then(|count| count.trim().parse().ok()).unwrap_or(0.0));
    }
    Ok(all)
}

/// How often they have since then. One that has ended meanwhile took its count along.
fn wakeups(pid: Pid, before: &BTreeMap<OsString, f64>) -> Result<f64> {
    let more = |(thread, count): (&OsString, &f64)| count - before.get(thread).unwrap_or(&0.0);
    Ok(switches(pid)?.iter().map(more).sum())
}

fn reads(bench: &Bench, side: &Side, count: usize, samples: &mut Samples) -> Result<()> {
    let span = if bench.small { BRIEFLY } else { WHILE };
    let began = Instant::now();
    let done: usize = bench.runtime.block_on(async {
        let readers = (0..READERS).map(|reader| {
            let mut calls = side.calls.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while began.elapsed() < span {
                    let name = format!("t{}", (reader * 13 + done) % count);
                    let request = GetTopologyRequest { namespace: "lessons".into(), name };
                    calls.get_topology(request).await?;
                    done += 1;
                }
                Ok::<_, anyhow::Error>(done)
            })
        });
        let mut sum = 0;
        for reader in readers.collect::<Vec<_>>() {
            sum += reader.await.context("a reader panicked")??;
        }
        Ok::<_, anyhow::Error>(sum)
    })?;
    samples.push("reads", f64::from(u32::try_from(done)?) / began.elapsed().as_secs_f64());
    Ok(())
}
