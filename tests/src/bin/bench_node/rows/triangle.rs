//! One lesson: three wires between three pods.

use anyhow::Result;

use super::{Group, in_turn};
use crate::{
    bench::{Bench, PARKED, ms},
    figures::{Goal, Row, Samples, median},
    floor,
    lesson::{Lesson, Shape},
    place::Place,
    plugins,
};

/// How often each side does it in a round, the plugins excepted; and in one of a small run.
const TIMES: usize = 5;
const FEW_TIMES: usize = 2;

const SIX_ADDS: &str = "six ADDs of bridge + host-local";

pub(super) const BRIDGES: Group = Group {
    name: "triangle",
    rounds: [15, 2],
    round: |bench, round, samples| measure(bench, round, samples, Shape::Bridges),
    rows: &[
        Row {
            name: "triangle",
            what: "ApplyTopology, 3 bridges, 6 interfaces",
            against: SIX_ADDS,
            unit: "ms",
            ours: "new",
            theirs: "adds",
            goal: Goal::Faster(15.0),
            margin: Goal::Faster(1.0),
        },
        Row {
            name: "triangle-floor",
            what: "the same, panel and bridges made new",
            against: "netlink floor",
            unit: "ms",
            ours: "new",
            theirs: "floor",
            goal: Goal::AtMost(1.5),
            margin: Goal::AtMost(25.0),
        },
        Row {
            name: "parked",
            what: "the same, of parked panel and bridges",
            against: "netlink floor, all made new",
            unit: "ms",
            ours: "parked",
            theirs: "floor",
            goal: Goal::AtMost(1.0),
            margin: Goal::AtMost(25.0),
        },
        Row {
            name: "delete",
            what: "DeleteTopology of it",
            against: "six DELs (bridges stay)",
            unit: "ms",
            ours: "delete",
            theirs: "dels",
            goal: Goal::Faster(5.0),
            margin: Goal::Faster(0.5),
        },
    ],
};

pub(super) const LINKS: Group = Group {
    name: "stitched",
    rounds: [15, 1],
    round: |bench, round, samples| measure(bench, round, samples, Shape::Links),
    rows: &[
        Row {
            name: "stitched",
            what: "ApplyTopology, 3 STITCHED links",
            against: SIX_ADDS,
            unit: "ms",
            ours: "new",
            theirs: "adds",
            goal: Goal::Faster(25.0),
            margin: Goal::Faster(1.0),
        },
        Row {
            name: "stitched-floor",
            what: "the same",
            against: "netlink floor",
            unit: "ms",
            ours: "new",
            theirs: "floor",
            goal: Goal::AtMost(1.5),
            margin: Goal::AtMost(25.0),
        },
    ],
};

fn measure(bench: &Bench, round: usize, samples: &mut Samples, shape: Shape) -> Result<()> {
    let lesson = Lesson::triangle(shape, 1);
    let (mut new, mut parked, mut floor, mut adds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut deleted, mut dels) = (Vec::new(), Vec::new());
    in_turn(
        round,
        &mut [
            &mut || agent(bench, "new", 0, &lesson, &mut new, &mut deleted),
            &mut || agent(bench, "parked", PARKED, &lesson, &mut parked, &mut Vec::new()),
            &mut || {
                let place = Place::new("netns-floor")?;
                make_pods(&place, &lesson)?;
                for time in 0..=times(bench) {
                    let panel = format!("panel{time}");
                    let made = floor::make(&place, &panel, &lesson)?;
                    floor::unmake(&place, &panel, &lesson)?;
                    if time > 0 {
                        floor.push(ms(made));
                    }
                }
                remove_pods(&place, &lesson)
            },
            &mut || {
                let (place, lesson) = (Place::new("netns-cni")?, Lesson::triangle(Shape::Bridges, 1));
                make_pods(&place, &lesson)?;
                adds.push(ms(plugins::add(&place, 1, &lesson)?));
                dels.push(ms(plugins::del(&place, 1, &lesson)?));
                plugins::clean()?;
                remove_pods(&place, &lesson)
            },
        ],
    )?;
    let all = [("new", new), ("parked", parked), ("delete", deleted), ("floor", floor), ("adds", adds), ("dels", dels)];
    for (series, values) in all {
        samples.push(series, median(&values));
    }
    Ok(())
}

/// Makes and deletes the lesson by an agent that parks so many panels.
fn agent(
    bench: &Bench,
    name: &str,
    parked: usize,
    lesson: &Lesson,
    made: &mut Vec<f64>,
    deleted: &mut Vec<f64>,
) -> Result<()> {
    let mut side = bench.start(name, parked)?;
    make_pods(&side.place, lesson)?;
    for time in 0..=times(bench) {
        let (apply, delete) = bench.lesson(&mut side, &format!("t{time}"), lesson)?;
        if time > 0 {
            made.push(ms(apply));
            deleted.push(ms(delete));
        }
    }
    remove_pods(&side.place, lesson)?;
    bench.stop(side)
}

fn times(bench: &Bench) -> usize {
    if bench.small { FEW_TIMES } else { TIMES }
}

fn make_pods(place: &Place, lesson: &Lesson) -> Result<()> {
    lesson.pods.iter().try_for_each(|pod| place.make(pod))
}

fn remove_pods(place: &Place, lesson: &Lesson) -> Result<()> {
    lesson.pods.iter().try_for_each(|pod| place.remove(pod))
}
