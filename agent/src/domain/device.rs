//! Kernel names of the devices that podwire makes. All of them follow from names of the intent, so that a crashed
//! agent finds its devices by computing what it called them.

use super::{
    if_name::{IF_NAME_BYTES, IfName},
    intent::NicKey,
    mac::stable_hash,
    name::{ElementName, TopologyKey},
    spec::{End, InterfaceId},
};

/// Bytes of the longest altname: `ALTIFNAMSIZ` less the final zero.
pub const ALTNAME_BYTES: usize = 127;

/// What the file of a panel in the netns directory begins with.
pub const PANEL_PREFIX: &str = "podwire.";

/// File name of a topology's panel in the netns directory. Labels have no dots, so no two topologies share one.
pub fn panel_name(key: &TopologyKey) -> String {
    format!("{PANEL_PREFIX}{}.{}", key.namespace, key.name)
}

/// The topology whose panel has this file name; `None`: it is no panel's.
pub fn panel_key(name: &str) -> Option<TopologyKey> {
    let (namespace, name) = name.strip_prefix(PANEL_PREFIX)?.split_once('.')?;
    Some(TopologyKey { namespace: namespace.parse().ok()?, name: name.parse().ok()? })
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

    #[test]
    fn names_that_are_reserved_are_not_device_names() {
        for name in ["lo", "all", "default"] {
            assert!(bridge_device_name(&name.parse().unwrap()).starts_with('_'));
        }
        assert_eq!(bridge_device_name(&"lan1".parse().unwrap()), "lan1");
    }
}
