//! The result of ADD.

use podwire_client::v1;
use serde_json::{Map, Value, json};

use crate::{
    error::{CniError, Code},
    version::Version,
};

/// The result of the plugins before it with podwire's interfaces behind theirs, so that the numbers by which its
/// addresses name interfaces stay right. Interfaces that are not there yet are left out.
pub(crate) fn result(
    previous: &Map<String, Value>,
    version: Version,
    netns: &str,
    interfaces: &[v1::SandboxInterface],
    addresses: bool,
) -> Result<Value, CniError> {
    let mut result = previous.clone();
    result.insert("cniVersion".to_owned(), version.as_str().into());
    let there = interfaces.iter().filter_map(|each| each.interface.as_ref()).filter(|interface| index(interface) > 0);
    let there: Vec<&v1::Interface> = there.collect();
    if there.is_empty() {
        return Ok(Value::Object(result));
    }
    let list = list(&mut result, "interfaces")?;
    let first = list.len();
    for interface in &there {
        let mut entry = json!({ "name": interface.name, "mac": interface.mac, "sandbox": netns });
        if version >= Version::V110 && interface.mtu > 0 {
            entry["mtu"] = interface.mtu.into();
        }
        list.push(entry);
    }
    if addresses {
        let ips = self::list(&mut result, "ips")?;
        for (at, interface) in there.iter().enumerate() {
            for address in interface.status.iter().flat_map(|status| &status.addresses) {
                let mut entry = json!({ "address": address, "interface": first + at });
                if version < Version::V100 {
                    entry["version"] = if address.contains(':') { "6" } else { "4" }.into();
                }
                ips.push(entry);
            }
        }
    }
    Ok(Value::Object(result))
}

/// Names of the interfaces that are not there yet.
pub(crate) fn missing(interfaces: &[v1::SandboxInterface]) -> Vec<String> {
    let later = interfaces.iter().filter_map(|each| {
        let interface = each.interface.as_ref().filter(|interface| index(interface) == 0)?;
        let reason = interface.status.as_ref().map(|status| status.reason.as_str()).unwrap_or_default();
        Some(format!("interface {} comes later: {reason}", interface.name))
    });
    later.collect()
}

fn index(interface: &v1::Interface) -> u32 {
    interface.status.as_ref().map_or(0, |status| status.index)
}

/// A list of the result; made where it is missing or null, as Go writes an empty one.
fn list<'a>(result: &'a mut Map<String, Value>, name: &str) -> Result<&'a mut Vec<Value>, CniError> {
    let value = result.entry(name).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Array(Vec::new());
    }
    value.as_array_mut().ok_or_else(|| {
        CniError::new(
            Code::InvalidConfig,
            "the network configuration is wrong",
            format!("prevResult.{name} is not a list"),
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn interface(name: &str, index: u32) -> v1::SandboxInterface {
        let status = v1::InterfaceStatus {
            index,
            addresses: vec!["10.0.0.2/24".into(), "fd00::2/64".into()],
            reason: "no far end".into(),
            ..Default::default()
        };
        let interface = v1::Interface {
            name: name.into(),
            mac: "02:00:00:00:00:01".into(),
            mtu: 1400,
            status: Some(status),
            ..Default::default()
        };
        v1::SandboxInterface { interface: Some(interface), ..Default::default() }
    }

    fn render(version: Version, previous: &Value) -> Value {
        let previous = previous.as_object().unwrap().clone();
        result(&previous, version, "/run/netns/x", &[interface("net1", 3), interface("net2", 0)], true).unwrap()
    }

    #[test]
    fn each_version_has_its_fields() {
        let previous = || {
            json!({
                "cniVersion": "0.4.0",
                "interfaces": [{"name": "cni0"}, {"name": "eth0", "sandbox": "/run/netns/x"}],
                "ips": [{"address": "10.88.0.2/16", "interface": 1}],
                "dns": {},
                "io.example/more": 1,
            })
        };
        let old = render(Version::V040, &previous());
        assert_eq!(
            old["interfaces"][2],
            json!({"name": "net1", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/x"})
        );
        assert_eq!(old["ips"][1], json!({"address": "10.0.0.2/24", "interface": 2, "version": "4"}));
        assert_eq!(old["ips"][2]["version"], "6");
        let new = render(Version::V110, &previous());
        assert_eq!(new["interfaces"][2]["mtu"], 1400);
        assert_eq!(new["ips"][1], json!({"address": "10.0.0.2/24", "interface": 2}));
        assert_eq!((&new["cniVersion"], &new["ips"][0]), (&json!("1.1.0"), &previous()["ips"][0]));
        assert_eq!(new["io.example/more"], 1);
        assert_eq!(new["interfaces"].as_array().unwrap().len(), 3, "net2 is not there yet");
    }

    #[test]
    fn lists_that_are_missing_are_made_and_others_are_refused() {
        let made = render(Version::V100, &json!({"interfaces": null}));
        assert_eq!(made["ips"][0]["interface"], 0);
        let previous = json!({"interfaces": 1}).as_object().unwrap().clone();
        assert!(result(&previous, Version::V100, "", &[interface("net1", 3)], true).is_err());
    }

    #[test]
    fn addresses_may_be_left_out() {
        let previous = json!({"ips": []}).as_object().unwrap().clone();
        let result = result(&previous, Version::V100, "", &[interface("net1", 3)], false).unwrap();
        assert_eq!(result["ips"], json!([]));
    }

    #[test]
    fn what_comes_later_is_named() {
        assert_eq!(missing(&[interface("net1", 3), interface("net2", 0)]), ["interface net2 comes later: no far end"]);
    }
}
