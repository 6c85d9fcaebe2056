use podwire_proto::v1::{self, State};

use super::Picture;

mod drawn;
mod written;

/// An interface that is as it should be.
fn nic(pod: &str, name: &str, addresses: &[&str]) -> v1::Interface {
    let status = v1::InterfaceStatus { state: State::Ready.into(), index: 3, carrier: true, ..Default::default() };
    v1::Interface {
        owner: Some(v1::interface::Owner::Pod(pod.to_owned())),
        name: name.to_owned(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
        status: Some(status),
        ..Default::default()
    }
}

/// The same in another state.
fn nic_in(state: State, reason: &str, mut interface: v1::Interface) -> v1::Interface {
    let index = if state == State::Pending { 0 } else { 3 };
    let carrier = state == State::Degraded;
    interface.status = Some(v1::InterfaceStatus {
        state: state.into(),
        reason: reason.to_owned(),
        index,
        carrier,
        ..Default::default()
    });
    interface
}

fn plug(name: &str, interface: v1::Interface, bridge: &str) -> v1::Attachment {
    let target = Some(v1::attachment::Target::Bridge(bridge.to_owned()));
    v1::Attachment { name: name.to_owned(), interface: Some(interface), target, ..Default::default() }
}

fn bridge(name: &str, subnet: &str) -> v1::Bridge {
    let subnets = vec![v1::Subnet { cidr: subnet.to_owned(), ..Default::default() }];
    let status = Some(v1::Status { state: State::Ready.into(), ..Default::default() });
    v1::Bridge {
        name: name.to_owned(),
        ipam: Some(v1::Ipam { subnets, ..Default::default() }),
        status,
        ..Default::default()
    }
}

fn link(name: &str, a: v1::Interface, b: v1::Interface) -> v1::Link {
    let status = Some(v1::Status { state: State::Ready.into(), ..Default::default() });
    v1::Link { name: name.to_owned(), a: Some(a), far_end: Some(v1::link::FarEnd::B(b)), status, ..Default::default() }
}

fn topology(name: &str) -> v1::Topology {
    v1::Topology {
        namespace: "lessons".to_owned(),
        name: name.to_owned(),
        status: Some(v1::TopologyStatus {
            state: State::Ready.into(),
            interfaces_ready: 6,
            interfaces: 6,
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Three pods, a bridge between each two.
fn triangle() -> v1::Topology {
    let mut triangle = topology("triangle");
    for (at, (name, pods)) in
        [("mybridge1", ["bb1", "bb2"]), ("mybridge2", ["bb2", "bb3"]), ("mybridge3", ["bb1", "bb3"])]
            .into_iter()
            .enumerate()
    {
        triangle.bridges.push(bridge(name, &format!("10.10.{}.0/24", at + 1)));
        for (end, pod) in pods.into_iter().enumerate() {
            let used = triangle.attachments.iter().filter(|each| each.name.starts_with(pod)).count();
            let name = format!("net{}", used + 1);
            let address = format!("10.10.{}.{}/24", at + 1, end + 2);
            let interface = nic(pod, &name, &[&address]);
            triangle.attachments.push(plug(&format!("{pod}-{name}"), interface, &triangle.bridges[at].name));
        }
    }
    triangle
}

/// One of everything, in every state.
fn everything() -> v1::Topology {
    let mut all = topology("12");
    let status = all.status.as_mut().unwrap();
    (status.state, status.interfaces_ready) = (State::Failed.into(), 2);
    let mut hub = bridge("hub1", "10.0.0.0/24");
    (hub.l2_profile, hub.stp) = (v1::L2Profile::Hub.into(), true);
    all.bridges = vec![hub, bridge("alone", "10.9.0.0/24")];
    let delay = v1::Impairment {
        delay: Some(prost_types::Duration { seconds: 0, nanos: 20_000_000 }),
        jitter: Some(prost_types::Duration { seconds: 0, nanos: 2_000_000 }),
        loss_model: Some(v1::impairment::LossModel::Loss(1.5)),
        rate: Some(v1::Rate { bits_per_second: 1_000_000, ..Default::default() }),
        ..Default::default()
    };
    let mut slow = plug("slow", nic("r1", "net2", &["10.0.0.2/24", "fd00::2/64"]), "hub1");
    slow.to_interface = Some(delay);
    let late = nic_in(State::Pending, "no pod `late`", nic("late", "net1", &[]));
    let failed = nic_in(State::Failed, "File exists (os error 17)", nic("r2", "net2", &["10.0.0.3/24"]));
    all.attachments = vec![slow, plug("late", late, "hub1"), plug("failed", failed, "hub1")];
    let device = v1::NodeDevice { parent: "eth1".to_owned(), ..Default::default() };
    let mut outside = plug("outside", nic("r2", "net3", &["192.168.1.203/24"]), "");
    outside.target = Some(v1::attachment::Target::Device(device));
    all.attachments.push(outside);
    let mut pulled = link("w1", nic("r1", "net1", &["10.1.0.1/30"]), nic("r2", "net1", &["10.1.0.2/30"]));
    (pulled.up, pulled.a_to_b) = (v1::Toggle::Off.into(), Some(delay));
    let degraded = nic_in(State::Degraded, "its MAC is changed all the time", nic("r1", "net3", &[]));
    let mut dark = nic("r3", "eth1", &[]);
    dark.status.as_mut().unwrap().carrier = false;
    let mut direct = link("d1", degraded, dark);
    direct.mode = v1::LinkMode::Direct.into();
    all.links = vec![pulled, direct];
    all
}

/// `count` pods on one bridge, and a chain of links through all of them.
fn many(count: usize) -> v1::Topology {
    let mut many = topology("many");
    many.bridges.push(bridge("lan", "10.0.0.0/16"));
    for pod in 0..count {
        let address = format!("10.0.{}.{}/16", pod / 250, pod % 250 + 2);
        let interface = nic(&format!("pod-{pod}"), "net1", &[&address]);
        many.attachments.push(plug(&format!("p{pod}"), interface, "lan"));
    }
    many
}

/// `count` pods in a row, each wired to the next, the last to the first.
fn ring(count: usize) -> v1::Topology {
    let mut ring = topology("ring");
    for at in 0..count {
        let (a, b) = (format!("pod-{at}"), format!("pod-{}", (at + 1) % count));
        ring.links.push(link(&format!("w{at}"), nic(&a, "net1", &[]), nic(&b, "net2", &[])));
    }
    ring
}
