//! Onto a bridge that the node has: one port there, and nothing else of the node is touched.

mod refusals;

use podwire_client::CaptureRequest;
use podwire_proto::v1::{Attachment, Bridge, NodeDevice, State, Toggle, Topology, Uplink, attachment::Target};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, nic_at, plug, state, states, timeless, topology},
    film::{Film, tshark},
    lab::{
        Lab,
        agent::{Agent, AgentBuilder, refused},
        pod::Pod,
    },
};
use serde_json::Value;

use crate::{
    capture::{quiet, with_readers},
    private,
    recover::{lose_state, said},
};

/// The bridge `br0` of the node, as a distribution makes one, with somebody outside at 10.9.0.1.
async fn office(lab: &Lab) -> Pod {
    let outside = lab.pod("outside");
    bridge_of_node(lab);
    lab.ip("link add cable master br0 type veth peer name eth0 netns outside");
    lab.ip("link set cable addrgenmode none");
    lab.ip("link set cable up");
    outside.ip("address add 10.9.0.1/24 dev eth0");
    outside.ip("link set eth0 up");
    eventually("the node's bridge is up", async || {
        let state = lab.ip_json("link show dev br0")[0]["operstate"].to_string();
        holds(state.contains("UP"), state)
    })
    .await;
    outside
}

fn bridge_of_node(lab: &Lab) {
    lab.ip("link add br0 type bridge");
    lab.ip("link set br0 addrgenmode none mtu 1400");
    // Chosen: else it would follow the ports.
    lab.ip("link set br0 mtu 1500");
    lab.ip("link set br0 up");
}

fn sharing(lab: &Lab) -> AgentBuilder {
    lab.agent().arg("--node-device").arg("br0").arg("--node-device").arg("up0")
}

pub(crate) fn onto(device: NodeDevice, pod: &str, address: &str) -> Attachment {
    Attachment { target: Some(Target::Device(device)), ..plug(pod, nic_at(pod, "net1", &[address]), "") }
}

fn port(pod: &str, address: &str) -> Attachment {
    onto(NodeDevice { parent: "br0".into(), bridge_port: true, ..NodeDevice::default() }, pod, address)
}

pub(crate) fn of(name: &str, attachments: Vec<Attachment>) -> Topology {
    Topology { attachments, ..topology(name) }
}

/// A bridge of the topology with two pods, which reaches the node's.
fn segment() -> Topology {
    let uplink = Some(Uplink { parent: "br0".into(), bridge_port: true, ..Uplink::default() });
    Topology {
        bridges: vec![Bridge { uplink, ..bridge("lan") }],
        attachments: vec![
            plug("pa", nic_at("a", "net1", &["10.9.0.2/24"]), "lan"),
            plug("pb", nic_at("b", "net1", &["10.9.0.3/24"]), "lan"),
        ],
        ..topology("one")
    }
}

/// A topology without what changes by itself: times and counters.
pub(crate) fn calm(topology: Topology) -> Topology {
    let mut topology = timeless(topology);
    for attachment in &mut topology.attachments {
        (attachment.to_interface_status, attachment.from_interface_status) = (None, None);
    }
    topology
}

/// What must never change of a device of the node.
pub(crate) fn identity(lab: &Lab, device: &str) -> Value {
    let link = &lab.ip_json(&format!("address show dev {device}"))[0];
    let keys = ["ifindex", "ifname", "address", "mtu", "flags", "master", "group", "addr_info", "altnames"];
    keys.iter().map(|key| ((*key).to_owned(), link[key].clone())).collect::<serde_json::Map<_, _>>().into()
}

/// The ports of the node's bridge but for the cable: podwire's.
fn ours(lab: &Lab) -> Vec<Value> {
    let links = lab.links("");
    links.into_iter().filter(|link| link["master"] == "br0" && link["ifname"] != "cable").collect()
}

fn only(lab: &Lab) -> Value {
    let ports = ours(lab);
    assert_eq!(ports.len(), 1, "{ports:#?}");
    ports[0].clone()
}

