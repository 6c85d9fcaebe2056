//! What a wire passes: stitched by tc, through a kernel bridge, and by a bare veth pair with nothing between.

use std::{
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::Pid,
};
use podwire_proto::v1::Topology;
use podwire_tests::elements::{bridge, link, nic_at, plug, topology};

use super::Group;
use crate::{
    bench::{Bench, PARKED, apply, delete},
    figures::{Goal, Row, Samples},
    place::{Place, inside, on_thread},
    wire::{Batch, NLM_F_CREATE, NLM_F_EXCL, RTM_NEWADDR, RTM_NEWLINK, RTM_SETLINK, Wire},
};

/// How long bytes are sent in a round.
const WHILE: Duration = Duration::from_millis(300);

/// Frames of a round.
const FRAMES: u32 = 60_000;

/// Index of the bare pair, in both pods.
const BARE: u32 = 900;

/// Third byte of the addresses of each wire, with the names of its series.
const WIRES: [(u8, &str, &str); 3] =
    [(1, "stitched", "stitched-frames"), (2, "bridge", "bridge-frames"), (3, "veth", "veth-frames")];

pub(super) const TRAFFIC: Group = Group {
    name: "traffic",
    rounds: [1, 1],
    round,
    rows: &[
        Row {
            name: "bytes-bridge",
            what: "bytes by TCP through a STITCHED link",
            against: "through a kernel bridge",
            unit: "Gbit/s",
            ours: "stitched",
            theirs: "bridge",
            goal: Goal::AtLeast(1.0),
            margin: Goal::AtLeast(0.25),
        },
        Row {
            name: "bytes-veth",
            what: "bytes by TCP through a STITCHED link",
            against: "through a bare veth pair",
            unit: "Gbit/s",
            ours: "stitched",
            theirs: "veth",
            goal: Goal::AtLeast(0.9),
            margin: Goal::AtLeast(0.2),
        },
        Row {
            name: "frames-bridge",
            what: "frames for a second of CPU, STITCHED",
            against: "through a kernel bridge",
            unit: "k",
            ours: "stitched-frames",
            theirs: "bridge-frames",
            goal: Goal::AtLeast(1.0),
            margin: Goal::AtLeast(0.25),
        },
        Row {
            name: "frames-veth",
            what: "frames for a second of CPU, STITCHED",
            against: "through a bare veth pair",
            unit: "k",
            ours: "stitched-frames",
            theirs: "veth-frames",
            goal: Goal::AtLeast(0.75),
            margin: Goal::AtLeast(0.2),
        },
    ],
};

/// One pair of pods with all three wires; the rounds are inside.
fn round(bench: &Bench, _: usize, samples: &mut Samples) -> Result<()> {
    let rounds = if bench.small { 3 } else { 15 };
    let mut side = bench.start("traffic", PARKED)?;
    side.place.make("left")?;
    side.place.make("right")?;
    let wires = Topology {
        links: vec![link("w", nic_at("left", "w", &["10.1.1.1/24"]), nic_at("right", "w", &["10.1.1.2/24"]))],
        bridges: vec![bridge("lan")],
        attachments: vec![
            plug("l", nic_at("left", "lan", &["10.1.2.1/24"]), "lan"),
            plug("r", nic_at("right", "lan", &["10.1.2.2/24"]), "lan"),
        ],
        ..topology("traffic")
    };
    bench.runtime.block_on(apply(&mut side.calls, wires))?;
    bare(&side.place)?;
    for round in 0..rounds {
        for turn in 0..WIRES.len() {
            let (wire, bytes_series, frames_series) = WIRES[(round + turn) % WIRES.len()];
            samples.push(bytes_series, bytes(&side.place, wire)?);
            samples.push(frames_series, frames(&side.place, wire)?);
        }
    }
    bench.runtime.block_on(delete(&mut side.calls, "traffic"))?;
    side.place.wait_until_quiet()?;
    side.place.remove("left")?;
    side.place.remove("right")?;
    bench.stop(side)
}

/// A veth pair from pod to pod, with one queue as ours.
fn bare(place: &Place) -> Result<()> {
    let right = File::open(place.path("right"))?;
    let address = |last: u8| {
        let mut batch = Batch::default();
        batch.message(RTM_SETLINK, 0, |body| body.link(BARE + u32::from(last), true));
        batch.message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, |body| {
            body.raw(&[2, 24, 0, 0]);
            body.raw(&(BARE + u32::from(last)).to_ne_bytes());
            body.attribute(1, &[10, 1, 3, last]);
            body.attribute(2, &[10, 1, 3, last]);
        });
        batch
    };
    inside(&place.path("left"), || {
        let mut batch = Batch::default();
        batch.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, |body| {
            body.link(BARE + 1, false);
            body.text(3, "bare");
            body.number(31, 1);
            body.number(32, 1);
            body.nested(18, |info| {
                info.text(1, "veth");
                info.nested(2, |data| {
                    data.nested(1, |peer| {
                        peer.link(BARE + 2, false);
                        peer.text(3, "bare");
                        peer.number(28, u32::try_from(right.as_raw_fd()).unwrap_or(u32::MAX));
                        peer.number(31, 1);
                        peer.number(32, 1);
                    });
                });
            });
        });
        let wire = Wire::open()?;
        wire.carry_out(&batch)?;
        wire.carry_out(&address(1))
    })?;
    inside(&place.path("right"), || Wire::open()?.carry_out(&address(2)))
}

fn address(wire: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, wire, 2)
}

/// Gbit/s by one TCP connection.
fn bytes(place: &Place, wire: u8) -> Result<f64> {
    let listener = inside(&place.path("right"), || Ok(TcpListener::bind((address(wire), 0))?))?;
    let target = listener.local_addr()?;
    let receiver = thread::spawn(move || -> Result<u64> {
        let (mut stream, _) = listener.accept()?;
        let (mut buffer, mut sum) = (vec![0; 256 << 10], 0);
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(sum),
                length => sum += length as u64,
            }
        }
    });
    let mut stream = inside(&place.path("left"), || Ok(TcpStream::connect(target)?))?;
    let (buffer, began) = (vec![0; 256 << 10], Instant::now());
    while began.elapsed() < WHILE {
        stream.write_all(&buffer)?;
    }
    drop(stream);
    let sum = receiver.join().map_err(|_| anyhow!("the receiver panicked"))??;
    let bits = Duration::from_nanos(sum * 8).as_secs_f64();
    Ok(bits / began.elapsed().as_secs_f64())
}

/// Thousands of small frames for each second of CPU that a pinned sender spends; the kernel receives on the same one.
fn frames(place: &Place, wire: u8) -> Result<f64> {
    // Nobody reads it: what it costs to drop there is the same for all.
    let ear = inside(&place.path("right"), || Ok(UdpSocket::bind((address(wire), 0))?))?;
    let target: SocketAddr = ear.local_addr()?;
    let mouth = inside(&place.path("left"), || Ok(UdpSocket::bind("0.0.0.0:0")?))?;
    mouth.connect(target)?;
    on_thread(|| {
        let mut one = CpuSet::new();
        one.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
        let began = now()?;
        for _ in 0..FRAMES {
            mouth.send(&[0; 18])?;
        }
        let took = now()?.saturating_sub(began);
        Ok(f64::from(FRAMES) / 1000.0 / took.as_secs_f64())
    })
}
