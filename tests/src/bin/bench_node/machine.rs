//! On what it was measured.

use std::{fs, thread};

/// Kernel, processor, memory and load, in one line.
pub(crate) fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let release = read("/proc/sys/kernel/osrelease");
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unnamed processor");
    let memory = read("/proc/meminfo");
    let kib = memory.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0);
    format!(
        "Linux {}, {} x {}, {} GiB, load {}",
        release.trim(),
        thread::available_parallelism().map_or(0, usize::from),
        model.trim_start_matches([' ', '\t', ':']),
        kib >> 20,
        load(),
    )
}

/// The load averages.
pub(crate) fn load() -> String {
    let all = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    all.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}