#[test]
fn an_interface_gets_a_port_of_a_bridge_of_the_node() {
    private(async |lab| {
        let outside = office(lab).await;
        let a = lab.pod("a");
        let agent = sharing(lab).start().await;
        let (before, bridge) = (lab.snapshot(), identity(lab, "br0"));
        let made = agent.apply(of("one", vec![port("a", "10.9.0.2/24")])).await.unwrap();
        assert_eq!(state(&made), State::Ready, "{made:#?}");
        a.ping(outside.address("eth0"));
        let ours = only(lab);
        assert_eq!(ours["altnames"], serde_json::json!(["podwire.lessons.one.a"]), "{ours:#}");
        assert_ne!(ours["group"], "default", "{ours:#}");
        assert_eq!(ours["inet6_addr_gen_mode"], "none", "it says nothing by itself: {ours:#}");
        assert_eq!(identity(lab, "br0"), bridge);
        let again = agent.apply(of("one", vec![port("a", "10.9.0.2/24")])).await.unwrap();
        assert_eq!((calm(again), &only(lab)["ifindex"]), (calm(made), &ours["ifindex"]), "a repeat changes nothing");
        agent.delete("one").await.unwrap();
        before.of("the node").assert_same(&lab.snapshot().of("the node"));
        before.of("a").assert_same(&lab.snapshot().of("a"));
    });
}

#[test]
fn a_bridge_reaches_a_bridge_of_the_node() {
    private(async |lab| {
        let outside = office(lab).await;
        let [a, b] = lab.pods(["a", "b"]);
        let agent = sharing(lab).start().await;
        let (before, bridge) = (lab.snapshot(), identity(lab, "br0"));
        let made = agent.apply(segment()).await.unwrap();
        assert_eq!(state(&made), State::Ready, "{made:#?}");
        assert_eq!(made.bridges[0].uplink.as_ref().unwrap().parent, "br0");
        for pod in [&a, &b] {
            pod.ping(outside.address("eth0"));
        }
        a.ping(b.address("net1"));
        assert_eq!(ours(lab).len(), 1, "however many pods it has");
        assert_eq!(identity(lab, "br0"), bridge);
        let shown = lab.podwire_ok(&["--agent", agent.address(), "show", "one", "-n", "lessons"]);
        assert!(shown.contains("uplink port of br0"), "{shown}");
        let alone = Topology { bridges: vec![Bridge { uplink: None, ..bridge_of(&made) }], ..segment() };
        agent.apply(alone).await.unwrap();
        assert_eq!(ours(lab), Vec::<Value>::new());
        assert!(!a.reaches(outside.address("eth0")));
        a.ping(b.address("net1"));
        agent.delete("one").await.unwrap();
        before.of("the node").assert_same(&lab.snapshot().of("the node"));
    });
}

fn bridge_of(topology: &Topology) -> Bridge {
    Bridge { status: None, ..topology.bridges[0].clone() }
}

#[test]
fn a_capture_of_a_bridge_shows_what_comes_by_its_uplink() {
    with_readers(async |lab| {
        let outside = office(lab).await;
        quiet(lab, ["a", "b"]);
        let agent = sharing(lab).start().await;
        agent.apply(segment()).await.unwrap();
        let mut film = Film::start(&agent, CaptureRequest::bridge("lessons", "one", "lan")).await.unwrap();
        let tap = outside.tap("eth0");
        let wanted = ["uplink/br0", "0x88b6"].map(str::to_owned).to_vec();
        eventually("the frame is seen where it enters", async || {
            tap.send([0xff; 6], b"\x88\xb6from outside").unwrap();
            film.glance().await;
            let seen = tshark(lab, film.file(), &["frame.interface_name", "eth.type"]).unwrap_or_default();
            let others = seen.iter().any(|row| row[1] == wanted[1] && row[0] != wanted[0]);
            assert!(!others, "each frame once: {seen:?}");
            holds(seen.contains(&wanted), format!("{seen:?}"))
        })
        .await;
    });
}

