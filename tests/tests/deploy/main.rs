//! What is in `deploy/`, and what the agent does for the sake of running there: its capabilities, its probes, the proof
//! that its mounts are seen.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]
#![allow(missing_docs, reason = "the names of the tests say what they prove")]

mod alone;
mod example;
mod fields;
mod health;
mod image;
mod kubectl;
mod power;
mod reach;
mod rendered;

use podwire_tests::{
    lab::{Lab, agent::Agent},
    private::{self, User},
};

/// Runs a test in a private kernel of its own.
fn private(test: impl AsyncFnOnce(&Lab)) {
    private::run(env!("CARGO_BIN_EXE_private"), User::Caller, test);
}

/// The same as an unprivileged user, in a user namespace, even where root runs the suite.
fn private_without_root(test: impl AsyncFnOnce(&Lab)) {
    private::run(env!("CARGO_BIN_EXE_private"), User::Nobody, test);
}

/// What an agent said that must not run, in which all of `words` must be.
async fn must_stop(mut agent: Agent, words: &[&str]) -> String {
    let status = agent.ended().await;
    let log = agent.log();
    assert_eq!(status.code(), Some(1), "{log}");
    for word in words {
        assert!(log.contains(word), "`{word}` is not in: {log}");
    }
    assert!(!log.contains("panicked"), "{log}");
    log
}
