//! The podwire agent: wires pods together on one node.
//!
//! The rooms, and which of them knows which, are described in `ARCHITECTURE.md`.

pub mod api;
pub mod causes;
pub mod command;
pub mod config;
pub mod domain;
pub mod health;
pub mod kernel;
pub mod metrics;
pub mod panel;
pub mod pods;
pub mod power;
pub mod run;
pub mod spans;
pub mod store;

pub use config::Config;
pub use run::run;