#[test]
fn ports_of_two_topologies_on_one_bridge_have_nothing_in_common() {
    private(async |lab| {
        office(lab).await;
        let [a, b] = lab.pods(["a", "b"]);
        let agent = sharing(lab).start().await;
        agent.apply(of("one", vec![port("a", "10.9.0.2/24")])).await.unwrap();
        let first = only(lab);
        let status = refused(agent.apply(of("two", vec![port("b", "10.9.0.2/24")]))).await;
        assert!(status.message().contains("lessons/one"), "the bridge is one segment: {status}");
        agent.apply(of("two", vec![port("b", "10.9.0.3/24")])).await.unwrap();
        a.ping(b.address("net1"));
        agent.delete("two").await.unwrap();
        assert_eq!(only(lab)["ifindex"], first["ifindex"]);
    });
}

#[test]
fn a_port_on_a_bridge_of_the_node_is_healed_and_others_are_left_alone() {
    private(async |lab| {
        let outside = office(lab).await;
        let a = lab.pod("a");
        let agent = sharing(lab).start().await;
        agent.apply(of("one", vec![port("a", "10.9.0.2/24")])).await.unwrap();
        lab.ip("link add br1 type bridge");
        let name = only(lab)["ifname"].as_str().unwrap().to_owned();
        let nic = a.link("net1")["ifindex"].clone();
        for damage in ["set PORT down", "set PORT nomaster", "set PORT master br1", "set PORT mtu 1400", "delete PORT"]
        {
            lab.ip(&format!("link {}", damage.replace("PORT", &name)));
            eventually("its pod reaches the outside again", async || {
                let made = agent.get("one").await.unwrap();
                let right = ours(lab).iter().any(|port| port["ifname"] == *name && port["mtu"] == 1500);
                holds(right && state(&made) == State::Ready, format!("{damage}: {made:?}"))
            })
            .await;
            a.ping(outside.address("eth0"));
            assert_eq!(a.link("net1")["ifindex"], nic, "the pod keeps its interface: {damage}");
        }
        // One that looks like podwire's in the node's namespace, and has its far end elsewhere.
        lab.ip("link add lookalike group 1886874994 master br0 type veth peer name other");
        lab.ip("link property add dev lookalike altname podwire.lessons.one.b");
        agent.delete("one").await.unwrap();
        assert_eq!(only(lab)["ifname"], "lookalike");
    });
}

#[test]
fn a_cable_to_the_node_is_pulled_and_plugged() {
    private(async |lab| {
        let outside = office(lab).await;
        let a = lab.pod("a");
        let agent = sharing(lab).start().await;
        let pulled = Attachment { up: Toggle::Off.into(), ..port("a", "10.9.0.2/24") };
        agent.apply(of("one", vec![pulled])).await.unwrap();
        // The other flag, NO-CARRIER, comes with linkwatch, which may be late.
        assert!(!a.link("net1")["flags"].to_string().contains("LOWER_UP"));
        agent.apply(of("one", vec![port("a", "10.9.0.2/24")])).await.unwrap();
        a.ping(outside.address("eth0"));
    });
}

#[test]
fn a_bridge_of_the_node_that_goes_and_comes_takes_the_carrier_along() {
    private(async |lab| {
        let outside = office(lab).await;
        let a = lab.pod("a");
        let agent = sharing(lab).start().await;
        agent.apply(of("one", vec![port("a", "10.9.0.2/24")])).await.unwrap();
        let nic = a.link("net1")["ifindex"].clone();
        lab.ip("link delete br0");
        eventually("it says so", async || {
            let made = agent.get("one").await.unwrap();
            holds(states(&made)[0].1 == State::Failed, format!("{made:?}"))
        })
        .await;
        eventually("its pod sees it", async || {
            let flags = a.link("net1")["flags"].to_string();
            holds(flags.contains("NO-CARRIER"), flags)
        })
        .await;
        bridge_of_node(lab);
        lab.ip("link set cable master br0");
        eventually("it is READY again", async || {
            let made = agent.get("one").await.unwrap();
            holds(state(&made) == State::Ready, format!("{made:?}"))
        })
        .await;
        a.ping(outside.address("eth0"));
        assert_eq!(a.link("net1")["ifindex"], nic);
    });
}

