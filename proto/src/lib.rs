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
