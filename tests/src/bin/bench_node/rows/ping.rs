//! The first frame after READY.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use anyhow::Result;
use podwire_tests::echo::echo;

use super::{
    Group,
    crowd::{make_pods, remove_pods},
    in_turn,
};
use crate::{
    bench::{Bench, PARKED, apply, delete, ms},
    figures::{Goal, Row, Samples},
    lesson::{Lesson, Shape},
    place::Place,
    plugins,
};

/// The kernel asks again for an address after 1 s: whose first frame was lost takes longer than this.
const LOST: f64 = 900.0;

pub(super) const PING: Group = Group {
    name: "ping",
    rounds: [1, 1],
    round,
    rows: &[
        Row {
            name: "ping",
            what: "slowest first ping after READY, 204 interfaces",
            against: "after the plugins' ADD",
            unit: "ms",
            ours: "slowest",
            theirs: "plugins-slowest",
            goal: Goal::Below(10.0),
            margin: Goal::Below(900.0),
        },
        Row {
            name: "ping-lost",
            what: "first pings above 900 ms",
            against: "after the plugins' ADD",
            unit: "%",
            ours: "lost",
            theirs: "plugins-lost",
            goal: Goal::Below(0.1),
            margin: Goal::Below(0.1),
        },
    ],
};

fn round(bench: &Bench, _: usize, samples: &mut Samples) -> Result<()> {
    let count = if bench.small { 2 } else { 34 };
    let mut side = bench.start("ping", PARKED)?;
    let place = Place::new("netns-cni")?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 0..count {
        let shape = if number % 2 == 0 { Shape::Bridges } else { Shape::Links };
        let lesson = [Lesson::triangle(shape, number)];
        in_turn(
            number,
            &mut [
                &mut || {
                    make_pods(&side.place, &lesson)?;
                    bench.runtime.block_on(apply(&mut side.calls, lesson[0].topology("ping")))?;
                    pings(&side.place, &lesson[0], |plug| Ok(Ipv4Addr::from(plug.address).into()), &mut ours)?;
                    bench.runtime.block_on(delete(&mut side.calls, "ping"))?;
                    remove_pods(&side.place, &lesson)
                },
                &mut || {
                    make_pods(&place, &lesson)?;
                    plugins::add(&place, number, &lesson[0])?;
                    // host-local hands out the second address of a subnet and those after it, in order.
                    let address = |plug: &crate::lesson::Plug| {
                        let [low, high] = [number % 256, number / 256].map(|byte| u8::try_from(byte).unwrap_or(0));
                        let net = high * 3 + u8::try_from(plug.wire)?;
                        Ok(IpAddr::from([10, net, low, if plug.to_far { 2 } else { 3 }]))
                    };
                    pings(&place, &lesson[0], address, &mut theirs)?;
                    plugins::del(&place, number, &lesson[0])?;
                    plugins::clean()?;
                    remove_pods(&place, &lesson)
                },
            ],
        )?;
    }
    side.place.wait_until_quiet()?;
    bench.stop(side)?;
    for (series, lost, times) in [("slowest", "lost", &ours), ("plugins-slowest", "plugins-lost", &theirs)] {
        samples.push(series, times.iter().copied().fold(0.0, f64::max));
        let late = times.iter().filter(|time| **time > LOST).count();
        samples.push(lost, f64::from(u32::try_from(late * 100)?) / f64::from(u32::try_from(times.len())?));
    }
    Ok(())
}

/// One ping along each wire, which also asks for the address: the first frames of both its interfaces.
fn pings(
    place: &Place,
    lesson: &Lesson,
    address: impl Fn(&crate::lesson::Plug) -> Result<IpAddr>,
    times: &mut Vec<f64>,
) -> Result<()> {
    for ends in lesson.plugs.chunks(2) {
        let from = place.path(&lesson.pods[ends[0].pod]);
        let took = echo(&from.display().to_string(), address(&ends[1])?, Duration::from_secs(5))?;
        times.extend([ms(took); 2]);
    }
    Ok(())
}
