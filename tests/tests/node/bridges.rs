//! LAN segments: what their ports let pass.

use std::time::Duration;

use podwire_proto::v1::{
    Attachment, Bridge, CreateBridgeRequest, DeleteBridgeRequest, DetachRequest, GetBridgeRequest, Interface,
    ListBridgesRequest, Toggle,
};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{attachment_cable, bridge, ipam, lan, nic, nic_at, plug, topology},
    lab::{Lab, agent::refused},
    tap::LLDP,
};
use serde_json::Value;
use tonic::Code;

use crate::private;

/// The port in the panel whose other end is `interface` of `pod`.
fn port(lab: &Lab, panel: &str, pod: &str, interface: &str) -> Value {
    let inside = lab.links(pod).into_iter().find(|link| link["ifname"] == interface).expect("the interface");
    let ports = lab.ports(panel);
    let found = ports.iter().find(|port| port["ifindex"] == inside["link_index"]).cloned();
    found.unwrap_or_else(|| panic!("no port for {inside} among {ports:?}"))
}

#[test]
fn hairpin_and_isolation_are_set_for_each_port() {
    private(async |lab| {
        lab.pods(["a", "b", "c"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![Bridge { isolated: true, ..lan("lan", "10.0.0.0/24") }];
        wanted.attachments = vec![
            plug("a", nic("a", "net1"), "lan"),
            Attachment { isolated: Toggle::Off.into(), ..plug("b", nic("b", "net1"), "lan") },
            Attachment { hairpin: Toggle::On.into(), ..plug("c", nic("c", "net1"), "lan") },
        ];
        agent.apply(wanted).await.unwrap();
        let panel = "podwire.lessons.12";
        for (pod, isolated, hairpin) in [("a", true, false), ("b", false, false), ("c", true, true)] {
            let port = port(lab, panel, pod, "net1");
            assert_eq!((&port["isolated"], &port["hairpin"]), (&isolated.into(), &hairpin.into()), "{pod}: {port}");
            assert_eq!(port["state"], "forwarding", "{port}");
        }
    });
}

#[test]
fn isolated_ports_reach_the_one_that_is_not_and_never_each_other() {
    private(async |lab| {
        let [a, b, gateway] = lab.pods(["a", "b", "gateway"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![Bridge { isolated: true, ..lan("lan", "10.0.0.0/24") }];
        wanted.attachments = vec![
            plug("a", nic("a", "net1"), "lan"),
            plug("b", nic("b", "net1"), "lan"),
            Attachment { isolated: Toggle::Off.into(), ..plug("gateway", nic("gateway", "net1"), "lan") },
        ];
        agent.apply(wanted).await.unwrap();
        a.ping(gateway.address("net1"));
        b.ping(gateway.address("net1"));
        assert!(!a.reaches(b.address("net1")));
    });
}

#[test]
fn a_bridge_passes_lldp_and_vlan_tags_and_has_no_protocol_of_its_own() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![bridge("lan")];
        wanted.attachments = vec![plug("a", nic("a", "net1"), "lan"), plug("b", nic("b", "net1"), "lan")];
        agent.apply(wanted).await.unwrap();
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        let lldp = at_a.send(LLDP, b"\x88\xccpodwire").unwrap();
        at_b.expect(&lldp, Duration::from_secs(5)).unwrap();
        let tagged = at_a.send(at_b.mac(), b"\x81\x00\x00\x2a\x81\x00\x00\x07\x08\x00tagged").unwrap();
        at_b.expect(&[&tagged[..12], &tagged[16..]].concat(), Duration::from_secs(5)).unwrap();
        let links = lab.links("podwire.lessons.12");
        let bridge = links.iter().find(|link| link["ifname"] == "lan").expect("the bridge has its own name");
        let options = &bridge["linkinfo"]["info_data"];
        assert_eq!(options["stp_state"], 0, "{options}");
        assert_eq!(options["mcast_snooping"], 0, "it would drop OSPF and VRRP: {options}");
    });
}

#[test]
fn a_long_name_is_shortened_and_kept_as_an_altname() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let name = "the-segment-between-the-two-data-centres";
        let mut wanted = topology("12");
        wanted.bridges = vec![bridge(name)];
        wanted.attachments = vec![plug("a", nic("a", "net1"), name)];
        agent.apply(wanted).await.unwrap();
        let found = lab.ip_json(&format!("-n podwire.lessons.12 link show dev {name}"));
        assert!(found[0]["ifname"].as_str().unwrap().len() <= 15, "{found}");
    });
}

#[test]
fn the_mtu_of_a_bridge_is_that_of_all_its_interfaces() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![Bridge { mtu: 9000, ..lan("lan", "10.0.0.0/24") }];
        wanted.attachments = vec![plug("a", nic("a", "net1"), "lan"), plug("b", nic("b", "net1"), "lan")];
        agent.apply(wanted).await.unwrap();
        assert_eq!(a.link("net1")["mtu"], 9000);
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        let frame = at_a.send(at_b.mac(), &[&b"\x88\xb5"[..], &[7; 9000]].concat()).unwrap();
        at_b.expect(&frame, Duration::from_secs(5)).unwrap();
    });
}

