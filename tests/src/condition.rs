//! Waiting: always on a condition, always with a deadline, never for a time.

use std::time::{Duration, Instant};

/// How long a condition may take before the test fails. Generous: a loaded machine must not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// Polls `condition` until it gives a value, and returns that.
///
/// # Panics
///
/// After [`PATIENCE`], with `what` was awaited and the last reason why it had not come.
pub async fn eventually<T, E: std::fmt::Display>(what: &str, condition: impl AsyncFnMut() -> Result<T, E>) -> T {
    within(PATIENCE, what, condition).await
}

/// As [`eventually`], with a deadline of its own: where how long it takes is what the test proves.
///
/// # Panics
///
/// After `patience`.
pub async fn within<T, E: std::fmt::Display>(
    patience: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let started = Instant::now();
    loop {
        match condition().await {
            Ok(value) => return value,
            Err(reason) if started.elapsed() > patience => panic!("{what}: not within {patience:?}: {reason}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

/// `Ok` if `true`, else the reason: for [`eventually`].
///
/// # Errors
///
/// `reason`, when it does not hold.
pub fn holds(condition: bool, reason: impl std::fmt::Display) -> Result<(), String> {
    if condition { Ok(()) } else { Err(reason.to_string()) }
}
