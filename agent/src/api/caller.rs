//! Who is at the other end of a connection.

use std::net::{IpAddr, Ipv6Addr};

use tokio::time::Instant;

use crate::domain::identity::Identity;

use super::Activity;

/// Who is at the other end of a connection. Each request has it among its extensions.
#[derive(Debug, Clone)]
pub struct Caller {
    identity: Identity,
    from: String,
    life: Life,
    peer: Peer,
    activity: Activity,
}

/// Whose share of the agent something takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// That of who is known.
    Known(Identity),
    /// That of an address, where nobody is: of IPv6 the first 64 bits, of which one host has all.
    Address(IpAddr),
}

impl Peer {
    /// Whoever comes from an address.
    pub fn at(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
            v4 @ IpAddr::V4(_) => v4,
        })
    }
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
        let peer = Peer::Known(identity.clone());
        Self { identity, from, life, peer, activity: Activity::default() }
    }

    /// Nobody that is known, from an address.
    pub fn anonymous(address: IpAddr, from: String) -> Self {
        Self { peer: Peer::at(address), ..Self::new(Identity::Anonymous, from, Life::default()) }
    }

    /// Whose share its calls take.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What is going on at the connection.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Who.
    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// From where.
    pub fn from(&self) -> &str {
        &self.from
    }

    /// For how long.
    pub fn life(&self) -> Life {
        self.life
    }
}
