//! Where a sandbox' network is, from the runtime's own words about it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::pods::seen::seen;

/// Bytes of JSON that are looked at. That of a sandbox has some thousand.
const MOST_BYTES: usize = 1024 * 1024;

/// Bytes of a path, PATH_MAX of linux/limits.h.
const MOST_PATH: usize = 4096;

/// Where the network of a sandbox is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the network namespace at this path.
    Netns(PathBuf),
    /// In the node's own: the pod has hostNetwork.
    Host,
    /// The runtime does not say; with what was seen.
    Untold(&'static str),
}

/// What containerd and CRI-O put under `info`, as far as it matters here: the sandbox' OCI runtime spec.
#[derive(Deserialize)]
struct Info {
    #[serde(rename = "runtimeSpec")]
    spec: Option<Spec>,
}

#[derive(Deserialize)]
struct Spec {
    linux: Option<Linux>,
}

#[derive(Deserialize)]
struct Linux {
    namespaces: Option<Vec<Namespace>>,
}

/// A namespace as config-linux.md of the OCI runtime spec has it.
#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
}

/// Reads `PodSandboxStatusResponse.info`.
pub(super) fn place(info: &HashMap<String, String>) -> Place {
    let Some(text) = info.get("info") else { return Place::Untold("its verbose status has no info") };
    if text.len() > MOST_BYTES {
        return Place::Untold("its info is larger than 1 MiB");
    }
    let Ok(info) = serde_json::from_str::<Info>(text) else {
        return Place::Untold("its info is not the JSON expected");
    };
    let namespaces = info.spec.and_then(|spec| spec.linux).and_then(|linux| linux.namespaces);
    let Some(namespaces) = namespaces else { return Place::Untold("its info has no namespaces") };
    // The OCI spec: a namespace that is not listed is that of the runtime, the node's own.
    let Some(network) = namespaces.into_iter().find(|each| each.kind == "network") else { return Place::Host };
    match network.path {
        path if path.is_empty() => Place::Untold("its network namespace has no path"),
        path if path.len() < MOST_PATH && Path::new(&path).is_absolute() && !path.contains('\0') => {
            Place::Netns(seen(PathBuf::from(path)))
        }
        _ => Place::Untold("the path of its network namespace is not absolute"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(json: &str) -> Place {
        place(&HashMap::from([("info".to_owned(), json.to_owned())]))
    }

    fn spec(namespaces: &str) -> Place {
        of(&format!(r#"{{"pid":7,"runtimeSpec":{{"ociVersion":"1.0.2","linux":{{"namespaces":{namespaces}}}}}}}"#))
    }

    #[test]
    fn the_path_is_that_of_the_network_namespace() {
        let place =
            spec(r#"[{"type":"pid"},{"type":"ipc","path":"/x"},{"type":"network","path":"/var/run/netns/cni-1"}]"#);
        assert_eq!(place, Place::Netns("/run/netns/cni-1".into()), "where it is, for it is not there by that name");
    }

    #[test]
    fn a_spec_without_a_network_namespace_is_host_network() {
        assert_eq!(spec(r#"[{"type":"pid"}]"#), Place::Host);
    }

    #[test]
    fn what_is_not_told_is_not_guessed() {
        for json in ["", "garbage", "null", "[]", "{}", r#"{"runtimeSpec":null}"#, r#"{"runtimeSpec":{"linux":{}}}"#] {
            assert!(matches!(of(json), Place::Untold(_)), "{json}");
        }
        for network in [r#"{"type":"network"}"#, r#"{"type":"network","path":"netns/x"}"#, r#"{"type":7}"#] {
            assert!(matches!(spec(&format!("[{network}]")), Place::Untold(_)), "{network}");
        }
        assert!(matches!(place(&HashMap::new()), Place::Untold(_)), "as cri-dockerd answers");
        assert!(matches!(of(&format!("\"{}\"", "x".repeat(MOST_BYTES))), Place::Untold(_)));
        assert!(matches!(of(&"[".repeat(100_000)), Place::Untold(_)), "depth is no stack overflow");
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = of(&text);
        }
    }
}
