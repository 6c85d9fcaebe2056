//! The CNI plugin of podwire, and its installer.
//!
//! It stands in a configuration list behind the cluster's own plugin. At ADD it announces the sandbox to the agent of the
//! node, which the container runtime does not list yet, waits until the interfaces of that pod are READY, and passes the
//! result of the plugins before it on with those interfaces added. It speaks the
//! [specification](https://www.cni.dev/docs/spec/) from 0.3.0 to 1.1.0.

mod agent;
mod arguments;
mod config;
mod environment;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod install;
mod plugin;
mod result;
mod version;

pub use arguments::Arguments;
pub use install::manage;
pub use plugin::{Outcome, plugin};

/// The name of the program, and the `type` by which a configuration calls it.
pub const NAME: &str = "podwire-cni";
