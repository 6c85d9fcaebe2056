//! Captures under load: memory, drops, and what they cost the wire.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use podwire_client::{CaptureRequest, DEFAULT_DEADLINE};
use podwire_proto::v1::LinkMode;
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, nic, plug, topology},
    film::{Film, capinfos, drops_told, footprint},
    tap::Tap,
};

use crate::capture::{of_a, quiet, wire, with_readers};

/// Frames of a flood: 280 MB.
const FLOOD: u32 = 200_000;
/// Frames of a burst whose time is taken.
const BURST: u32 = 50_000;
/// Ports of a large bridge.
const PORTS: usize = 100;

/// Sends so many frames of 1414 bytes as fast as it goes; how long it took.
fn flood(from: &Tap, to: [u8; 6], frames: u32) -> Duration {
    let body = [&b"\x88\xb6"[..], &[7; 1400]].concat();
    let begin = Instant::now();
    for _ in 0..frames {
        from.send(to, &body).unwrap();
    }
    begin.elapsed()
}

#[test]
fn a_slow_reader_costs_frames_that_are_counted_and_no_memory() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let (at_a, to) = (a.tap("net1"), b.tap("net1").mac());
        let before = footprint(&agent);
        let mut film = Film::start(&agent, of_a()).await.unwrap();
        let took = flood(&at_a, to, FLOOD);
        let during = footprint(&agent);
        println!("{FLOOD} frames in {took:?}; resident kB {} before, {} after", before.0, during.0);
        assert!(during.0 < before.0 + 24 * 1024, "kB: {before:?} {during:?}");
        // Now it wakes: what was kept comes, and what was dropped is told.
        eventually("every frame is accounted for", async || {
            film.glance().await;
            // One more, so that there is something to tell of.
            at_a.send(to, b"\x88\xb6").unwrap();
            holds(drops_told(film.file()) > 0, "no drops told yet")
        })
        .await;
        agent.delete("12").await.unwrap();
        let (file, frames, drops, _) = film.until_end().await;
        println!("{frames} frames kept, {drops} dropped");
        assert!(frames + drops >= u64::from(FLOOD), "{frames} + {drops}");
        assert_eq!(drops_told(&file), drops, "the file tells it too");
        let told = capinfos(lab, &file).unwrap();
        let packets = told.lines().find_map(|line| line.strip_prefix("Number of packets:"));
        assert_eq!(packets.map(str::trim), Some(frames.to_string().as_str()), "{told}");
    });
}

#[test]
fn a_capture_that_is_read_costs_the_wire_little() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let at_a = a.tap("net1");
        let to = b.tap("net1").mac();
        let mut figures: [Vec<Duration>; 3] = Default::default();
        for _ in 0..5 {
            figures[0].push(flood(&at_a, to, BURST));
            let asleep = Film::start(&agent, of_a()).await.unwrap();
            figures[1].push(flood(&at_a, to, BURST));
            drop(asleep);
            let request = CaptureRequest::link("lessons", "12", "w1");
            let mut film = Film::start(&agent, request).await.unwrap();
            let done = AtomicBool::new(false);
            let took = thread::scope(|scope| {
                let sender = scope.spawn(|| {
                    let took = flood(&at_a, to, BURST);
                    done.store(true, Ordering::Relaxed);
                    took
                });
                tokio::task::block_in_place(|| {
                    tokio::runtime::Handle::current().block_on(async {
                        while !done.load(Ordering::Relaxed) {
                            film.glance().await;
                        }
                    });
                });
                sender.join().unwrap()
            });
            figures[2].push(took);
            film.glance().await;
            println!("read: {} of {BURST} frames", film.frames());
        }
        let best = figures.each_ref().map(|times| *times.iter().min().unwrap());
        let rate = best.map(|time| f64::from(BURST) / time.as_secs_f64() / 1000.0);
        println!(
            "thousand frames a second: {:.0} bare, {:.0} with a capture nobody reads, {:.0} with one that is read",
            rate[0], rate[1], rate[2]
        );
        // Two processors for sender, wire, agent and reader: a capture that held up the wire would cost far more.
        assert!(best[1] < best[0] * 3 && best[2] < best[0] * 4, "{best:?}");
    });
}

#[test]
fn a_bridge_of_many_ports_is_captured_at_once() {
    with_readers(async |lab| {
        let agent = lab.agent().start().await;
        lab.pods(["a", "b"]);
        let mut wanted = topology("12");
        wanted.bridges.push(bridge("lan"));
        let pod = |at: usize| if at.is_multiple_of(2) { "a" } else { "b" };
        wanted.attachments =
            (0..PORTS).map(|at| plug(&format!("p{at}"), nic(pod(at), &format!("net{at}")), "lan")).collect();
        agent.apply(wanted).await.unwrap();
        let begin = Instant::now();
        let mut film = Film::start(&agent, CaptureRequest::bridge("lessons", "12", "lan")).await.unwrap();
        let took = begin.elapsed();
        println!("{PORTS} ports are captured after {took:?}");
        assert!(took < DEFAULT_DEADLINE, "{took:?}");
        eventually("the file describes all of them", async || {
            film.glance().await;
            let told = capinfos(lab, film.file()).unwrap();
            let count = told.lines().find_map(|line| line.strip_prefix("Number of interfaces in file:"));
            holds(count.is_some_and(|count| count.trim() == PORTS.to_string()), told)
        })
        .await;
        let before = footprint(&agent).1;
        drop(film);
        let begin = Instant::now();
        eventually("its sockets are closed", async || {
            let now = footprint(&agent).1;
            holds(now + PORTS <= before, format!("{before} {now}"))
        })
        .await;
        println!("and let go of after {:?}", begin.elapsed());
    });
}
