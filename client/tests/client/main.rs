//! The client against real servers on unix sockets.

#![allow(clippy::unwrap_used)]

mod agent;
mod calls;
mod connection;
mod deadlines;
mod dependencies;
mod relay;
