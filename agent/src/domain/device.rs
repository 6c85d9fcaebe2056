//! Kernel names of the devices that podwire makes. All of them follow from names of the intent, so that a crashed
//! agent finds its devices by computing what it called them.

use std::str::FromStr;

use super::{
    if_name::{IF_NAME_BYTES, IfName},
    intent::NicKey,
    mac::stable_hash,
    name::{ElementName, NameError, TopologyKey},
    spec::{End, InterfaceId},
};

/// Bytes of the longest altname: `ALTIFNAMSIZ` less the final zero.
pub const ALTNAME_BYTES: usize = 127;

/// What the file of a panel in the netns directory begins with.
pub const PANEL_PREFIX: &str = "podwire.";

/// What the file of a retired panel begins with. No pod and no topology has a name with an underscore.
pub const RETIRED_PREFIX: &str = "podwire_retired.";

/// What the file of a parked panel begins with.
pub const PARKED_PREFIX: &str = "podwire_parked.";

/// Bytes of the longest file name: `NAME_MAX` of linux/limits.h.
const FILE_NAME_BYTES: usize = 255;

/// Checks the name of a network namespace below the netns directory that may be a pod's.
///
/// # Errors
///
/// What it is instead.
pub fn netns_file(name: &str) -> Result<(), &'static str> {
    match name {
        "" => Err("it is empty"),
        "." | ".." => Err("it is a directory"),
        _ if name.contains('/') => {
            Err("only a name below the agent's netns directory or `/proc/<pid>/ns/net` may be there")
        }
        _ if name.chars().any(char::is_control) => Err("it has a control character"),
        _ if name.len() > FILE_NAME_BYTES => Err("a file name has at most 255 bytes"),
        // `podwire.<namespace>.<topology>`, and those that wait for their removal or for being used again.
        _ if [PANEL_PREFIX, RETIRED_PREFIX, PARKED_PREFIX].iter().any(|prefix| name.starts_with(prefix)) => {
            Err("it is a panel's")
        }
        _ => Ok(()),
    }
}

/// File name of a topology's panel in the netns directory. Labels have no dots, so no two topologies share one.
pub fn panel_name(key: &TopologyKey) -> String {
    format!("{PANEL_PREFIX}{}.{}", key.namespace, key.name)
}

/// The topology whose panel has this file name.
///
/// # Errors
///
/// It is none that [`panel_name`] makes.
pub fn panel_key(file: &str) -> Result<TopologyKey, MarkError> {
    let parts: Vec<&str> = file.strip_prefix(PANEL_PREFIX).ok_or(MarkError::Foreign)?.split('.').collect();
    let [namespace, name] = parts[..] else { return Err(MarkError::Foreign) };
    Ok(TopologyKey { namespace: namespace.parse()?, name: name.parse()? })
}

/// Device name of a bridge: its own name where the kernel takes it, else a short one.
pub fn bridge_device_name(name: &ElementName) -> String {
    if name.as_str().parse::<IfName>().is_ok() { name.to_string() } else { short(&["bridge", name.as_str()]) }
}

/// Device name of a port: `pod.interface` where that fits and says which is which, else a short one. Bridges have no
/// dot and short names begin with `_`, so the three never meet.
pub fn port_device_name(nic: &NicKey) -> String {
    let (pod, name) = (nic.pod.as_str(), nic.name.as_str());
    let plain = !pod.is_empty() && pod.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if plain && pod.len() + 1 + name.len() <= IF_NAME_BYTES {
        format!("{pod}.{name}")
    } else {
        short(&["port", pod, name])
    }
}

/// The altname of a device whose own name had to be shortened; `None`: the full name is too long for that too.
pub fn full_name(device: &str, full: &str) -> Option<String> {
    (device != full && full.len() <= ALTNAME_BYTES).then(|| full.to_owned())
}

/// The altname of a NIC inside its pod: what it is part of. It is set last, so it says that the NIC is complete.
pub fn mark(key: &TopologyKey, id: &InterfaceId) -> String {
    let end = match id.end {
        End::Only => "",
        End::A => ".a",
        End::B => ".b",
    };
    let full = format!("{PANEL_PREFIX}{}.{}.{}{end}", key.namespace, key.name, id.element);
    if full.len() <= ALTNAME_BYTES {
        full
    } else {
        let hash = stable_hash(&[key.namespace.as_str(), key.name.as_str(), id.element.as_str()]);
        format!("{PANEL_PREFIX}{hash:016x}{end}")
    }
}

