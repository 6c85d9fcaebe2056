//! Paths of the node, as this process sees them.

use std::path::{Path, PathBuf};

/// Where containerd and CNI plugins say that network namespaces are.
const COMPATIBLE: &str = "/var/run";

/// What that is a link to on every node: file-hierarchy(7).
const REAL: &str = "/run";

/// The path by which a place that the node calls `path` is found here: the agent's image is empty, and has no link at
/// `/var/run`, by which containerd names network namespaces. A mount below it may have made it a plain directory.
pub(super) fn seen(path: PathBuf) -> PathBuf {
    if path.exists() { path } else { through_link(path) }
}

fn through_link(path: PathBuf) -> PathBuf {
    path.strip_prefix(COMPATIBLE).map(|rest| Path::new(REAL).join(rest)).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_not_looked_for_elsewhere() {
        assert_eq!(seen(COMPATIBLE.into()), Path::new(COMPATIBLE));
        assert_eq!(seen("/var/run/nobody/is/here".into()), Path::new("/run/nobody/is/here"));
    }

    #[test]
    fn only_what_is_below_the_link_is_elsewhere() {
        for (told, found) in [
            ("/var/run/netns/cni-1", "/run/netns/cni-1"),
            ("/run/netns/cni-1", "/run/netns/cni-1"),
            ("/var/runner/netns", "/var/runner/netns"),
            ("/proc/7/ns/net", "/proc/7/ns/net"),
        ] {
            assert_eq!(through_link(told.into()), Path::new(found));
        }
    }
}
