//! What an uplink or a VLAN cannot be.

use podwire_proto::v1::{Attachment, Bridge, NodeDevice, PortVlan, Toggle, Topology, Uplink, VlanRange};
use podwire_tests::{
    elements::{bridge, nic_at, plug, topology},
    lab::agent::refused,
    verdict::{assert_refused, reason},
};
use tonic::Code;

use super::{of, office, onto, port, segment, sharing};
use crate::private;

#[test]
fn what_an_uplink_cannot_be_is_refused() {
    private(async |lab| {
        office(lab).await;
        lab.pods(["a", "b"]);
        lab.ip("link add up0 type veth peer name far0");
        let agent = sharing(lab).start().await;
        let before = lab.snapshot();
        let on = |parent: &str, vlan, bridge_port| NodeDevice {
            parent: parent.into(),
            vlan,
            bridge_port,
            ..NodeDevice::default()
        };
        for (device, field) in [
            (on("up0", Some(0), false), "attachments[0].device.vlan"),
            (on("up0", Some(4095), false), "attachments[0].device.vlan"),
            (on("up0", Some(70_000), false), "attachments[0].device.vlan"),
            (on("br0", Some(5), true), "attachments[0].device.vlan"),
            (NodeDevice { mode: 1, ..on("br0", None, true) }, "attachments[0].device.mode"),
        ] {
            let status = refused(agent.apply(of("one", vec![onto(device, "a", "10.9.0.2/24")]))).await;
            assert_refused(&status, Code::InvalidArgument, &[field]);
        }
        let twice = ["a", "b"].map(|pod| onto(on("up0", Some(7), false), pod, "10.9.0.2/24")).to_vec();
        let status = refused(agent.apply(of("one", twice))).await;
        assert_refused(&status, Code::InvalidArgument, &["attachments[1].device.vlan"]);
        for (uplink, field) in [
            (Uplink { parent: "up0".into(), ..Uplink::default() }, "bridges[0].uplink.vlan"),
            (Uplink { parent: "up0".into(), vlan: Some(0), ..Uplink::default() }, "bridges[0].uplink.vlan"),
            (Uplink { vlan: Some(1), ..Uplink::default() }, "bridges[0].uplink.parent"),
        ] {
            let bridges = vec![Bridge { uplink: Some(uplink), ..bridge("lan") }];
            let status = refused(agent.apply(Topology { bridges, ..topology("one") })).await;
            assert_refused(&status, Code::InvalidArgument, &[field]);
        }
        let macvlan = Attachment { hairpin: Toggle::On.into(), ..port("a", "10.9.0.2/24") };
        let status = refused(agent.apply(of("one", vec![macvlan]))).await;
        assert_refused(&status, Code::InvalidArgument, &["attachments[0].hairpin"]);
        for device in [on("far0", None, true), on("far0", Some(5), false)] {
            let status = refused(agent.apply(of("one", vec![onto(device, "a", "10.9.0.2/24")]))).await;
            assert_eq!(status.code(), Code::PermissionDenied, "not listed: {status}");
            assert!(status.message().contains("--node-device"), "{status}");
        }
        let status = refused(agent.apply(of("one", vec![onto(on("up0", None, true), "a", "10.9.0.2/24")]))).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "NOT_A_BRIDGE"), "{status}");
        let mut large = port("a", "10.9.0.2/24");
        large.interface.as_mut().unwrap().mtu = 9000;
        let status = refused(agent.apply(of("one", vec![large]))).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "PARENT_MTU"), "{status}");
        let large = Topology { bridges: vec![Bridge { mtu: 9000, ..segment().bridges[0].clone() }], ..topology("one") };
        let status = refused(agent.apply(large)).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "PARENT_MTU"), "{status}");
        before.assert_same(&lab.snapshot());
        lab.ip("link delete br0");
        for topology in [of("one", vec![port("a", "10.9.0.2/24")]), segment()] {
            let status = refused(agent.apply(topology)).await;
            assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "NO_DEVICE"), "{status}");
            assert!(status.message().contains("br0"), "{status}");
        }
    });
}

#[test]
fn a_kernel_without_vlans_is_said_to_have_none() {
    private(async |lab| {
        lab.pod("a");
        lab.ip("link add up0 type veth peer name far0");
        let agent = sharing(lab).start().await;
        let node = agent.node().get_node(podwire_proto::v1::GetNodeRequest::default()).await.unwrap().into_inner();
        let lacks = |name: &str| node.capabilities.iter().any(|it| it.name == name && !it.available);
        let doctor = String::from_utf8_lossy(&lab.podwire(&["--agent", agent.address(), "doctor"]).stdout).into_owned();
        if !lacks("vlan") || !lacks("vlan_filtering") {
            return;
        }
        assert!(doctor.contains("vlan_filtering") && doctor.contains("VLANs of devices of the node"), "{doctor}");
        let before = lab.snapshot();
        let device = NodeDevice { parent: "up0".into(), vlan: Some(5), ..NodeDevice::default() };
        let status = refused(agent.apply(of("one", vec![onto(device, "a", "10.9.0.2/24")]))).await;
        assert_eq!(status.code(), Code::Unimplemented, "{status}");
        assert!(status.message().contains("vlan"), "names it: {status}");
        let uplink = Some(Uplink { parent: "up0".into(), vlan: Some(5), ..Uplink::default() });
        let bridges = vec![Bridge { uplink, ..bridge("lan") }];
        let status = refused(agent.apply(Topology { bridges, ..topology("one") })).await;
        assert_eq!(status.code(), Code::Unimplemented, "{status}");
        let bridges = vec![Bridge { vlan_aware: true, ..bridge("lan") }];
        let status = refused(agent.apply(Topology { bridges, ..topology("one") })).await;
        assert_eq!(status.code(), Code::Unimplemented, "{status}");
        assert!(status.message().contains("vlan_filtering"), "names it: {status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn vlans_of_attachments_that_cannot_be_are_refused() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let range = |first, last| VlanRange { first, last };
        let trunk = |first, last| PortVlan { trunk: vec![range(first, last)], ..PortVlan::default() };
        for (vlan, field) in [
            (PortVlan::default(), "attachments[0].vlan"),
            (PortVlan { access: 4095, ..PortVlan::default() }, "attachments[0].vlan.access"),
            (PortVlan { access: 5, native: 6, ..PortVlan::default() }, "attachments[0].vlan.access"),
            (PortVlan { native: 4095, ..PortVlan::default() }, "attachments[0].vlan.native"),
            (trunk(0, 5), "attachments[0].vlan.trunk[0].first"),
            (trunk(9, 5), "attachments[0].vlan.trunk[0].last"),
            (trunk(9, 5000), "attachments[0].vlan.trunk[0].last"),
        ] {
            let plugged = Attachment { vlan: Some(vlan), ..plug("a", nic_at("a", "net1", &[]), "lan") };
            let bridges = vec![Bridge { vlan_aware: true, ..bridge("lan") }];
            let status = refused(agent.apply(Topology { bridges, ..of("one", vec![plugged]) })).await;
            assert_refused(&status, Code::InvalidArgument, &[field]);
        }
        let vlan = Some(PortVlan { access: 5, ..PortVlan::default() });
        let plugged = Attachment { vlan, ..plug("a", nic_at("a", "net1", &[]), "lan") };
        let status = refused(agent.apply(Topology { bridges: vec![bridge("lan")], ..of("one", vec![plugged]) })).await;
        assert_refused(&status, Code::InvalidArgument, &["attachments[0].vlan"]);
    });
}
