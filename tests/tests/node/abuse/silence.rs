//! Connections that say nothing, or not enough.

use std::io;

use tokio::net::TcpStream;

use super::{
    ADDRESS, Bounds, PLAIN, Siege, Way,
    raw::{self, Raw},
};
use crate::private;

/// How many there are: `PODWIRE_CONNECTIONS`. Fewer in all runs, for they take their time even to be made.
fn crowd() -> usize {
    std::env::var("PODWIRE_CONNECTIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(2000)
}

/// What a listener has at the most: see `docs/security.md`.
const OF_ONE: usize = 64;
const HANDSHAKES: usize = 256;

/// MiB for so many connections, 64 KiB each, and 16 for the honest caller's work.
fn memory(connections: usize) -> u64 {
    u64::try_from(connections / 16).unwrap() + 16
}

async fn connect(way: Way) -> io::Result<TcpStream> {
    raw::tcp(if way == Way::Tls { ADDRESS } else { PLAIN }).await
}

async fn silent(lab: &podwire_tests::lab::Lab, way: Way, connections: usize) {
    let siege = Siege::lay(lab, way).await;
    let bounds = Bounds { memory: memory(connections), descriptors: connections };
    let (crowd, mut came) = (crowd(), 0);
    siege
        .endure(&format!("{crowd} connections that say nothing"), bounds, async {
            let mut held = Vec::with_capacity(crowd);
            for _ in 0..crowd {
                held.extend(connect(way).await.ok());
            }
            came = held.len();
            held
        })
        .await;
    assert!(came > crowd / 2, "it was no attack");
}

#[test]
fn thousands_of_connections_without_tls_that_say_nothing() {
    private(async |lab| silent(lab, Way::Plain, OF_ONE).await);
}

#[test]
fn thousands_of_connections_that_begin_no_handshake() {
    private(async |lab| silent(lab, Way::Tls, HANDSHAKES).await);
}

#[test]
fn thousands_of_connections_by_the_unix_socket() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Unix).await;
        let bounds = Bounds { memory: memory(1024), descriptors: 1024 };
        let crowd = crowd();
        siege
            .endure(&format!("{crowd} connections that say nothing"), bounds, async {
                let mut held = Vec::new();
                for _ in 0..crowd {
                    held.push(siege.attacker().await);
                }
                held
            })
            .await;
    });
}

#[test]
fn handshakes_and_beginnings_of_http_byte_by_byte() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let bounds = Bounds { memory: memory(HANDSHAKES), descriptors: HANDSHAKES };
        siege
            .endure("handshakes byte by byte", bounds, async {
                let mut slow: Vec<TcpStream> = Vec::new();
                for _ in 0..2 * HANDSHAKES {
                    slow.extend(connect(Way::Tls).await);
                }
                // The head of a record of 512 bytes (RFC 8446, section 5.1), and then a byte now and then.
                for byte in [22, 3, 1, 2, 0].into_iter().chain([1; 20]) {
                    for stream in &slow {
                        let _ = stream.try_write(&[byte]);
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            })
            .await;
    });
}

#[test]
fn connections_with_a_certificate_that_make_no_call() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let bounds = Bounds { memory: memory(HANDSHAKES), descriptors: HANDSHAKES };
        let connections = async {
            let mut held: Vec<Raw> = Vec::new();
            for _ in 0..300 {
                let mut raw = siege.attacker().await.unwrap();
                raw.listen();
                held.push(raw);
            }
            podwire_tests::condition::eventually("the older ones have gone for the newer ones", async || {
                let open = held.iter().filter(|raw| !raw.seen.is_closed()).count();
                anyhow::ensure!(open <= OF_ONE, "{open} are open");
                Ok(())
            })
            .await;
            held
        };
        siege.endure("300 connections with a certificate and no call", bounds, connections).await;
    });
}
