//! The store on a disk, where every reply waits for an fsync, against the store on a tmpfs.

use std::{fs, time::Instant};

use anyhow::Result;

use super::{
    Group,
    crowd::{all, make_pods, remove_pods},
    in_turn,
};
use crate::{
    bench::{Bench, PARKED, Side, ms},
    figures::{Goal, Row, Samples, median},
    lesson::{Lesson, Shape},
};

const TIMES: usize = 5;
const FEW_TIMES: usize = 2;

/// Two for each of the 16 callers; and in a small run.
const LESSONS: usize = 32;
const FEW_LESSONS: usize = 8;

pub(super) const DISK: Group = Group {
    name: "disk",
    rounds: [15, 1],
    round,
    rows: &[
        Row {
            name: "disk",
            what: "triangle, store on disk, one caller",
            against: "store on tmpfs",
            unit: "ms",
            ours: "disk",
            theirs: "tmpfs",
            goal: Goal::AtMost(1.3),
            margin: Goal::AtMost(25.0),
        },
        Row {
            name: "disk-16",
            what: "32 triangles, store on disk, 16 callers",
            against: "store on tmpfs",
            unit: "ms",
            ours: "disk-16",
            theirs: "tmpfs-16",
            goal: Goal::AtMost(1.2),
            margin: Goal::AtMost(25.0),
        },
    ],
};

fn round(bench: &Bench, round: usize, samples: &mut Samples) -> Result<()> {
    let disk = tempfile::tempdir_in(bench.disk()?)?;
    let on_disk = disk.path().join("state").display().to_string();
    let (mut ours, mut theirs) = ([0.0; 2], [0.0; 2]);
    in_turn(
        round,
        &mut [
            &mut || {
                ours = measure(bench, bench.start_with("disk", &on_disk, PARKED)?)?;
                Ok(())
            },
            &mut || {
                theirs = measure(bench, bench.start("tmpfs", PARKED)?)?;
                Ok(())
            },
        ],
    )?;
    fs::remove_dir_all(&on_disk)?;
    for (series, value) in ["disk", "disk-16", "tmpfs", "tmpfs-16"].into_iter().zip([ours, theirs].concat()) {
        samples.push(series, value);
    }
    Ok(())
}

/// Milliseconds of one lesson, and of many at once.
fn measure(bench: &Bench, mut side: Side) -> Result<[f64; 2]> {
    let (lessons, times) = if bench.small { (FEW_LESSONS, FEW_TIMES) } else { (LESSONS, TIMES) };
    let lessons: Vec<Lesson> = (0..lessons).map(|number| Lesson::triangle(Shape::Bridges, number)).collect();
    make_pods(&side.place, &lessons)?;
    bench.lesson(&mut side, "warm", &lessons[0])?;
    let mut one = Vec::new();
    for time in 0..times {
        one.push(ms(bench.lesson(&mut side, &format!("one{time}"), &lessons[0])?.0));
    }
    let began = Instant::now();
    bench.runtime.block_on(all(&side, &lessons, true))?;
    let many = began.elapsed();
    bench.runtime.block_on(all(&side, &lessons, false))?;
    side.place.wait_until_quiet()?;
    remove_pods(&side.place, &lessons)?;
    bench.stop(side)?;
    Ok([median(&one), ms(many)])
}
