//! The gRPC contract of podwire: messages, clients and servers of package `podwire.v1`.
//!
//! The `.proto` files are the reference manual: every field has its unit and limits there, every call its statuses.

/// Package `podwire.v1`.
#[allow(
    missing_docs,
    clippy::pedantic,
    reason = "generated from the .proto files, whose comments become the documentation"
)]
pub mod v1 {
    tonic::include_proto!("podwire.v1");

    /// The encoded `FileDescriptorSet` of the package, comments included, for reflection and for JSON.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/podwire.v1.bin"));
}

/// Package `runtime.v1` of Kubernetes' Container Runtime Interface, as far as the agent speaks it with the node's runtime.
#[allow(
    missing_docs,
    clippy::pedantic,
    reason = "generated from the .proto file, whose comments become the documentation"
)]
pub mod cri {
    tonic::include_proto!("runtime.v1");
}
