//! The input of the CNI plugin, and the configuration lists that its installer changes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podwire_client::v1;
use podwire_cni::{
    NAME,
    fuzzing::{add, list},
};
use serde_json::{Value, json};

const NETNS: &str = "/run/netns/cni-0";

fuzz_target!(|data: &[u8]| {
    result(data);
    if let Ok(text) = std::str::from_utf8(data) {
        installed(text);
    }
});

/// What the plugins before it said stays, and podwire's interfaces stand behind theirs.
fn result(input: &[u8]) {
    let result = match add(input, NETNS, &interfaces()) {
        Ok(result) => result,
        Err(error) => {
            let error: Value = serde_json::from_str(&error).expect("an error is JSON");
            assert!(error["code"].is_u64() && error["msg"].is_string());
            return;
        }
    };
    let input: Value = serde_json::from_slice(input).expect("it was read before");
    let previous = &input["prevResult"];
    let behind = |name: &str| {
        let (before, after) = (previous[name].as_array(), result[name].as_array());
        let before = before.map_or(&[][..], Vec::as_slice);
        let after = after.map_or(&[][..], Vec::as_slice);
        assert_eq!(before, &after[..before.len()], "{name}");
        (before.len(), after[before.len()..].to_vec())
    };
    let (first, added) = behind("interfaces");
    assert_eq!(added.len(), 1, "one of them is not there yet");
    assert_eq!((&added[0]["name"], &added[0]["sandbox"]), (&json!("net1"), &json!(NETNS)));
    let (_, addresses) = behind("ips");
    assert_eq!(addresses.len(), if input["addresses"] == json!(true) { 2 } else { 0 });
    assert!(addresses.iter().all(|address| address["interface"] == json!(first)));
    for (key, value) in previous.as_object().expect("it was read before") {
        if !matches!(key.as_str(), "cniVersion" | "interfaces" | "ips") {
            assert_eq!(&result[key], value, "{key}");
        }
    }
    assert_eq!(result["cniVersion"], input["cniVersion"]);
}

/// The entry stands last, the rest of the list as before, and taking it out again leaves no trace.
fn installed(text: &str) {
    let entry = json!({ "type": NAME, "agent": "unix:///run/podwire/agent.sock" });
    let Some(with) = list(text, Some(&entry)) else { return };
    let others = |text: &str| -> Vec<Value> {
        let list: Value = serde_json::from_str(text).expect("it is JSON as before");
        let plugins = list["plugins"].as_array().expect("a list of plugins as before");
        plugins.iter().filter(|plugin| plugin["type"] != json!(NAME)).cloned().collect()
    };
    let changed: Value = serde_json::from_str(&with).expect("it is JSON as before");
    let plugins = changed["plugins"].as_array().expect("a list of plugins as before");
    assert_eq!(plugins.last(), Some(&entry), "{with}");
    assert_eq!(plugins.len(), others(text).len() + 1, "one entry and no more: {with}");
    assert_eq!(others(&with), others(text), "{with}");
    assert_eq!(list(&with, Some(&entry)).as_deref(), Some(with.as_str()), "again is the same");
    let without = list(&with, None).expect("it can be taken out");
    assert_eq!(others(&without), others(text), "{without}");
    assert_eq!(list(text, None), Some(without), "no trace is left");
}

fn interfaces() -> [v1::SandboxInterface; 2] {
    let interface = |name: &str, index| {
        let addresses = vec!["10.0.0.2/24".to_owned(), "fd00::2/64".to_owned()];
        let status = v1::InterfaceStatus { index, addresses, ..Default::default() };
        let interface = v1::Interface { name: name.to_owned(), mtu: 1400, status: Some(status), ..Default::default() };
        v1::SandboxInterface { interface: Some(interface), ..Default::default() }
    };
    [interface("net1", 3), interface("net2", 0)]
}
