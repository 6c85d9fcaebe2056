//! Interfaces on devices of the node: macvlan.

use podwire_proto::v1::{Attachment, MacvlanMode, NodeDevice, State, Toggle, Topology, attachment::Target};
use podwire_tests::{
    elements::{ipam, nic, nic_at, plug, state, topology},
    lab::{
        Lab,
        agent::{Agent, refused},
    },
    verdict::assert_refused,
};
use tonic::Code;

use crate::private;

/// An agent that may share `up0`, a device of the node.
pub(crate) async fn sharing(lab: &Lab) -> Agent {
    lab.ip("link add up0 type veth peer name far0");
    for device in ["up0", "far0"] {
        lab.ip(&format!("link set {device} addrgenmode none up"));
    }
    lab.agent().arg("--node-device").arg("up0").start().await
}

/// An attachment of `pod` to it.
pub(crate) fn on(pod: &str, mode: MacvlanMode) -> Attachment {
    let device =
        NodeDevice { parent: "up0".into(), mode: mode.into(), ipam: ipam("192.168.7.0/24"), ..NodeDevice::default() };
    Attachment { target: Some(Target::Device(device)), ..plug(pod, nic(pod, "net1"), "") }
}

fn of(name: &str, attachments: Vec<Attachment>) -> Topology {
    Topology { attachments, ..topology(name) }
}

#[test]
fn topologies_on_one_device_share_its_addresses_without_a_clash() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = sharing(lab).await;
        agent.apply(of("one", vec![on("a", MacvlanMode::Bridge)])).await.unwrap();
        agent.apply(of("two", vec![on("b", MacvlanMode::Bridge)])).await.unwrap();
        assert_ne!(a.addresses("net1"), b.addresses("net1"));
        a.ping(b.address("net1"));
        let before = lab.snapshot();
        let mut taken = on("b", MacvlanMode::Bridge);
        taken.interface = Some(nic_at("b", "net2", &[&a.addresses("net1")[0]]));
        let status = refused(agent.apply(of("three", vec![taken]))).await;
        assert!(status.message().contains("lessons/one"), "says whose it is: {status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn private_interfaces_of_one_device_never_reach_each_other() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = sharing(lab).await;
        let both = ["a", "b"].map(|pod| on(pod, MacvlanMode::Private)).to_vec();
        agent.apply(of("one", both)).await.unwrap();
        assert_eq!(a.link("net1")["linkinfo"]["info_data"]["mode"], "private");
        assert!(!a.reaches(b.address("net1")));
    });
}

#[test]
fn deleting_leaves_the_device_of_the_node_as_it_was() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = sharing(lab).await;
        let before = lab.snapshot();
        let made = agent.apply(of("one", vec![on("a", MacvlanMode::Unspecified)])).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        assert_eq!(a.link("net1")["linkinfo"]["info_data"]["mode"], "bridge");
        agent.delete("one").await.unwrap();
        for place in ["a", "the node"] {
            before.of(place).assert_same(&lab.snapshot().of(place));
        }
    });
}

#[test]
fn a_stranger_with_the_name_of_a_deleted_interface_is_left_alone() {
    private(async |lab| {
        let a = lab.pod("a");
        let agent = sharing(lab).await;
        agent.apply(of("one", vec![on("a", MacvlanMode::Bridge)])).await.unwrap();
        a.ip("link add stranger type veth peer name other");
        a.usurp("net1", "stranger", false);
        let _ = agent.delete("one").await;
        assert!(a.interfaces().contains(&"net1".to_owned()), "not ours: {:?}", a.interfaces());
    });
}

#[test]
fn what_a_device_cannot_do_is_refused() {
    private(async |lab| {
        lab.pod("a");
        let agent = sharing(lab).await;
        let before = lab.snapshot();
        let wrong = Attachment {
            hairpin: Toggle::On.into(),
            isolated: Toggle::On.into(),
            up: Toggle::Off.into(),
            ..on("a", MacvlanMode::Bridge)
        };
        let fields = ["attachments[0].hairpin", "attachments[0].isolated", "attachments[0].up"];
        assert_refused(&refused(agent.apply(of("one", vec![wrong]))).await, Code::InvalidArgument, &fields);
        let mut other = on("a", MacvlanMode::Bridge);
        if let Some(Target::Device(device)) = &mut other.target {
            device.parent = "far0".into();
        }
        let status = refused(agent.apply(of("one", vec![other]))).await;
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn a_shared_device_that_is_not_there_is_said_to_be_missing() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().arg("--node-device").arg("up0").start().await;
        let before = lab.snapshot();
        let status = refused(agent.apply(of("one", vec![on("a", MacvlanMode::Bridge)]))).await;
        assert!(matches!(status.code(), Code::FailedPrecondition | Code::NotFound), "{status}");
        assert!(status.message().contains("up0"), "{status}");
        before.assert_same(&lab.snapshot());
    });
}
