//! The harness of podwire's end-to-end tests: a private kernel for each test, real binaries in it, and eyes to look at
//! what the kernel shows.
//!
//! A test is a function that hands an async closure to [`private::run`]. The closure gets a [`lab::Lab`]: pods as named
//! network namespaces, the agent, the command, pings and raw frames. When it ends, everything in it dies with its pid
//! namespace, so tests run in parallel, in any order, as root or without, and leave nothing behind.

pub mod binaries;
pub mod capabilities;
pub mod condition;
pub mod containerd;
pub mod daemonset;
pub mod echo;
pub mod elements;
pub mod exposition;
pub mod film;
pub mod kernel;
pub mod lab;
pub mod loopback;
pub mod manifest;
pub mod netns;
pub mod plugin;
pub mod private;
pub mod random;
pub mod reach;
pub mod stream;
pub mod tap;
pub mod verdict;
pub mod volley;
