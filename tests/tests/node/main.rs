//! End-to-end tests on real kernels: the real agent and the real command, each test in a private kernel of its own.
//!
//! One executable, so that it links once. See `podwire_tests` for what a test has at hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]
#![allow(missing_docs, reason = "the names of the tests say what they prove")]

mod abuse;
mod batches;
mod blind;
mod bridges;
mod capture;
mod capture_command;
mod capture_ends;
mod capture_impaired;
mod capture_load;
mod carrier;
mod changes;
mod checksums;
mod churn;
mod client;
mod cni;
mod command;
mod deaf;
mod devices;
mod disk;
mod documented;
mod door;
mod faults;
mod fights;
mod full;
mod generations;
mod grpcurl;
mod harness;
mod healing;
mod history;
mod impairments;
mod inputs;
mod installer;
mod interfaces;
mod killed;
mod latency;
mod leaks;
mod leases;
mod limits;
mod links;
mod manifests;
mod matrix;
mod metrics;
mod moved;
mod network_status;
mod obstacles;
mod ownership;
mod parked;
mod parts;
mod pods;
mod power;
mod process;
mod profiles;
mod purge;
mod reads;
mod recover;
mod refusals;
mod repeats;
mod rivals;
mod rooms;
mod scale;
mod silence;
mod stored;
mod transparency;
mod triangle;
mod troubles;
mod unreadable;
mod untold;
mod uplinks;
mod verify;
mod wait;
mod watch;
mod wire;

use podwire_tests::{
    lab::Lab,
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
