//! MTUs.

use std::fmt;

/// Payload bytes of the largest frame: 68 (RFC 791) to 65535 (`ETH_MAX_MTU`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mtu(u16);

/// Not an MTU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an MTU: 68 to 65535 bytes are")]
pub struct MtuError(pub u32);

impl Mtu {
    /// The MTU in bytes.
    pub fn bytes(self) -> u32 {
        u32::from(self.0)
    }
}

impl TryFrom<u32> for Mtu {
    type Error = MtuError;

    fn try_from(bytes: u32) -> Result<Self, MtuError> {
        match u16::try_from(bytes) {
            Ok(mtu) if mtu >= 68 => Ok(Self(mtu)),
            _ => Err(MtuError(bytes)),
        }
    }
}

impl Default for Mtu {
    fn default() -> Self {
        Self(1500)
    }
}

impl fmt::Display for Mtu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
