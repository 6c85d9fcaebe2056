//! A thin client for podwire agents, for schedulers and tools.
//!
//! One [`Client`] talks to the agent of one node; it is cheap to clone. What is wanted is written with builders and
//! asked for with one method per call of the contract; answers are the messages of [`v1`].
//!
//! ```no_run
//! use std::time::Duration;
//! use podwire_client::{Attachment, Bridge, Client, Interface, Link, Topology};
//!
//! # async fn place() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("unix:///run/podwire/agent.sock").await?;
//! let lesson = Topology::new("lessons", "12")
//!     .bridge(Bridge::new("lan1").subnet("10.0.0.0/24"))
//!     .attach(Attachment::new("bb1-lan1").pod("bb1").interface("net1").bridge("lan1"))
//!     .attach(Attachment::new("bb2-lan1").pod("bb2").interface("net1").bridge("lan1"))
//!     .link(Link::new("w1").between(
//!         Interface::pod("bb1").name("net2").address("10.1.0.1/30"),
//!         Interface::pod("bb2").name("net2").address("10.1.0.2/30"),
//!     ))
//!     .lease(Duration::from_secs(60))
//!     .generation(7);
//! let placed = client.apply(lesson).until_ready().await?;
//! # drop(placed);
//! # Ok(())
//! # }
//! ```
//!
//! What fails is an [`Error`], which says why in full and answers questions such as [`Error::is_fenced`].
//!
//! With the feature `tls` it talks to agents by the network: `tls://host:port`, see `Tls`.
//!
//! With the feature `kube`, `Cluster` finds the agent of a pod or a node by the Kubernetes API.
//!
//! Every call has a deadline ([`DEFAULT_DEADLINE`] unless told). The agent knows it and answers shortly before it, with
//! the reasons for what is not ready; the client itself gives up [`GRACE`] later. A call whose deadline passed may have
//! taken effect: repeat it, repeats are free.

mod attachment;
mod bridge;
mod call;
mod capture;
mod change;
mod client;
#[cfg(feature = "kube")]
mod cluster;
mod connect_error;
mod error;
mod impairment;
mod interface;
mod ipam;
mod link;
mod network_status;
mod renewal;
mod route;
mod target;
#[cfg(feature = "tls")]
mod tls;
mod topology;
mod transport;
mod watch;

pub use attachment::{Attachment, Device};
pub use bridge::Bridge;
pub use call::{ChangeRequest, WaitRequest, topology::Plan};
pub use capture::{Capture, CaptureRequest};
pub use change::Change;
pub use client::{Client, ClientBuilder, DEFAULT_DEADLINE, GRACE};
#[cfg(feature = "kube")]
pub use cluster::{
    AGENT_NAMESPACE, AGENT_PORT, AGENT_SELECTOR, API_TIMEOUT, AgentPod, Cluster, ClusterBuilder, ClusterError, PodState,
};
pub use connect_error::ConnectError;
pub use error::{Error, FieldViolation, Precondition, Resource};
pub use impairment::Impairment;
pub use interface::Interface;
pub use ipam::{Ipam, Subnet};
/// The crate of [`Cluster::new`]'s client, in the version that fits.
#[cfg(feature = "kube")]
pub use kube;
pub use link::Link;
pub use network_status::{NETWORK_STATUS, network_status};
/// The messages of package `podwire.v1`: what the calls return.
pub use podwire_proto::v1;
pub use renewal::Renewal;
pub use route::Route;
pub use target::{DEFAULT_TARGET, Target, TargetError};
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use tonic::Code;
pub use topology::{Topology, interfaces};
pub use watch::{Watch, WatchEvent, WatchRequest};

/// The result of a call.
pub type Result<T, E = Error> = std::result::Result<T, E>;
