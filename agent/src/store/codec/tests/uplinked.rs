//! A record with what reaches the node's network, and with VLANs.

use super::*;
use crate::domain::{
    spec::UplinkTarget,
    uplink::{UplinkSpec, Way},
    vlans::Membership,
};

pub(super) fn uplinked() -> Record {
    let vlan = |id: u32| id.try_into().unwrap();
    let uplink = |parent: &str, way| UplinkSpec { parent: parent.parse().unwrap(), way };
    let on = |name: &str, pod: &str, uplink, ipam| AttachmentSpec {
        target: Target::Uplink(UplinkTarget { uplink, ipam }),
        ..sample::plugged(name, "none", sample::interface(pod, ""))
    };
    let member = |name: &str, pod: &str, vlan| AttachmentSpec {
        vlan: Some(vlan),
        ..sample::plugged(name, "lan1", sample::interface(pod, ""))
    };
    let trunk =
        Membership::Trunk { tagged: vec![(vlan(20), vlan(29)), (vlan(4094), vlan(4094))], native: Some(vlan(7)) };
    let spec = TopologySpec {
        bridges: vec![
            BridgeSpec {
                vlan_aware: true,
                uplink: Some(uplink("br0", Way::BridgePort)),
                ..sample::bridge("lan1", None)
            },
            BridgeSpec { uplink: Some(uplink("eth1", Way::Vlan(vlan(100)))), ..sample::bridge("lan2", None) },
        ],
        attachments: vec![
            on("p1", "bb1", uplink("eth1", Way::Vlan(vlan(1))), Some(sample::ipam(&["10.9.0.0/24"]))),
            on("p2", "bb2", uplink("br0", Way::BridgePort), None),
            member("p3", "bb3", Membership::Access(vlan(10))),
            member("p4", "bb4", trunk),
        ],
        ..sample::topology()
    };
    Record::Live { intent: Arc::new(intent(spec, 7, None)), former: None }
}
