//! Headers that are too large, and small ones that become large.

use podwire_tests::condition::eventually;

use super::{
    Bounds, Siege, Way,
    raw::{CONTINUATION, END_HEADERS, HEADERS, Raw, call, field, frame, length},
};
use crate::private;

const BOUNDS: Bounds = Bounds { memory: 48, descriptors: 64 };
const LIST: &str = "/podwire.v1.TopologyService/ListTopologies";

/// Sends a block of headers in frames of 16 KiB.
async fn send(raw: &mut Raw, block: &[u8]) -> std::io::Result<()> {
    let chunks: Vec<&[u8]> = block.chunks(16_384).collect();
    for (number, chunk) in chunks.iter().enumerate() {
        let kind = if number == 0 { HEADERS } else { CONTINUATION };
        let last = if number + 1 == chunks.len() { END_HEADERS } else { 0 };
        raw.send(&frame(kind, last, 1, chunk)).await?;
    }
    Ok(())
}

/// Sends the same headers by many connections; each is refused or ended.
async fn endure(siege: &Siege, what: &str, block: Vec<u8>) {
    siege
        .endure(what, BOUNDS, async {
            for _ in 0..40 {
                let mut raw = siege.attacker().await.unwrap();
                raw.greet(&[]).await.unwrap();
                let _ = send(&mut raw, &block).await;
                // An answer (431 of RFC 6585, as hyper's has it), a reset, or the end.
                eventually("it is answered or ended", async || {
                    let seen = &raw.seen;
                    let answered = seen.count(HEADERS) + seen.count(super::raw::RST_STREAM) > 0;
                    anyhow::ensure!(answered || seen.is_closed(), "{seen:?}");
                    Ok(())
                })
                .await;
            }
        })
        .await;
}

#[test]
fn headers_of_a_mebibyte() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let mut block = call(LIST);
        block.extend((0..1100).flat_map(|number| field(&format!("x-{number}"), &"y".repeat(1000))));
        assert!(block.len() > 1 << 20);
        endure(&siege, "40 calls with 1 MiB of headers", block).await;
    });
}

#[test]
fn a_small_header_that_is_said_many_times() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Plain).await;
        let mut block = call(LIST);
        // With incremental indexing (RFC 7541, section 6.2.1), then by its index: 62 is the newest, and 0xbe says so. A byte for 4,000.
        block.push(0x40);
        for text in ["x", &"y".repeat(4000)] {
            length(text.len(), 7, 0, &mut block);
            block.extend(text.as_bytes());
        }
        block.extend(std::iter::repeat_n(0xbe, 16_000 * 4));
        endure(&siege, "40 calls with 256 MB of headers in 68 KiB", block).await;
    });
}
