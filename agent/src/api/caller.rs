//! Who is at the other end of a connection.

use tokio::time::Instant;

use crate::domain::identity::Identity;

/// Who is at the other end of a connection. Each request has it among its extensions.
#[derive(Debug, Clone)]
pub struct Caller {
    identity: Identity,
    from: String,
    life: Life,
}

/// How long a connection may last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Life {
    /// From then on it takes no more calls, and watches are sent to a new one. `None`: never.
    pub retires: Option<Instant>,
    /// Then it ends, whatever is under way: the certificate is no longer valid. `None`: never.
    pub expires: Option<Instant>,
}

impl Caller {
    /// Somebody, from an address or a process for people to read.
    pub fn new(identity: Identity, from: String, life: Life) -> Self {
        Self { identity, from, life }
    }

    /// Who.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// From where.
    pub(super) fn from(&self) -> &str {
        &self.from
    }

    /// For how long.
    pub(super) fn life(&self) -> Life {
        self.life
    }
}
