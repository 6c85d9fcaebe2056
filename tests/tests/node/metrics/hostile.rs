//! Whoever reaches the port for metrics may send what he likes.

use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use podwire_tests::{
    condition::{PATIENCE, eventually, holds},
    elements::topology,
    exposition::request,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{address, scrape, told};
use crate::private;

/// How long a connection has to say what it asks for, as `run/exporter.rs` has it.
const HEADERS: Duration = Duration::from_secs(5);

#[test]
fn only_get_of_one_path_is_answered() {
    private(async |lab| {
        let agent = told(lab).start().await;
        for (asked, code) in [
            ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "405"),
            ("DELETE /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "405"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
            ("GET /metrics/../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", "404"),
            ("GET /metrics?x=%ff HTTP/1.0\r\n\r\n", "200"),
            ("nonsense\r\n\r\n", "400"),
        ] {
            let (status, body) = request(address(), asked).await.unwrap();
            assert_eq!(status.split(' ').nth(1), Some(code), "{asked:?}: {status} {body}");
        }
        assert!(!agent.log().contains("panicked"), "{}", agent.log());
    });
}

#[test]
fn headers_without_end_and_senders_without_haste_are_cut_off() {
    private(async |lab| {
        let agent = told(lab).start().await;
        let before = scrape().await.sum("podwire_resident_memory_bytes", &[]);
        // One header of 1 MiB: refused long before its end.
        let mut stream = TcpStream::connect(address()).await.unwrap();
        let header = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1024 * 1024));
        // Cut off while it is sent, or after.
        let _ = stream.write_all(header.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends");
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
        // A byte now and then.
        let mut slow = TcpStream::connect(address()).await.unwrap();
        let ended = async {
            loop {
                let mut byte = [0; 1];
                if slow.write_all(b"G").await.is_err() {
                    return;
                }
                // Not a wait for something: this is how slow it is.
                if let Ok(read) = timeout(Duration::from_millis(200), slow.read(&mut byte)).await
                    && read.unwrap_or(0) == 0
                {
                    return;
                }
            }
        };
        timeout(PATIENCE, ended).await.expect("it is cut off");
        let after = scrape().await.sum("podwire_resident_memory_bytes", &[]);
        assert!(after - before < 8.0 * 1024.0 * 1024.0, "{before} {after}");
        agent.apply(topology("12")).await.unwrap();
    });
}

#[test]
fn a_thousand_who_say_nothing_keep_nobody_from_asking() {
    private(async |lab| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        let agent = told(lab).start().await;
        let open = scrape().await.sum("podwire_open_descriptors", &[]);
        let mut idle = Vec::new();
        for n in 0..1000 {
            idle.push(TcpStream::connect(address()).await.unwrap());
            if n % 250 == 0 {
                scrape().await;
                agent.apply(topology("12")).await.unwrap();
            }
        }
        let began = Instant::now();
        eventually("there are 32 connections and some calls at the most", async || {
            let now = scrape().await.sum("podwire_open_descriptors", &[]);
            holds(now < open + 60.0, format!("{open} {now}"))
        })
        .await;
        assert!(began.elapsed() < HEADERS / 2, "{:?}: not before the others timed out", began.elapsed());
        drop(idle);
        eventually("they are gone", async || {
            let now = scrape().await.sum("podwire_open_descriptors", &[]);
            sleep(Duration::from_millis(50)).await;
            holds(now < open + 8.0, format!("{open} {now}"))
        })
        .await;
    });
}
