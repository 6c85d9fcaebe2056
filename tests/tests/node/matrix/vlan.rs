//! VLANs of a device of the node.

use podwire_proto::v1::{Attachment, Bridge, NodeDevice, PortVlan, State, Topology, Uplink, VlanRange};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, nic_at, plug, state, topology},
    lab::{Lab, agent::AgentBuilder, agent::refused, pod::Pod},
    verdict::reason,
};
use tonic::Code;

use crate::{
    private,
    recover::{lose_state, said},
    uplinks::{calm, identity, of, onto},
};

/// The device `up0` of the node, with a switch behind it on which VLAN 100, 200 and 300 are at 10.N.0.1, N being 1, 2 and 3.
fn switch(lab: &Lab) -> Pod {
    let outside = lab.pod("outside");
    lab.ip("link add up0 type veth peer name far0 netns outside");
    lab.ip("link set up0 addrgenmode none");
    lab.ip("link set up0 up");
    outside.ip("link set far0 up");
    for n in 1..=3 {
        outside.ip(&format!("link add vlan{n} link far0 type vlan id {n}00"));
        outside.ip(&format!("address add 10.{n}.0.1/24 dev vlan{n}"));
        outside.ip(&format!("link set vlan{n} up"));
    }
    outside
}

fn sharing(lab: &Lab) -> AgentBuilder {
    lab.agent().arg("--node-device").arg("up0")
}

fn on(pod: &str, vlan: u32, address: &str) -> Attachment {
    onto(NodeDevice { parent: "up0".into(), vlan: Some(vlan), ..NodeDevice::default() }, pod, address)
}

fn segment(name: &str, vlan: u32) -> Topology {
    let uplink = Some(Uplink { parent: "up0".into(), vlan: Some(vlan), ..Uplink::default() });
    Topology {
        bridges: vec![Bridge { uplink, ..bridge("lan") }],
        attachments: vec![
            plug("pc", nic_at("c", "net1", &["10.3.0.3/24"]), "lan"),
            plug("pd", nic_at("d", "net1", &["10.3.0.4/24"]), "lan"),
        ],
        ..topology(name)
    }
}

#[test]
#[ignore = "needs VLANs: cargo kernel-matrix"]
fn interfaces_have_vlans_of_their_own_and_the_device_stays_as_it_is() {
    private(async |lab| {
        let outside = switch(lab);
        let [a, b, c, d] = lab.pods(["a", "b", "c", "d"]);
        let mut agent = sharing(lab).start().await;
        let (before, device) = (lab.snapshot(), identity(lab, "up0"));
        let both = || of("one", vec![on("a", 100, "10.1.0.2/24"), on("b", 200, "10.2.0.2/24")]);
        let one = agent.apply(both()).await.unwrap();
        let two = agent.apply(segment("two", 300)).await.unwrap();
        assert_eq!((state(&one), state(&two)), (State::Ready, State::Ready), "{one:#?} {two:#?}");
        // Who answers has the tag of the VLAN: nobody else hears it.
        a.ping(outside.address("vlan1"));
        b.ping(outside.address("vlan2"));
        for pod in [&c, &d] {
            pod.ping(outside.address("vlan3"));
        }
        c.ping(d.address("net1"));
        // The same addresses on another VLAN are not there.
        a.ip("address add 10.2.0.9/24 dev net1");
        b.ip("address add 10.1.0.9/24 dev net1");
        assert!(!a.reaches(b.address("net1")) && !b.reaches(outside.address("vlan1")), "VLANs are apart");
        a.ip("address delete 10.2.0.9/24 dev net1");
        b.ip("address delete 10.1.0.9/24 dev net1");
        assert_eq!(identity(lab, "up0"), device);
        let names = lab.link_names("");
        assert_eq!(names, ["up0"], "nothing else is in the node's namespace");
        let shown = lab.podwire_ok(&["--agent", agent.address(), "show", "two", "-n", "lessons"]);
        assert!(shown.contains("uplink up0 vlan 300"), "{shown}");

        let wires = lab.snapshot();
        agent.kill();
        agent = sharing(lab).start().await;
        eventually("the agent tells what it told before", async || {
            let now = [calm(agent.get("one").await.unwrap()), calm(agent.get("two").await.unwrap())];
            holds(now == [calm(one.clone()), calm(two.clone())], format!("{now:#?}"))
        })
        .await;
        wires.assert_same(&lab.snapshot());
        agent.kill();
        lose_state(lab);
        said(&sharing(lab).run("recover", &["--yes"]), 0);
        agent = sharing(lab).start().await;
        assert_eq!(state(&agent.get("one").await.unwrap()), State::Ready);
        wires.assert_same(&lab.snapshot());
        a.ping(outside.address("vlan1"));
        agent.delete("one").await.unwrap();
        agent.delete("two").await.unwrap();
        for place in ["the node", "a", "b", "c", "d"] {
            before.of(place).assert_same(&lab.snapshot().of(place));
        }
    });
}