/// What the mark of a NIC says. A pod can write one on its own devices: it proves nothing by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// The topology.
    pub key: TopologyKey,
    /// Which of its interfaces.
    pub id: InterfaceId,
}

/// Why a name does not say what is part of what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    /// Somebody else's name.
    #[error("it is not a name that podwire gives")]
    Foreign,
    /// The names were too long for an altname: only their hash is in it.
    #[error("its names were too long for the kernel, and a hash of them does not say what they were")]
    Shortened,
    /// A part of it is no name.
    #[error("a part of it is no name: {0}")]
    Name(#[from] NameError),
}

impl FromStr for Mark {
    type Err = MarkError;

    /// The reverse of [`mark`].
    fn from_str(altname: &str) -> Result<Self, MarkError> {
        let parts: Vec<&str> = altname.strip_prefix(PANEL_PREFIX).ok_or(MarkError::Foreign)?.split('.').collect();
        let end = |text: &str| match text {
            "a" => Ok(End::A),
            "b" => Ok(End::B),
            _ => Err(MarkError::Foreign),
        };
        let is_hash = |text: &str| text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let (namespace, name, element, end) = match parts[..] {
            [hash] | [hash, "a" | "b"] if is_hash(hash) => return Err(MarkError::Shortened),
            [namespace, name, element] => (namespace, name, element, End::Only),
            [namespace, name, element, which] => (namespace, name, element, end(which)?),
            _ => return Err(MarkError::Foreign),
        };
        let key = TopologyKey { namespace: namespace.parse()?, name: name.parse()? };
        Ok(Self { key, id: InterfaceId { element: element.parse()?, end } })
    }
}

/// `_` and 13 hexadecimal digits.
fn short(parts: &[&str]) -> String {
    format!("_{:013x}", stable_hash(parts) >> 12)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::intent::PodKey;

    proptest! {
        #[test]
        fn every_device_has_a_name_that_the_kernel_takes(
            element in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
            pod in "[a-z0-9.:/_-]{1,80}",
            name in "[a-zA-Z0-9._-]{1,15}",
        ) {
            let element: ElementName = element.parse().unwrap();
            let bridge = bridge_device_name(&element);
            prop_assert!(bridge.parse::<IfName>().is_ok(), "{}", bridge);
            if let Ok(name) = name.parse::<IfName>() {
                let port = port_device_name(&NicKey { pod: PodKey::new(pod), name });
                prop_assert!(port.parse::<IfName>().is_ok(), "{}", port);
                prop_assert_ne!(bridge, port);
            }
        }
    }

    proptest! {
        #[test]
        fn a_mark_reads_back_or_says_that_it_was_shortened(
            names in ["[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "[ab]|[a-z0-9]{1,63}"],
            end in prop_oneof![Just(End::Only), Just(End::A), Just(End::B)],
        ) {
            let key = TopologyKey { namespace: names[0].parse().unwrap(), name: names[1].parse().unwrap() };
            let id = InterfaceId { element: names[2].parse().unwrap(), end };
            let short = PANEL_PREFIX.len() + names.iter().map(String::len).sum::<usize>() + 4 <= ALTNAME_BYTES;
            match mark(&key, &id).parse::<Mark>() {
                Ok(read) => prop_assert_eq!(read, Mark { key: key.clone(), id }),
                Err(error) => prop_assert!(error == MarkError::Shortened && !short, "{error}"),
            }
            prop_assert_eq!(panel_key(&panel_name(&key)), Ok(key));
        }

        #[test]
        fn any_altname_is_a_mark_or_an_error(text in "(podwire\\.)?.{0,60}") {
            if let Ok(read) = text.parse::<Mark>() {
                prop_assert_eq!(mark(&read.key, &read.id), text.as_str());
            }
            if let Ok(key) = panel_key(&text) {
                prop_assert_eq!(panel_name(&key), text.as_str());
            }
        }
    }

    #[test]
    fn names_that_are_reserved_are_not_device_names() {
        for name in ["lo", "all", "default"] {
            assert!(bridge_device_name(&name.parse().unwrap()).starts_with('_'));
        }
        assert_eq!(bridge_device_name(&"lan1".parse().unwrap()), "lan1");
    }
}
