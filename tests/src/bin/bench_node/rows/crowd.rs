//! Many lessons at once, and who waits for them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

use super::{Group, in_turn, thousand::wait_until_idle};
use crate::{
    bench::{Bench, PARKED, Side, apply, delete, ms},
    figures::{Goal, Row, Samples, median},
    floor,
    lesson::{Lesson, Shape},
    place::Place,
    plot::Line,
    plugins,
    wire::{Batch, RTM_SETLINK, Wire},
};

/// Callers of the agent at a time.
pub(super) const CALLERS: usize = 16;

/// Plugins at a time: more make them slower.
const PLUGINS: usize = 4;

/// Time between two requests of the bystander.
const PACE: Duration = Duration::from_micros(500);

pub(super) const CROWD: Group = Group {
    name: "crowd",
    rounds: [15, 1],
    round,
    rows: &[
        Row {
            name: "crowd",
            what: "100 topologies, 16 callers",
            against: "plugins, four at a time",
            unit: "ms",
            ours: "made",
            theirs: "adds",
            goal: Goal::Faster(10.0),
            margin: Goal::Faster(0.7),
        },
        Row {
            name: "crowd-delete",
            what: "100 deletions, 16 callers, until nothing is left but what is parked",
            against: "plugins, four at a time",
            unit: "ms",
            ours: "gone",
            theirs: "dels",
            goal: Goal::Faster(15.0),
            margin: Goal::Faster(0.25),
        },
        Row {
            name: "rtnl",
            what: "longest wait of another netlink caller meanwhile",
            against: "the plugins' (for comparison)",
            unit: "ms",
            ours: "wait",
            theirs: "plugins-wait",
            goal: Goal::Below(30.0),
            margin: Goal::Below(10_000.0),
        },
    ],
};

fn round(bench: &Bench, round: usize, samples: &mut Samples) -> Result<()> {
    let count = if bench.small { 12 } else { 100 };
    let lessons: Vec<Lesson> = (0..count).map(|number| Lesson::triangle(Shape::Bridges, number)).collect();
    let (mut ours, mut theirs) = ([0.0; 3], [0.0; 3]);
    in_turn(
        round,
        &mut [
            &mut || {
                let mut side = bench.start("crowd", PARKED)?;
                make_pods(&side.place, &lessons)?;
                // What is parked is there in the life of an agent, and the pods of a lesson are new, as they are for the plugins.
                at_once(bench, &mut side, &lessons)?;
                remove_pods(&side.place, &lessons)?;
                make_pods(&side.place, &lessons)?;
                wait_until_idle(side.agent.pid())?;
                ours = at_once(bench, &mut side, &lessons)?;
                remove_pods(&side.place, &lessons)?;
                bench.stop(side)
            },
            &mut || {
                let place = Place::new("netns-cni")?;
                make_pods(&place, &lessons)?;
                let bystander = Bystander::start()?;
                let began = Instant::now();
                by_four(&lessons, |number, lesson| plugins::add(&place, number, lesson))?;
                let added = began.elapsed();
                let began = Instant::now();
                by_four(&lessons, |number, lesson| plugins::del(&place, number, lesson))?;
                let deleted = began.elapsed();
                theirs = [added, deleted, bystander.finish()?].map(ms);
                plugins::clean()?;
                remove_pods(&place, &lessons)
            },
        ],
    )?;
    for (series, value) in ["made", "gone", "wait"].into_iter().zip(ours) {
        samples.push(series, value);
    }
    for (series, value) in ["adds", "dels", "plugins-wait"].into_iter().zip(theirs) {
        samples.push(series, value);
    }
    Ok(())
}

