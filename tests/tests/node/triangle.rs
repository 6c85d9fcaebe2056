//! The triangle of the published manifests: real input, real binaries.

use std::{net::IpAddr, time::Duration};

use podwire_tests::{
    condition::{eventually, holds},
    lab::{Lab, agent::Agent, pod::Pod},
    tap::LLDP,
};
use serde_json::Value;

use crate::{inputs::input, private, private_without_root};

/// The interfaces of each pod in the order of its annotation, by their network.
const WIRING: [(&str, [&str; 2]); 3] =
    [("bb1", ["10.10.31.", "10.10.12."]), ("bb2", ["10.10.12.", "10.10.23."]), ("bb3", ["10.10.23.", "10.10.31."])];

/// An agent, three pods that have an `eth0` already, and the triangle in them.
async fn triangle(lab: &Lab) -> (Agent, [Pod; 3]) {
    let agent = lab.agent().start().await;
    let pods = lab.pods(["bb1", "bb2", "bb3"]).map(Pod::with_eth0);
    apply(lab, &agent);
    (agent, pods)
}

fn apply(lab: &Lab, agent: &Agent) -> String {
    let (networks, pods) = (input("busybox_networks.yaml"), input("busybox_pods.yaml"));
    let args = ["--agent", agent.address(), "apply", "--yes", "--topology", "triangle", "-f", &networks, "-f", &pods];
    lab.podwire_ok(&args)
}

fn delete(lab: &Lab, agent: &Agent) {
    lab.podwire_ok(&["--agent", agent.address(), "delete", "triangle", "--yes"]);
}

/// Every address that one pod's interface can reach, with that pod.
fn neighbours(pods: &[Pod; 3]) -> Vec<(&Pod, IpAddr)> {
    let mut all = Vec::new();
    for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1), (2, 0), (0, 2)] {
        let shared = WIRING[from].1.iter().find(|network| WIRING[to].1.contains(network)).unwrap();
        let index = WIRING[to].1.iter().position(|network| network == shared).unwrap();
        all.push((&pods[from], pods[to].address(["net1", "net2"][index])));
    }
    all
}

#[test]
fn each_pod_gets_its_two_networks_in_the_order_of_its_annotation_and_every_pair_pings() {
    private(async |lab| {
        let (_agent, pods) = triangle(lab).await;
        // At once, before anything else: the first frame passes.
        let paths = neighbours(&pods);
        assert_eq!(paths.len(), 6);
        for (from, to) in paths {
            from.ping(to);
        }
        for (pod, (_, networks)) in pods.iter().zip(WIRING) {
            assert_eq!(pod.interfaces(), ["eth0", "net1", "net2"]);
            for (interface, network) in ["net1", "net2"].iter().zip(networks) {
                let addresses = pod.addresses(interface);
                assert_eq!(addresses.len(), 1, "{addresses:?}");
                assert!(addresses[0].starts_with(network) && addresses[0].ends_with("/24"), "{addresses:?}");
                assert_ne!(addresses[0], format!("{network}1/24"), "that of the gateway is nobody's");
            }
        }
    });
}

#[test]
fn the_triangle_stands_without_root() {
    private_without_root(async |lab| {
        let (agent, pods) = triangle(lab).await;
        for (from, to) in neighbours(&pods) {
            from.ping(to);
        }
        delete(lab, &agent);
        assert_eq!(pods[0].interfaces(), ["eth0"]);
    });
}

#[test]
fn eth0_and_everything_else_in_the_pods_is_untouched() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let pods = lab.pods(["bb1", "bb2", "bb3"]).map(Pod::with_eth0);
        let before = lab.snapshot();
        apply(lab, &agent);
        let during = lab.snapshot();
        for pod in &pods {
            let (old, new) = (before.of(pod.name()), during.of(pod.name()));
            old.assert_same(&new.without("net1").without("net2"));
        }
        before.of("the node").assert_same(&during.of("the node"));
        delete(lab, &agent);
        for pod in &pods {
            before.of(pod.name()).assert_same(&lab.snapshot().of(pod.name()));
        }
    });
}

#[test]
fn the_topology_has_one_panel_and_it_goes_with_the_topology() {
    private(async |lab| {
        let (agent, pods) = triangle(lab).await;
        assert_eq!(lab.panels(), ["podwire.default.triangle"]);
        let names = lab.link_names("podwire.default.triangle");
        for bridge in ["12-bridge", "23-bridge", "31-bridge"] {
            assert!(names.iter().any(|name| name == bridge), "{bridge}: {names:?}");
        }
        assert_eq!(names.len(), 9, "three bridges and six ports: {names:?}");
        delete(lab, &agent);
        for pod in &pods {
            assert_eq!(pod.interfaces(), ["eth0"], "gone when the reply comes");
        }
        eventually("the panel is gone", async || holds(lab.panels().is_empty(), format!("{:?}", lab.panels()))).await;
    });
}

#[test]
fn lldp_frames_pass_a_bridge() {
    private(async |lab| {
        let (_agent, pods) = triangle(lab).await;
        let (from, to) = (pods[0].tap("net2"), pods[1].tap("net1"));
        let frame = from.send(LLDP, b"\x88\xccpodwire").unwrap();
        to.expect(&frame, Duration::from_secs(5)).unwrap();
    });
}

#[test]
fn the_bridges_have_the_hairpin_mode_of_the_manifest() {
    private(async |lab| {
        let (_agent, _pods) = triangle(lab).await;
        let ports = lab.ports("podwire.default.triangle");
        assert_eq!(ports.len(), 6);
        assert!(ports.iter().all(|port| port["hairpin"] == true), "{ports:?}");
    });
}

#[test]
fn the_panel_says_nothing_into_the_lab() {
    private(async |lab| {
        let (_agent, _pods) = triangle(lab).await;
        for link in lab.ip_json("-n podwire.default.triangle address show").as_array().unwrap() {
            let spoken: &Value = &link["addr_info"];
            assert!(
                link["ifname"] == "lo" || spoken.as_array().is_none_or(Vec::is_empty),
                "an address in the panel: {link}"
            );
        }
    });
}

#[test]
fn show_and_get_say_what_the_kernel_shows() {
    private(async |lab| {
        let (agent, pods) = triangle(lab).await;
        let shown = lab.podwire_ok(&["--agent", agent.address(), "show", "triangle"]);
        for word in ["12-bridge", "23-bridge", "31-bridge", "bb1", "bb2", "bb3", "net1", "net2"] {
            assert!(shown.contains(word), "{word}:\n{shown}");
        }
        for (_, address) in neighbours(&pods) {
            assert!(shown.contains(&address.to_string()), "{address}:\n{shown}");
        }
        assert!(!shown.contains('\u{1b}'), "no colour where nobody looks");
        let json = lab.podwire_ok(&["--agent", agent.address(), "get", "topologies", "-o", "json"]);
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert!(json.to_string().contains("STATE_READY"), "{json}");
    });
}

#[test]
fn applied_again_after_a_delete_everything_has_the_same_macs_and_addresses() {
    private(async |lab| {
        let (agent, pods) = triangle(lab).await;
        let look = || {
            let each = pods.iter().flat_map(|pod| {
                ["net1", "net2"].map(|name| (pod.link(name)["address"].to_string(), pod.addresses(name)))
            });
            each.collect::<Vec<_>>()
        };
        let first = look();
        delete(lab, &agent);
        apply(lab, &agent);
        assert_eq!(first, look());
        for (from, to) in neighbours(&pods) {
            from.ping(to);
        }
    });
}
