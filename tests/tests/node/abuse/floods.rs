//! Frames of HTTP/2 that cost who gets them more than who sends them.

use std::time::{Duration, Instant};

use podwire_tests::private::measured;

use super::{
    Bounds, Siege, Way,
    raw::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, Raw, SETTINGS,
        WINDOW_UPDATE, call, field, frame, message,
    },
};
use crate::private;

const LIST: &str = "/podwire.v1.TopologyService/ListTopologies";
const APPLY: &str = "/podwire.v1.TopologyService/ApplyTopology";
/// Connections that flood at once, and for how long.
const FLOODERS: usize = 8;
const TIME: Duration = Duration::from_millis(1500);

/// 64 MiB for whatever the connections hold: 8 of them have windows of 256 KiB, and buffers of the same order.
const BOUNDS: Bounds = Bounds { memory: 64, descriptors: FLOODERS + 32 };

/// Sends what `bytes` makes of 0, 1, 2… over and over, by several connections, each anew where it was ended.
async fn flood(siege: &Siege, what: &str, bounds: Bounds, bytes: impl Fn(u32) -> Vec<u8> + Clone) {
    let (mut sent, mut ended) = (0, 0);
    siege
        .endure(what, bounds, async {
            let started = Instant::now();
            let one = || async {
                let (mut sent, mut ended) = (0_usize, 0_usize);
                while started.elapsed() < TIME {
                    let Ok(mut raw) = siege.attacker().await else { continue };
                    if raw.greet(&[]).await.is_err() {
                        continue;
                    }
                    for number in 0.. {
                        let chunk = bytes(number);
                        if started.elapsed() >= TIME {
                            break;
                        }
                        // One that takes no more is as good as one that is ended: both cost nothing more.
                        match tokio::time::timeout(TIME, raw.send(&chunk)).await {
                            Ok(Ok(())) => sent += chunk.len(),
                            Ok(Err(_)) => {
                                ended += 1;
                                break;
                            }
                            Err(_) => break,
                        }
                        if raw.seen.is_closed() || raw.seen.count(GOAWAY) > 0 {
                            ended += 1;
                            break;
                        }
                    }
                }
                (sent, ended)
            };
            let all = futures_util::future::join_all((0..FLOODERS).map(|_| one())).await;
            (sent, ended) = all.into_iter().fold((0, 0), |(sent, ended), one| (sent + one.0, ended + one.1));
        })
        .await;
    measured(&format!("{what}: {} KiB were sent, {ended} connections ended", sent / 1024));
    assert!(sent > 0, "it was no flood");
}

/// Streams of a client have odd numbers.
fn stream(number: u32) -> u32 {
    number * 2 + 1
}

fn begun_and_taken_back(method: &'static str, body: Vec<u8>) -> impl Fn(u32) -> Vec<u8> + Clone {
    move |number| {
        let mut all = Vec::new();
        for number in number * 100..(number + 1) * 100 {
            all.extend(frame(HEADERS, END_HEADERS, stream(number), &call(method)));
            all.extend(frame(DATA, END_STREAM, stream(number), &message(&body)));
            all.extend(frame(RST_STREAM, 0, stream(number), &8_u32.to_be_bytes()));
        }
        all
    }
}

#[test]
fn calls_that_are_taken_back_at_once() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Plain).await;
        // namespace: attack
        let list = begun_and_taken_back(LIST, b"\x0a\x06attack".to_vec());
        flood(&siege, "rapid reset of reads", BOUNDS, list).await;
    });
}

#[test]
fn changes_that_are_taken_back_at_once() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        // topology: {namespace: attack, name: x, bridges: [{name: b}]}
        let topology = b"\x0a\x06attack\x12\x01x".to_vec();
        let mut apply = vec![0x0a, u8::try_from(topology.len()).unwrap()];
        apply.extend(topology);
        flood(&siege, "rapid reset of changes", BOUNDS, begun_and_taken_back(APPLY, apply)).await;
    });
}

