//! The files by which a client and an agent know each other.

use std::path::PathBuf;

/// The files by which a client and an agent know each other: three, as the agent has three.
///
/// They are read whenever a connection is made, so a certificate that is renewed in time is never noticed: agents end
/// connections before the certificates do, and the next call makes a new one.
///
/// The agent's certificate must be for the host of the target: have its DNS name, or where the target is an address, that
/// address. Where agents are found by the address of their node and their certificates have no addresses, say with
/// [`Tls::server_name`] what they have instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) ca: PathBuf,
    pub(crate) server_name: Option<String>,
}

impl Tls {
    /// The client's own certificate with the intermediate ones behind it, its key, and the authorities one of which must
    /// have signed the agent's certificate; all PEM.
    pub fn new(cert: impl Into<PathBuf>, key: impl Into<PathBuf>, ca: impl Into<PathBuf>) -> Self {
        Self { cert: cert.into(), key: key.into(), ca: ca.into(), server_name: None }
    }

    /// What the agent's certificate is for, in place of the target's host: a DNS name, or a SPIFFE ID
    /// (`spiffe://cluster.local/ns/podwire-system/sa/podwire-agent`), which must then be its only one.
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }
}
