//! Clocks and facts of the node.

use std::{fs, io, time::Duration};

use nix::time::{ClockId, clock_gettime};

/// Time since the node booted, suspension included: a clock that nobody sets.
pub fn boottime() -> Duration {
    // It cannot fail for a clock that the kernel has, and every kernel that podwire runs on has it.
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default()
}

/// Release of the running kernel; empty where /proc is not mounted.
pub fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// A random id that the kernel draws at each boot (`/proc/sys/kernel/random/boot_id`, random(4)).
///
/// # Errors
///
/// /proc is not mounted.
pub fn boot_id() -> io::Result<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|text| text.trim().to_owned())
}