/// What it takes to make more and more topologies at once, each the median of three.
pub(crate) fn growth(bench: &Bench) -> Result<Vec<Line>> {
    let (mut agent, mut plugins, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    let place = Place::new("netns-cni")?;
    let mut side = bench.start("growth", PARKED)?;
    for count in [1_u16, 3, 10, 30, 100] {
        let lessons: Vec<Lesson> = (0..count.into()).map(|number| Lesson::triangle(Shape::Bridges, number)).collect();
        let (mut ours, mut theirs, mut least) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..3 {
            make_pods(&side.place, &lessons)?;
            ours.push(at_once(bench, &mut side, &lessons)?[0]);
            remove_pods(&side.place, &lessons)?;
            make_pods(&place, &lessons)?;
            let began = Instant::now();
            by_four(&lessons, |number, lesson| plugins::add(&place, number, lesson))?;
            theirs.push(ms(began.elapsed()));
            by_four(&lessons, |number, lesson| plugins::del(&place, number, lesson))?;
            plugins::clean()?;
            let mut sum = Duration::ZERO;
            for (number, lesson) in lessons.iter().enumerate() {
                sum += floor::make(&place, &format!("panel{number}"), lesson)?;
            }
            least.push(ms(sum));
            (0..).zip(&lessons).try_for_each(|(number, lesson): (usize, _)| {
                floor::unmake(&place, &format!("panel{number}"), lesson)
            })?;
            remove_pods(&place, &lessons)?;
        }
        let topologies = f64::from(count);
        for (points, times) in [(&mut agent, ours), (&mut plugins, theirs), (&mut floor, least)] {
            points.push((topologies, median(&times)));
        }
    }
    bench.stop(side)?;
    Ok(vec![
        Line { name: "plugins, four at a time", colour: "#b03030", points: plugins },
        Line { name: "podwire, 16 callers", colour: "#2060b0", points: agent },
        Line { name: "netlink floor", colour: "#555555", points: floor },
    ])
}

/// Milliseconds until all are READY, until nothing of them is left, and the longest wait of the bystander.
fn at_once(bench: &Bench, side: &mut Side, lessons: &[Lesson]) -> Result<[f64; 3]> {
    let bystander = Bystander::start()?;
    let began = Instant::now();
    bench.runtime.block_on(all(side, lessons, true))?;
    let made = began.elapsed();
    let began = Instant::now();
    bench.runtime.block_on(all(side, lessons, false))?;
    side.place.wait_until_quiet()?;
    let gone = began.elapsed();
    let parked = side.place.names("podwire_parked.")?.len();
    ensure!(parked >= lessons.len().min(PARKED), "of {} panels {parked} are parked", lessons.len());
    Ok([made, gone, bystander.finish()?].map(ms))
}

/// Makes or deletes all, by 16 callers with a connection each.
pub(super) async fn all(side: &Side, lessons: &[Lesson], make: bool) -> Result<()> {
    let callers = (0..CALLERS).map(|caller| {
        let mut calls = podwire_proto::v1::topology_service_client::TopologyServiceClient::new(side.agent.channel());
        let mine = (0..).zip(lessons).skip(caller).step_by(CALLERS);
        let mine: Vec<_> = mine.map(|(number, lesson): (usize, _)| (format!("t{number}"), lesson.clone())).collect();
        tokio::spawn(async move {
            for (name, lesson) in mine {
                if make {
                    apply(&mut calls, lesson.topology(&name)).await?;
                } else {
                    delete(&mut calls, &name).await?;
                }
            }
            Ok::<_, anyhow::Error>(())
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.context("a caller panicked")??;
    }
    Ok(())
}

fn by_four(lessons: &[Lesson], work: impl Fn(usize, &Lesson) -> Result<Duration> + Sync) -> Result<()> {
    let worker = |first: usize| {
        let mut mine = (0..).zip(lessons).skip(first).step_by(PLUGINS);
        mine.try_for_each(|(number, lesson)| work(number, lesson).map(drop))
    };
    let worker = &worker;
    thread::scope(|scope| {
        let workers: Vec<_> = (0..PLUGINS).map(|first| scope.spawn(move || worker(first))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })
}

pub(super) fn make_pods(place: &Place, lessons: &[Lesson]) -> Result<()> {
    lessons.iter().flat_map(|lesson| &lesson.pods).try_for_each(|pod| place.make(pod))
}

pub(super) fn remove_pods(place: &Place, lessons: &[Lesson]) -> Result<()> {
    lessons.iter().flat_map(|lesson| &lesson.pods).try_for_each(|pod| place.remove(pod))
}

/// Somebody else who changes something of the node's network, as kubelet's own CNI plugins do: it needs the same lock.
struct Bystander {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Duration>>,
}

impl Bystander {
    fn start() -> Result<Self> {
        let (stop, wire) = (Arc::new(AtomicBool::new(false)), Wire::open()?);
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut longest = Duration::ZERO;
            // `lo` keeps the group that it has.
            let mut batch = Batch::default();
            batch.message(RTM_SETLINK, 0, |body| {
                body.link(1, false);
                body.number(27, 0);
            });
            while !stopped.load(Ordering::Relaxed) {
                let began = Instant::now();
                wire.carry_out(&batch)?;
                longest = longest.max(began.elapsed());
                thread::sleep(PACE);
            }
            Ok(longest)
        });
        Ok(Self { stop, thread })
    }

    /// The longest wait.
    fn finish(self) -> Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the bystander panicked"))?
    }
}
