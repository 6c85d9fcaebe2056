//! The limits in `docs/security.md` are those that hold.

use std::time::Duration;

use crate::{
    api::{BYTES, BYTES_OF_ONE, CALLS, CALLS_OF_ONE, ELEMENTS, FIELDS, MESSAGE_BYTES, REQUEST_TIME},
    panel::TOMBSTONES,
};

use super::{
    allowance::SMALL_TALK,
    connection::UNREAD,
    register::{CONNECTIONS, CONNECTIONS_OF_ONE},
    session::{FAULTS, FIRST_CALL, HEADER_BYTES, KEEPALIVE, QUIET, RESETS, SEND_BYTES, STREAMS, WINDOWS},
    tls::{HANDSHAKE, HANDSHAKES},
};

const PAGE: &str = include_str!("../../../docs/security.md");

fn bytes(count: usize) -> String {
    let mib = 1024 * 1024;
    if count.is_multiple_of(mib) { format!("{} MiB", count / mib) } else { format!("{} KiB", count / 1024) }
}

fn of_u32(count: u32) -> String {
    bytes(usize::try_from(count).unwrap())
}

fn time(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

#[test]
fn the_table_of_limits_is_true_and_whole() {
    let limits = [
        ("connections of a listener", CONNECTIONS.to_string()),
        ("connections of one peer", CONNECTIONS_OF_ONE.to_string()),
        ("handshakes under way", HANDSHAKES.to_string()),
        ("a handshake", time(HANDSHAKE)),
        ("a connection without a first call", time(FIRST_CALL)),
        ("a connection without a call under way", time(QUIET)),
        ("a peer that does not answer", time(KEEPALIVE)),
        ("calls of one connection", STREAMS.to_string()),
        ("headers of a call", of_u32(HEADER_BYTES)),
        ("calls taken back before they are looked at", RESETS.to_string()),
        ("calls that break the protocol", FAULTS.to_string()),
        ("bytes that ask nothing", bytes(usize::try_from(SMALL_TALK).unwrap())),
        ("bytes on their way to one call", of_u32(WINDOWS.0)),
        ("bytes on their way to one connection", of_u32(WINDOWS.1)),
        ("bytes on their way from one call", bytes(SEND_BYTES)),
        ("a request message", bytes(MESSAGE_BYTES)),
        ("elements of a request", ELEMENTS.to_string()),
        ("fields of a request", FIELDS.to_string()),
        ("a request on its way", time(REQUEST_TIME)),
        ("an answer that is not taken", time(UNREAD)),
        ("calls under way of one peer", CALLS_OF_ONE.to_string()),
        ("calls under way of all", CALLS.to_string()),
        ("generations of deleted topologies", TOMBSTONES.to_string()),
        ("bytes of requests and answers of one peer", bytes(BYTES_OF_ONE)),
        ("bytes of requests and answers of all", bytes(BYTES)),
    ];
    let table = PAGE.split("\n## Limits\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let first = rows.iter().take_while(|row| !row.starts_with("| attack |")).count();
    assert_eq!(first, limits.len(), "{rows:#?}");
    for (name, number) in limits {
        let row = format!("| {name} | {number} |");
        assert!(rows.iter().any(|each| each.starts_with(&row)), "no row `{row}`");
    }
}