#[test]
#[ignore = "needs VLANs: cargo kernel-matrix"]
fn one_vlan_of_one_device_belongs_to_one_topology() {
    private(async |lab| {
        switch(lab);
        let [a, ..] = lab.pods(["a", "b", "c", "d"]);
        let agent = sharing(lab).start().await;
        agent.apply(of("one", vec![on("a", 300, "10.3.0.2/24")])).await.unwrap();
        // It has carrier at once; the kernel calls it up a little later.
        eventually("net1 is up", async || {
            let state = a.link("net1")["operstate"].to_string();
            holds(state.contains("UP"), state)
        })
        .await;
        let before = lab.snapshot();
        for other in [segment("two", 300), of("two", vec![on("b", 300, "10.3.0.9/24")])] {
            let status = refused(agent.apply(other)).await;
            assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "VLAN_TAKEN"), "{status}");
            assert!(status.message().contains("lessons/one"), "says whose it is: {status}");
        }
        before.assert_same(&lab.snapshot());
        // It changes hands within a topology, and to another one as soon as the first is gone.
        let moved = agent.apply(Topology { name: "one".into(), ..segment("one", 300) }).await.unwrap();
        assert_eq!(state(&moved), State::Ready, "{moved:#?}");
        agent.delete("one").await.unwrap();
        let made = agent.apply(of("two", vec![on("b", 300, "10.3.0.9/24")])).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        // One that somebody else of the node has.
        lab.ip("link add somebody link up0 type vlan id 400");
        let status = refused(agent.apply(of("three", vec![on("c", 400, "10.4.0.2/24")]))).await;
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        assert!(status.message().contains("VLAN 400 of device up0"), "{status}");
    });
}

#[test]
#[ignore = "needs VLANs: cargo kernel-matrix"]
fn a_device_that_goes_down_takes_the_carrier_along() {
    private(async |lab| {
        let outside = switch(lab);
        let a = lab.pod("a");
        let agent = sharing(lab).start().await;
        agent.apply(of("one", vec![on("a", 100, "10.1.0.2/24")])).await.unwrap();
        let carrier = async |up: bool| {
            eventually("carrier follows the device", async || {
                let flags = a.link("net1")["flags"].to_string();
                holds(flags.contains("NO-CARRIER") != up, flags)
            })
            .await;
        };
        for _ in 0..2 {
            outside.ip("link set far0 down");
            carrier(false).await;
            outside.ip("link set far0 up");
            carrier(true).await;
            eventually("frames pass again", async || {
                outside.ip("link set vlan1 up");
                holds(a.reaches(outside.address("vlan1")), "no answer")
            })
            .await;
        }
        lab.ip("link delete up0");
        carrier(false).await;
        let seen = agent.get("one").await.unwrap();
        assert_eq!(state(&seen), State::Failed, "{seen:#?}");
        agent.delete("one").await.unwrap();
        assert_eq!(lab.link_names("a"), Vec::<String>::new());
    });
}

/// `vid` with flags of each VLAN of a port, as `bridge vlan` shows them.
fn table(lab: &Lab, panel: &str, port: &str) -> Vec<String> {
    let shown = lab.run(&format!("bridge -compressvlans -n {panel} vlan show dev {port}"));
    let lines = shown.lines().skip(1).map(|line| line.replace(port, ""));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).filter(|line| !line.is_empty()).collect()
}

