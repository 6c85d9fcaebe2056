//! What the kernel of a usual test machine lacks: `cargo kernel-matrix` runs these on a stock Debian kernel.

mod lacp;
mod netem;
mod vlan;