#[test]
fn a_bridge_keeps_the_mac_that_it_is_given() {
    private(async |lab| {
        lab.pods(["a"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![Bridge { mac: "02:00:00:00:00:42".into(), ..bridge("lan") }];
        wanted.attachments = vec![plug("a", nic("a", "net1"), "lan")];
        agent.apply(wanted).await.unwrap();
        let links = lab.links("podwire.lessons.12");
        assert!(
            links.iter().any(|link| link["ifname"] == "lan" && link["address"] == "02:00:00:00:00:42"),
            "{links:?}"
        );
    });
}

#[test]
fn single_calls_create_get_list_and_delete_a_bridge() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let create = CreateBridgeRequest { bridge: Some(lan("lan", "10.0.0.0/24")), ..CreateBridgeRequest::default() };
        agent.bridges().create_bridge(create.clone()).await.unwrap();
        agent.bridges().create_bridge(create).await.expect("repeats are free");
        let get = GetBridgeRequest { name: "lan".into(), ..GetBridgeRequest::default() };
        let got = agent.bridges().get_bridge(get.clone()).await.unwrap().into_inner().bridge.unwrap();
        assert_eq!((got.name.as_str(), got.mtu), ("lan", 1500));
        let listed = agent.bridges().list_bridges(ListBridgesRequest::default()).await.unwrap().into_inner();
        assert_eq!(listed.bridges.len(), 1);
        assert_eq!(listed.bridges[0].topology, "default");
        let delete = DeleteBridgeRequest { name: "lan".into(), ..DeleteBridgeRequest::default() };
        agent.bridges().delete_bridge(delete.clone()).await.unwrap();
        agent.bridges().delete_bridge(delete).await.expect("an absent one succeeds");
        assert_eq!(refused(agent.bridges().get_bridge(get)).await.code(), Code::NotFound);
    });
}

#[test]
fn a_bridge_with_attachments_goes_only_with_cascade() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        let create = CreateBridgeRequest { bridge: Some(lan("lan", "10.0.0.0/24")), ..CreateBridgeRequest::default() };
        agent.bridges().create_bridge(create).await.unwrap();
        crate::ownership::attach(&agent, plug("a-lan", nic("a", "net1"), "lan")).await.unwrap();
        let before = lab.snapshot();
        let delete = DeleteBridgeRequest { name: "lan".into(), ..DeleteBridgeRequest::default() };
        let status = refused(agent.bridges().delete_bridge(delete.clone())).await;
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        assert!(status.message().contains("a-lan"), "lists its attachments: {status}");
        before.assert_same(&lab.snapshot());
        agent.bridges().delete_bridge(DeleteBridgeRequest { cascade: true, ..delete }).await.unwrap();
        assert!(a.interfaces().is_empty(), "gone when the reply comes");
    });
}

#[test]
fn a_detached_address_is_free_when_the_reply_comes() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        // A subnet with one address to give.
        let create = CreateBridgeRequest { bridge: Some(lan("lan", "10.0.0.0/30")), ..CreateBridgeRequest::default() };
        agent.bridges().create_bridge(create).await.unwrap();
        crate::ownership::attach(&agent, plug("a-lan", nic("a", "net1"), "lan")).await.unwrap();
        assert_eq!(a.addresses("net1"), ["10.0.0.2/30"]);
        let full = refused(Box::pin(crate::ownership::attach(&agent, plug("b-lan", nic("b", "net1"), "lan")))).await;
        assert_eq!(full.code(), Code::ResourceExhausted, "{full}");
        let detach = DetachRequest { name: "a-lan".into(), ..DetachRequest::default() };
        agent.attachments().detach(detach).await.unwrap();
        assert!(a.interfaces().is_empty(), "gone when the reply comes");
        crate::ownership::attach(&agent, plug("b-lan", nic("b", "net1"), "lan")).await.unwrap();
        assert_eq!(b.addresses("net1"), ["10.0.0.2/30"]);
    });
}

#[test]
fn the_cable_of_an_attachment_can_be_pulled() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![Bridge { ipam: ipam("10.0.0.0/24"), ..bridge("lan") }];
        wanted.attachments = vec![plug("a-lan", nic("a", "net1"), "lan")];
        agent.apply(wanted).await.unwrap();
        for (up, expected) in [(false, "DOWN"), (true, "UP")] {
            let request = attachment_cable("a-lan", up);
            agent.attachments().update_attachment(request).await.unwrap();
            eventually("carrier follows the cable", async || {
                let link = a.link("net1");
                holds(link["operstate"] == expected, link)
            })
            .await;
        }
    });
}

#[test]
fn two_topologies_with_bridges_of_one_name_do_not_meet() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        for (name, pod, address) in [("one", "a", "10.0.0.1/24"), ("two", "b", "10.0.0.2/24")] {
            let mut wanted = topology(name);
            wanted.bridges = vec![bridge("lan")];
            let interface = Interface { ..nic_at(pod, "net1", &[address]) };
            wanted.attachments = vec![plug("it", interface, "lan")];
            agent.apply(wanted).await.unwrap();
        }
        assert!(!a.reaches("10.0.0.2".parse().unwrap()));
        assert!(!b.reaches("10.0.0.1".parse().unwrap()));
    });
}
