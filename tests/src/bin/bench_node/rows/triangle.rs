//! One lesson: three wires between three pods.

use anyhow::Result;

use super::{Group, in_turn};
use crate::{
    bench::{Bench, ms},
    figures::{Goal, Row, Samples, median},
    floor,
    lesson::{Lesson, Shape},
    place::Place,
    plugins,
};

/// How often each side does it in a round, the plugins excepted.
const TIMES: usize = 5;

const SIX_ADDS: &str = "six ADDs of bridge + host-local";

pub(super) const BRIDGES: Group = Group {
    name: "triangle",
    rounds: [15, 3],
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
            margin: Goal::Faster(2.0),
        },
        Row {
            name: "triangle-floor",
            what: "the same, panel and bridges made new",
            against: "netlink floor",
            unit: "ms",
            ours: "new",
            theirs: "floor",
            goal: Goal::AtMost(1.5),
            margin: Goal::AtMost(12.0),
        },
        Row {
            name: "delete",
            what: "DeleteTopology of it",
            against: "six DELs (bridges stay)",
            unit: "ms",
            ours: "delete",
            theirs: "dels",
            goal: Goal::Faster(5.0),
            margin: Goal::Faster(1.0),
        },
    ],
};

pub(super) const LINKS: Group = Group {
    name: "stitched",
    rounds: [15, 3],
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
            margin: Goal::Faster(2.0),
        },
        Row {
            name: "stitched-floor",
            what: "the same",
            against: "netlink floor",
            unit: "ms",
            ours: "new",
            theirs: "floor",
            goal: Goal::AtMost(1.5),
            margin: Goal::AtMost(12.0),
        },
    ],
};

fn measure(bench: &Bench, round: usize, samples: &mut Samples, shape: Shape) -> Result<()> {
    let lesson = Lesson::triangle(shape, 1);
    let (mut new, mut floor, mut adds) = (Vec::new(), Vec::new(), Vec::new());
    let (mut deleted, mut dels) = (Vec::new(), Vec::new());
    in_turn(
        round,
        &mut [
            &mut || {
                let mut side = bench.start("new", &[])?;
                make_pods(&side.place, &lesson)?;
                bench.lesson(&mut side, "warm", &lesson)?;
                for time in 0..TIMES {
                    let (made, gone) = bench.lesson(&mut side, &format!("t{time}"), &lesson)?;
                    new.push(ms(made));
                    deleted.push(ms(gone));
                }
                remove_pods(&side.place, &lesson)?;
                bench.stop(side)
            },
            &mut || {
                let place = Place::new("netns-floor")?;
                make_pods(&place, &lesson)?;
                for time in 0..=TIMES {
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
    for (series, values) in [("new", new), ("delete", deleted), ("floor", floor), ("adds", adds), ("dels", dels)] {
        samples.push(series, median(&values));
    }
    Ok(())
}

fn make_pods(place: &Place, lesson: &Lesson) -> Result<()> {
    lesson.pods.iter().try_for_each(|pod| place.make(pod))
}

fn remove_pods(place: &Place, lesson: &Lesson) -> Result<()> {
    lesson.pods.iter().try_for_each(|pod| place.remove(pod))
}
