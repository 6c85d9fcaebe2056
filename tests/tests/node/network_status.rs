//! The annotation text that other tools read.

use podwire_proto::v1::Topology;
use podwire_tests::elements::{lan, link, nic, nic_at, plug, topology};
use serde_json::{Value, json};

use crate::{inputs::said, private};

#[test]
fn the_annotation_says_what_the_kernel_shows() {
    private(async |lab| {
        let [a, _b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let wanted = Topology {
            bridges: vec![lan("lan", "10.0.0.0/24")],
            links: vec![link("w1", nic_at("a", "net2", &["fd01::1/64"]), nic_at("b", "net2", &["fd01::2/64"]))],
            attachments: vec![plug("pa", nic("a", "net1"), "lan"), plug("pb", nic("b", "net1"), "lan")],
            ..topology("12")
        };
        agent.apply(wanted).await.unwrap();
        let text = lab.podwire_ok(&["get", "network-status", "a", "-n", "lessons"]);
        let status: Value = serde_json::from_str(&text).unwrap();
        let entry = |name: &str, interface: &str| {
            let link = a.link(interface);
            json!({
                "name": name, "interface": interface, "ips": [a.address(interface)], "mac": link["address"],
                "mtu": link["mtu"], "default": false, "dns": {},
            })
        };
        assert_eq!(status, json!([entry("lessons/lan", "net1"), entry("lessons/w1", "net2")]));
        assert_eq!(lab.podwire_ok(&["get", "network-status", "c", "-n", "lessons"]), "[]\n");
        let unnamed = lab.podwire(&["get", "network-status"]);
        assert_eq!(unnamed.status.code(), Some(2), "{}", said(&unnamed));
    });
}