#[test]
fn settings_and_pings_without_end() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        // Six settings, each a new greatest header table or window, a thousand times.
        let settings = |number: u32| {
            let value = (number % 4096).to_be_bytes();
            let payload: Vec<u8> = [1_u16, 4].iter().flat_map(|id| [&id.to_be_bytes()[..], &value].concat()).collect();
            frame(SETTINGS, 0, 0, &payload).repeat(1000)
        };
        flood(&siege, "settings", BOUNDS, settings).await;
        flood(&siege, "pings", BOUNDS, |_| frame(PING, 0, 0, b"12345678").repeat(1000)).await;
        flood(&siege, "answers to pings", BOUNDS, |_| frame(PING, ACK, 0, b"12345678").repeat(1000)).await;
    });
}

#[test]
fn frames_that_say_nothing() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Plain).await;
        let empty_data = |number: u32| {
            let mut all = if number == 0 { frame(HEADERS, END_HEADERS, 1, &call(LIST)) } else { Vec::new() };
            all.extend(frame(DATA, 0, 1, &[]).repeat(1000));
            all
        };
        flood(&siege, "empty data", BOUNDS, empty_data).await;
        let priority = |number: u32| frame(PRIORITY, 0, stream(number), &[0, 0, 0, 0, 1]).repeat(1000);
        flood(&siege, "priorities", BOUNDS, priority).await;
        flood(&siege, "windows", BOUNDS, |_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()).repeat(1000)).await;
        let window = |_| frame(WINDOW_UPDATE, 0, 0, &0x7fff_ffff_u32.to_be_bytes());
        flood(&siege, "a window that is too large", BOUNDS, window).await;
    });
}

#[test]
fn headers_that_never_end() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Plain).await;
        let bytes = field("x", &"y".repeat(1000)).repeat(16);
        let headers = move |number: u32| match number {
            0 => frame(HEADERS, 0, 1, &call(LIST)),
            _ => frame(CONTINUATION, 0, 1, &bytes),
        };
        flood(&siege, "continuations", BOUNDS, headers).await;
        let one_byte = |number: u32| match number {
            0 => frame(HEADERS, 0, 1, &[]),
            _ => frame(CONTINUATION, 0, 1, &[]).repeat(1000),
        };
        flood(&siege, "empty continuations", BOUNDS, one_byte).await;
    });
}

#[test]
fn thousands_of_streams_of_one_connection() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        // Begun and not finished: the agent waits for their messages.
        let open = |number: u32| {
            let streams = number * 100..(number + 1) * 100;
            streams.flat_map(|number| frame(HEADERS, END_HEADERS, stream(number), &call(LIST))).collect()
        };
        flood(&siege, "thousands of streams", BOUNDS, open).await;
    });
}

#[test]
fn a_peer_whose_windows_are_closed_waits_alone() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let calls = async {
            let mut held = Vec::new();
            for _ in 0..FLOODERS {
                let mut raw: Raw = siege.attacker().await.unwrap();
                // SETTINGS_INITIAL_WINDOW_SIZE
                raw.greet(&[(4, 0)]).await.unwrap();
                for number in 0..128 {
                    let mut bytes = frame(HEADERS, END_HEADERS, stream(number), &call(LIST));
                    bytes.extend(frame(DATA, END_STREAM, stream(number), &message(b"\x0a\x06attack")));
                    raw.send(&bytes).await.unwrap();
                }
                held.push(raw);
            }
            podwire_tests::condition::eventually("the calls are answered as far as they may", async || {
                let answered: usize = held.iter().map(|raw| raw.seen.count(HEADERS)).sum();
                anyhow::ensure!(answered >= FLOODERS * 128, "{answered}");
                Ok(())
            })
            .await;
            held
        };
        siege.endure("1024 answers that nobody takes", BOUNDS, calls).await;
    });
}
