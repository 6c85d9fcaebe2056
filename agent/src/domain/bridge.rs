//! What a bridge does with frames, by profile and options.

use serde::{Deserialize, Serialize};

/// What a bridge does with what it has not learnt, and with link-local group addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum L2Profile {
    /// It learns, and passes every link-local group address that the kernel lets through.
    #[default]
    Transparent,
    /// It learns nothing: every port sees all.
    Hub,
    /// As 802.1D says: it keeps link-local group addresses to itself.
    Standard,
}

/// Seconds that a bridge remembers an address where nobody says: the kernel's default.
pub const AGEING_SECONDS: u32 = 300;

/// Most seconds that a bridge remembers an address: 802.1D-2004, table 7-5.
pub const MOST_AGEING_SECONDS: u32 = 1_000_000;

/// Link-local group addresses 01:80:c2:00:00:00 to :0f that a port passes, a bit each: all but :01 (PAUSE), which the kernel
/// never lets through. `BR_GROUPFWD_RESTRICTED` of net/bridge/br_private.h does not bind single ports.
const TRANSPARENT_MASK: u16 = 0xfffd;

/// The bit of :00, which spanning tree speaks by: a port that passes it does not hear it.
const STP_BIT: u16 = 1;

/// Options of a bridge device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BridgeOptions {
    /// Spanning tree, by the kernel.
    pub stp: bool,
    /// Multicast snooping.
    pub mcast_snooping: bool,
    /// It tells VLANs apart.
    pub vlan_filtering: bool,
    /// Hundredths of a second that an address is remembered.
    pub ageing: u32,
}

/// Options of a bridge port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the kernel's that means something by itself")]
pub struct BridgePort {
    /// Reflects frames to where they came from.
    pub hairpin: bool,
    /// Does not reach other isolated ports.
    pub isolated: bool,
    /// Remembers where addresses are.
    pub learning: bool,
    /// Gets frames to addresses that nobody knows.
    pub flood: bool,
    /// Gets frames to groups.
    pub mcast_flood: bool,
    /// Gets frames to everybody.
    pub bcast_flood: bool,
    /// Link-local group addresses that pass.
    pub group_fwd_mask: u16,
}

impl BridgePort {
    /// A port that has just become one.
    pub const NEW: Self = Self {
        hairpin: false,
        isolated: false,
        learning: true,
        flood: true,
        mcast_flood: true,
        bcast_flood: true,
        group_fwd_mask: 0,
    };
}

impl L2Profile {
    /// A port of a bridge of this profile.
    pub fn port(self, stp: bool) -> BridgePort {
        let (learning, mask) = match self {
            Self::Transparent => (true, TRANSPARENT_MASK),
            Self::Hub => (false, TRANSPARENT_MASK),
            Self::Standard => (true, 0),
        };
        let group_fwd_mask = if stp { mask & !STP_BIT } else { mask };
        BridgePort { learning, group_fwd_mask, ..BridgePort::NEW }
    }
}