#[test]
fn uplinks_outlive_the_agent_and_its_state_and_purge_takes_them() {
    private(async |lab| {
        let outside = office(lab).await;
        let [a, b, c] = lab.pods(["a", "b", "c"]);
        let mut agent = sharing(lab).start().await;
        let before = lab.snapshot();
        let all = || {
            let mut topology = segment();
            topology.attachments.push(port("c", "10.9.0.4/24"));
            topology
        };
        let made = calm(agent.apply(all()).await.unwrap());
        let wires = lab.snapshot();
        agent.kill();
        agent = sharing(lab).start().await;
        tells(&agent, &made).await;
        wires.assert_same(&lab.snapshot());
        agent.kill();
        lose_state(lab);
        agent = sharing(lab).start().await;
        let seen = agent.get("one").await.unwrap();
        let kind = |topology: &Topology| {
            let uplink = topology.bridges[0].uplink.clone();
            (uplink, topology.attachments.iter().map(|it| it.target.clone()).collect::<Vec<_>>())
        };
        let sorted = {
            let mut made = made.clone();
            made.attachments.sort_by(|x, y| x.name.cmp(&y.name));
            made
        };
        assert_eq!(kind(&seen), kind(&sorted), "{seen:#?}");
        wires.assert_same(&lab.snapshot());
        agent.kill();
        said(&sharing(lab).run("recover", &["--yes"]), 0);
        agent = sharing(lab).start().await;
        assert_eq!(state(&agent.get("one").await.unwrap()), State::Ready);
        wires.assert_same(&lab.snapshot());
        for pod in [&a, &b, &c] {
            pod.ping(outside.address("eth0"));
        }
        agent.kill();
        lose_state(lab);
        said(&sharing(lab).run("purge", &["--yes"]), 0);
        before.assert_same(&lab.snapshot());
    });
}

async fn tells(agent: &Agent, before: &Topology) {
    eventually("the agent tells what it told before", async || {
        let now = calm(agent.get("one").await.unwrap());
        holds(now == *before, format!("{now:#?}"))
    })
    .await;
}

#[test]
fn a_port_of_the_nodes_bridge_serves_nobody_while_its_interface_waits_for_its_pod() {
    private(async |lab| {
        let outside = office(lab).await;
        let here = lab.pod("a");
        let agent = sharing(lab).start().await;
        let wiring = |wan: Attachment, lan: &str, address: &str| Topology {
            bridges: vec![bridge("lan")],
            attachments: vec![
                Attachment { name: "wan".into(), ..wan },
                Attachment { name: "inside".into(), ..plug(lan, nic_at(lan, "net1", &[address]), "lan") },
            ],
            ..topology("one")
        };
        agent.apply(wiring(port("a", "10.9.0.2/24"), "b", "10.9.0.3/24")).await.unwrap();
        assert!(outside.reaches("10.9.0.2".parse().unwrap()));
        agent.apply(wiring(port("b", "10.9.0.3/24"), "a", "10.9.0.2/24")).await.unwrap();
        let filters = lab.run("tc -n podwire.lessons.one filter show dev +wan ingress");
        assert!(!filters.contains("mirred"), "{filters}");
        assert!(!outside.reaches("10.9.0.2".parse().unwrap()), "it is on another bridge by now");
        assert_eq!(here.addresses("net1"), ["10.9.0.2/24"]);
        lab.pod("b");
        eventually("its pod has come", async || holds(outside.reaches("10.9.0.3".parse().unwrap()), "nobody answers"))
            .await;
    });
}
