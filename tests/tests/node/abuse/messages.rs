//! Messages that are large, become large, or are none.

use podwire_tests::{condition::eventually, random::Random};

use super::{
    Bounds, Siege, Way,
    raw::{DATA, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, Raw, call, field, frame, message},
};
use crate::private;

const APPLY: &str = "/podwire.v1.TopologyService/ApplyTopology";
/// All bytes of one peer's calls, 16 MiB, as bytes and as what they are parsed into, and what the allocator keeps.
const BOUNDS: Bounds = Bounds { memory: 128, descriptors: 64 };

/// A field of a message with a length.
fn nested(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut all = vec![number << 3 | 2];
    let mut rest = bytes.len();
    while rest >= 128 {
        all.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    all.push(u8::try_from(rest).unwrap());
    all.extend(bytes);
    all
}

/// ApplyTopologyRequest of `attack/x` with these bytes in its topology.
fn apply(bytes: &[u8]) -> Vec<u8> {
    nested(1, &[nested(1, b"attack"), nested(2, b"x"), bytes.to_vec()].concat())
}

/// Makes calls with this body, so many at once, and waits until each is answered or ended.
async fn calls(siege: &Siege, count: u32, headers: Vec<u8>, body: &[u8]) {
    let mut raw: Raw = siege.attacker().await.unwrap();
    raw.greet(&[]).await.unwrap();
    for number in 0..count {
        let stream = number * 2 + 1;
        raw.send(&frame(HEADERS, END_HEADERS, stream, &headers)).await.unwrap();
    }
    // All at once: none is whole before the others nearly are. The windows of the agent are not waited for.
    for (number, chunk) in body.chunks(16_000).enumerate() {
        let last = if (number + 1) * 16_000 >= body.len() { END_STREAM } else { 0 };
        for number in 0..count {
            if raw.send(&frame(DATA, last, number * 2 + 1, chunk)).await.is_err() {
                return;
            }
        }
        // Within the window of the connection.
        if count > 1 || body.len() > 200_000 {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    eventually("each is answered or all is ended", async || {
        let answered = raw.seen.count(HEADERS) + raw.seen.count(RST_STREAM);
        anyhow::ensure!(raw.seen.is_closed() || answered >= usize::try_from(count)?, "{:?}", raw.seen);
        Ok(())
    })
    .await;
}

#[test]
fn messages_of_100_mb_declared_and_sent() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let mut body = message(&[]);
        body[1..5].copy_from_slice(&100_000_000_u32.to_be_bytes());
        let declared = async {
            for _ in 0..100 {
                calls(&siege, 1, call(APPLY), &body).await;
            }
        };
        siege.endure("100 messages of 100 MB, declared", BOUNDS, declared).await;
        let mut body = message(&vec![b'x'; 100_000_000]);
        body.truncate(100_000_000);
        let sent = async {
            calls(&siege, 1, call(APPLY), &body).await;
        };
        siege.endure("a message of 100 MB, sent", BOUNDS, sent).await;
    });
}

#[test]
fn a_compressed_message_is_refused_before_it_is_unpacked() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let mut body = message(&[0x1f, 0x8b, 8, 0]);
        body[0] = 1;
        let headers = [call(APPLY), field("grpc-encoding", "gzip")].concat();
        let bombs = async {
            for _ in 0..100 {
                calls(&siege, 1, headers.clone(), &body).await;
            }
        };
        siege.endure("100 compressed messages", BOUNDS, bombs).await;
    });
}

#[test]
fn messages_of_4_mib_that_are_never_finished() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let whole = message(&apply(&nested(3, &nested(1, &vec![b'x'; 4_000_000]))));
        // Declared as a whole, and the last byte does not come.
        let body = whole[..whole.len() - 1].to_vec();
        let hold = async {
            let mut held = Vec::new();
            for _ in 0..8 {
                let mut raw = siege.attacker().await.unwrap();
                raw.greet(&[]).await.unwrap();
                for number in 0..128 {
                    raw.send(&frame(HEADERS, END_HEADERS, number * 2 + 1, &call(APPLY))).await.unwrap();
                }
                held.push(raw);
            }
            // To all streams in turn, as far as they take it.
            for chunk in body.chunks(16_000) {
                for raw in &mut held {
                    for number in 0..128 {
                        let _ = raw.send(&frame(DATA, 0, number * 2 + 1, chunk)).await;
                    }
                }
                if held.iter().all(|raw| raw.seen.is_closed()) {
                    break;
                }
                tokio::task::yield_now().await;
            }
            held
        };
        siege.endure("1024 unfinished messages of 4 MB", BOUNDS, hold).await;
    });
}

#[test]
fn messages_that_are_nested_deeply_or_are_none() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let mut deep = Vec::new();
        for _ in 0..100_000 {
            deep = if deep.len() < 200_000 { nested(1, &deep) } else { deep };
        }
        let mut random = Random::of(7);
        let mut noise =
            move || (0..random.number() % 2000).map(|_| random.number().to_le_bytes()[0]).collect::<Vec<u8>>();
        let attack = async {
            for _ in 0..20 {
                calls(&siege, 1, call(APPLY), &message(&deep)).await;
            }
            for number in 0..300 {
                let bytes = if number % 2 == 0 { noise() } else { apply(&noise()) };
                calls(&siege, 1, call(APPLY), &message(&bytes)).await;
            }
        };
        siege.endure("20 deeply nested and 300 random messages", BOUNDS, attack).await;
    });
}

#[test]
fn messages_of_many_elements_that_are_empty() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        for (what, field) in [("bridges", 3), ("links", 4), ("attachments", 5)] {
            let body = message(&apply(&nested(field, &[]).repeat(2_000_000)));
            let what = format!("4 messages of 2 million empty {what}");
            siege.endure(&what, BOUNDS, calls(&siege, 4, call(APPLY), &body)).await;
        }
        // Field 1000: the marks of a group, which no message has and which is skipped.
        let behind = [&b"\xc3\x3e\xc4\x3e"[..], &apply(&nested(3, &[]).repeat(2_000_000))].concat();
        let what = "4 messages of 2 million empty bridges behind a group";
        siege.endure(what, BOUNDS, calls(&siege, 4, call(APPLY), &message(&behind))).await;
    });
}
