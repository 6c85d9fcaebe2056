//! Limits that are enforced at the edge and told by `GetNode`, or documented with their field. Those of a whole
//! topology are the domain's.

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
