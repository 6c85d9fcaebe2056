//! Limits that are enforced at the edge and told by `GetNode`, or documented with their field. Those of a whole
//! topology are the domain's.

use std::time::Duration;

/// Bytes of one request message.
pub(crate) const MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Static addresses of one interface.
pub(crate) const ADDRESSES_PER_INTERFACE: usize = 64;
/// Routes of one interface or of one IPAM.
pub(crate) const ROUTES: usize = 256;
/// Subnets of one IPAM: each gives every interface an address, and of those there may be this many.
pub(crate) const SUBNETS_PER_IPAM: usize = ADDRESSES_PER_INTERFACE;
/// Ranges of one subnet.
pub(crate) const RANGES_PER_SUBNET: usize = 256;
/// Exclusions of one subnet.
pub(crate) const EXCLUSIONS_PER_SUBNET: usize = 1024;
/// Renewals of one `RenewLeases`.
pub(crate) const RENEWALS: usize = 10_000;
/// Bytes kept of a captured frame: what tcpdump keeps (`MAXIMUM_SNAPLEN` of libpcap).
pub(crate) const SNAP_LENGTH: u32 = 262_144;
/// How long a capture may be asked to last; one without a duration lasts until its caller goes.
pub(crate) const LONGEST_CAPTURE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a link may be tried out.
pub(crate) const VERIFICATION: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How long it is unless told.
pub(crate) const USUAL_VERIFICATION: Duration = Duration::from_secs(2);
