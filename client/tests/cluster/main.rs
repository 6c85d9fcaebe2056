//! Finding agents by a Kubernetes API that answers what a test tells it.

#![allow(clippy::unwrap_used)]

mod agent;
mod api;
mod finding;
mod manifests;
mod refusals;