#[test]
#[ignore = "needs VLAN filtering: cargo kernel-matrix"]
fn a_bridge_tells_vlans_apart() {
    private(async |lab| {
        let pods = lab.pods(["a", "b", "c", "t", "n"]);
        let [a, b, c, trunk, both] = &pods;
        let mut agent = sharing(lab).start().await;
        let member = |pod: &str, address: &str, vlan: PortVlan| {
            let vlan = (vlan != PortVlan::default()).then_some(vlan);
            Attachment { vlan, ..plug(pod, nic_at(pod, "net1", &[address]), "lan") }
        };
        let access = |access| PortVlan { access, ..PortVlan::default() };
        let range = |first, last| VlanRange { first, last };
        let spec = |vlan_aware: bool| Topology {
            bridges: vec![Bridge { vlan_aware, ..bridge("lan") }],
            attachments: vec![
                member("a", "10.5.0.1/24", access(10)),
                member("b", "10.5.0.2/24", access(10)),
                member("c", "10.5.0.3/24", access(20)),
                member(
                    "t",
                    "10.6.0.1/24",
                    PortVlan { trunk: vec![range(10, 0), range(20, 29)], ..PortVlan::default() },
                ),
                member("n", "10.5.0.5/24", PortVlan { trunk: vec![range(20, 0)], native: 10, ..PortVlan::default() }),
            ],
            ..topology("one")
        };
        let made = agent.apply(spec(true)).await.unwrap();
        assert_eq!(state(&made), State::Ready, "{made:#?}");
        let [panel] = lab.panels().try_into().unwrap();
        assert_eq!(table(lab, &panel, "a.net1"), ["10 PVID Egress Untagged"]);
        assert_eq!(table(lab, &panel, "t.net1"), ["10", "20-29"]);
        assert_eq!(table(lab, &panel, "n.net1"), ["10 PVID Egress Untagged", "20"]);
        a.ping(b.address("net1"));
        a.ping(both.address("net1"));
        assert!(!a.reaches(c.address("net1")), "VLANs are apart");
        for (vlan, address) in [(10, "10.5.0.9/24"), (20, "10.20.0.8/24")] {
            trunk.ip(&format!("link add v{vlan} link net1 type vlan id {vlan}"));
            trunk.ip(&format!("address add {address} dev v{vlan}"));
            trunk.ip(&format!("link set v{vlan} up"));
        }
        a.ping(trunk.address("v10"));
        for (pod, address) in [(a, "10.20.0.1/24"), (c, "10.20.0.3/24")] {
            pod.ip(&format!("address add {address} dev net1"));
        }
        c.ping(trunk.address("v20"));
        assert!(!a.reaches(trunk.address("v20")));
        let again = agent.apply(spec(true)).await.unwrap();
        assert_eq!(calm(again), calm(made.clone()));
        for damage in ["add dev a.net1 vid 99", "del dev a.net1 vid 10", "add dev a.net1 vid 10 pvid"] {
            lab.run(&format!("bridge -n {panel} vlan {damage}"));
            // The kernel tells nobody of the VLANs of a port that is as it was: the next look sees it.
            eventually("it is put right", async || {
                agent.apply(spec(true)).await.unwrap();
                let now = table(lab, &panel, "a.net1");
                holds(now == ["10 PVID Egress Untagged"], format!("{damage}: {now:?}"))
            })
            .await;
        }
        agent.kill();
        lose_state(lab);
        said(&sharing(lab).run("recover", &["--yes"]), 0);
        agent = sharing(lab).start().await;
        let seen = agent.get("one").await.unwrap();
        assert!(seen.bridges[0].vlan_aware, "{seen:#?}");
        let tagged = seen.attachments.iter().find(|it| it.name == "t").unwrap();
        assert_eq!(tagged.vlan, Some(PortVlan { trunk: vec![range(10, 10), range(20, 29)], ..PortVlan::default() }));
        let mut plain = spec(false);
        plain.attachments.iter_mut().for_each(|it| it.vlan = None);
        agent.apply(plain).await.unwrap();
        a.ping(c.address("net1"));
        agent.delete("one").await.unwrap();
        assert_eq!(lab.link_names("a"), Vec::<String>::new());
    });
}

#[test]
#[ignore = "needs VLAN filtering: cargo kernel-matrix"]
fn a_bridge_that_tells_vlans_apart_reaches_a_trunk_of_the_node() {
    private(async |lab| {
        let outside = lab.pod("outside");
        lab.ip("link add br0 type bridge vlan_filtering 1");
        lab.ip("link set br0 up");
        lab.ip("link add cable master br0 type veth peer name far0 netns outside");
        lab.ip("link set cable up");
        outside.ip("link set far0 up");
        outside.ip("link add vlan10 link far0 type vlan id 10");
        outside.ip("address add 10.5.0.1/24 dev vlan10");
        outside.ip("link set vlan10 up");
        lab.run("bridge vlan add dev cable vid 10");
        let a = lab.pod("a");
        let agent = lab.agent().arg("--node-device").arg("br0").start().await;
        let uplink = Some(Uplink { parent: "br0".into(), bridge_port: true, ..Uplink::default() });
        let vlan = Some(PortVlan { access: 10, ..PortVlan::default() });
        let spec = Topology {
            bridges: vec![Bridge { vlan_aware: true, uplink, ..bridge("lan") }],
            attachments: vec![Attachment { vlan, ..plug("a", nic_at("a", "net1", &["10.5.0.2/24"]), "lan") }],
            ..topology("one")
        };
        let made = agent.apply(spec).await.unwrap();
        assert_eq!(state(&made), State::Ready, "{made:#?}");
        let [panel] = lab.panels().try_into().unwrap();
        assert_eq!(table(lab, &panel, "+lan"), ["1 PVID Egress Untagged", "2-4094"]);
        // Which VLANs the port has on the node's own bridge is the node's affair.
        let port = lab.links("").into_iter().find(|link| link["ifname"].as_str().unwrap_or("").starts_with("pw"));
        let port = port.unwrap()["ifname"].as_str().unwrap().to_owned();
        lab.run(&format!("bridge vlan add dev {port} vid 10"));
        a.ping(outside.address("vlan10"));
    });
}
