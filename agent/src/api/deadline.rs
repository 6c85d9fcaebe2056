//! How long a call may wait: from the caller's own deadline.

use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::MetadataMap;

/// Waited without a deadline of the caller.
const WITHOUT_DEADLINE: Duration = Duration::from_secs(60);
/// No call waits longer, whatever its caller allows.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Least time left for the answer to travel.
const LEAST_MARGIN: Duration = Duration::from_millis(100);

/// When a call that waits for READY has to answer, so that the reasons reach the caller before its own deadline cuts
/// the call off. `None`: it does not wait.
pub(super) fn until(metadata: &MetadataMap, until_ready: bool) -> Option<Instant> {
    let header = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok());
    until_ready.then(|| Instant::now() + wait(header.and_then(timeout)))
}

/// How much of a caller's timeout may be spent waiting.
fn wait(timeout: Option<Duration>) -> Duration {
    timeout.map_or(WITHOUT_DEADLINE, |timeout| {
        let timeout = timeout.min(LONGEST);
        timeout.saturating_sub((timeout / 10).max(LEAST_MARGIN).min(timeout / 2))
    })
}

/// Reads the value of a `grpc-timeout` header: 1 to 8 digits and a unit, as in
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
fn timeout(header: &str) -> Option<Duration> {
    let (at, unit) = header.char_indices().next_back()?;
    let digits = &header[..at];
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(amount * 3600),
        'M' => Duration::from_secs(amount * 60),
        'S' => Duration::from_secs(amount),
        'm' => Duration::from_millis(amount),
        'u' => Duration::from_micros(amount),
        'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_writes_them() {
        for (header, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("00000009n", Some(Duration::from_nanos(9))),
            ("000000009n", None),
            ("S", None),
            ("", None),
            ("5", None),
            ("5s", None),
            ("-5S", None),
            ("+5S", None),
            ("5 S", None),
            ("5ä", None),
        ] {
            assert_eq!(timeout(header), expected, "{header}");
        }
    }

    #[test]
    fn the_answer_comes_before_the_caller_gives_up() {
        assert_eq!(wait(None), Duration::from_secs(60));
        assert_eq!(wait(Some(Duration::from_secs(10))), Duration::from_secs(9));
        assert_eq!(wait(Some(Duration::from_millis(500))), Duration::from_millis(400));
        assert_eq!(wait(Some(Duration::from_millis(100))), Duration::from_millis(50));
        assert_eq!(wait(Some(Duration::ZERO)), Duration::ZERO);
        assert!(wait(Some(Duration::from_secs(u64::MAX))) < LONGEST);
    }
}
