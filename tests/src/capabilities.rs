//! The capabilities of a running agent, as `/proc` shows them, against its table.

use std::{collections::BTreeMap, fs, path::Path};

use podwire_agent::power::{POWERS, Power, When};

/// Numbers of the capabilities, from linux/capability.h.
const NUMBERS: [(&str, u32); 6] = [
    ("CAP_NET_BIND_SERVICE", 10),
    ("CAP_NET_BROADCAST", 11),
    ("CAP_NET_ADMIN", 12),
    ("CAP_NET_RAW", 13),
    ("CAP_SYS_PTRACE", 19),
    ("CAP_SYS_ADMIN", 21),
];

/// Those of the table that every agent keeps.
pub fn always() -> impl Iterator<Item = &'static Power> {
    POWERS.iter().filter(|power| power.when == When::Always)
}

/// The names of [`always`].
pub fn names() -> Vec<&'static str> {
    always().map(|power| power.name).collect()
}

/// A set of capabilities, as `/proc` writes it.
///
/// # Panics
///
/// The table has one whose number is not known here.
pub fn mask(powers: impl Iterator<Item = &'static Power>) -> u64 {
    mask_of(&powers.map(|power| power.name).collect::<Vec<_>>())
}

/// The same of names.
///
/// # Panics
///
/// There is one whose number is not known here.
pub fn mask_of(names: &[impl AsRef<str>]) -> u64 {
    let number = |wanted: &str| NUMBERS.iter().find(|(name, _)| *name == wanted).map(|(_, number)| *number);
    let numbers = names.iter().map(|name| number(name.as_ref()).unwrap_or_else(|| panic!("{}: add it", name.as_ref())));
    numbers.fold(0, |mask, number| mask | 1 << number)
}

/// The rows of the table in `docs/security.md`.
///
/// # Panics
///
/// The page cannot be read.
pub fn table() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join("security.md");
    let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    text.lines().filter(|line| line.starts_with("| `CAP_")).map(str::to_owned).collect()
}

/// The names in it that every agent keeps: all but that for low ports.
pub fn documented() -> Vec<String> {
    let name = |row: String| row.split('`').nth(1).unwrap_or_default().to_owned();
    table().into_iter().filter(|row| !row.contains("port below 1024")).map(name).collect()
}

/// Each thread's capability sets, whether it may gain others (`NoNewPrivs`) and the filter of its system calls (`Seccomp`), by the
/// names of proc_pid_status(5).
///
/// # Panics
///
/// There is no such process.
pub fn threads(pid: u64) -> Vec<BTreeMap<String, u64>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap_or_else(|error| panic!("process {pid}: {error}"));
    let status = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let wanted = name.starts_with("Cap") || name == "NoNewPrivs" || name.starts_with("Seccomp");
        wanted.then(|| u64::from_str_radix(value.trim(), 16).ok()).flatten().map(|value| (name.to_owned(), value))
    };
    status.map(|text| text.lines().filter_map(field).collect()).collect()
}

/// No thread of the agent with this process id has a capability outside of `mask`, or can gain one, each has all of it, and each
/// is under a filter of system calls.
///
/// # Panics
///
/// One has, or has not.
pub fn assert_holds_only(pid: u64, mask: u64) {
    let threads = threads(pid);
    assert!(threads.len() > 2, "workers and the ear's thread: {threads:?}");
    for thread in threads {
        let expected = [("CapInh", 0), ("CapPrm", mask), ("CapEff", mask), ("CapBnd", mask), ("CapAmb", 0)];
        for (set, value) in expected.into_iter().chain([("NoNewPrivs", 1), ("Seccomp", 2)]) {
            let found = thread.get(set).unwrap_or_else(|| panic!("{set}: {thread:?}"));
            assert_eq!(*found, value, "{set}: {found:#x} for {value:#x}");
        }
    }
}
