//! A store that is gone while the wires are there: what is in the kernel is adopted as it is.

use std::{collections::BTreeSet, fs, process::Output, sync::Arc};

use podwire_agent::{
    domain::{adopt::Fate, name::TopologyKey, status::State},
    kernel::{LinuxKernel, NetnsDir},
    panel::{Engine, EngineConfig, Found, Recovery, TopologyView, Verdict},
    pods::NamedPods,
    store::{MemoryStore, Store},
};
use podwire_proto::v1::{
    Attachment, Bridge, CreateNetnsRequest, Impairment, Interface, L2Profile, Link, LinkMode, MacvlanMode, NodeDevice,
    Rate, Toggle, Topology, attachment::Target,
};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, ipam, lan, link, nic, nic_at, plug, route, topology},
    lab::{
        Lab,
        agent::{Agent, AgentBuilder},
    },
    netns::DIRECTORY,
};

use crate::{faults::config, ownership::attach, private};

/// A pod whose ports have short names of their own.
pub(crate) const LONG: &str = "a-pod-with-a-long-name";

/// Everything that a topology can have, in pods that the lab makes: `lessons/12`, and a single call's attachment.
pub(crate) async fn everything(lab: &Lab, agent: &Agent) {
    agent.apply(all_kinds()).await.unwrap();
    let mut other = topology("13");
    other.links = vec![link("w", nic_at("a", "far", &["10.13.0.1/24"]), nic_at("b", "far", &["10.13.0.2/24"]))];
    agent.apply(other).await.unwrap();
    let request = podwire_proto::v1::CreateBridgeRequest { bridge: Some(bridge("lone")), ..Default::default() };
    agent.bridges().create_bridge(request).await.unwrap();
    attach(agent, plug("single", nic_at("a", "one", &["10.14.0.1/24"]), "lone")).await.unwrap();
    let panels = lab.panels().into_iter().filter(|name| name.starts_with("podwire.")).count();
    assert_eq!(panels, 3);
}

fn rated(bits_per_second: u64) -> Impairment {
    let rate = Some(Rate { bits_per_second, ..Rate::default() });
    Impairment { rate, ..Impairment::default() }
}

fn strict(interface: Interface) -> Interface {
    Interface { tx_checksum: Toggle::Off.into(), ..interface }
}

fn all_kinds() -> Topology {
    let mut stitched =
        link("wire", nic_at("a", "net3", &["10.1.0.1/24", "fd01::1/64"]), nic_at("b", "net1", &["10.1.0.2/24"]));
    stitched.a.as_mut().unwrap().routes = vec![route("10.99.0.0/16", "10.1.0.2", 7), route("fd99::/64", "fd01::2", 0)];
    stitched.a_to_b = Some(rated(1_000_000));
    let pulled = Link { up: Toggle::Off.into(), ..link("pulled", nic(LONG, "net8"), nic("b", "net8")) };
    let direct = Link {
        mode: LinkMode::Direct.into(),
        ..link("cable", nic_at("a", "net1", &["10.2.0.1/30"]), nic("b", "net2"))
    };
    let small = Bridge { mtu: 1400, l2_profile: L2Profile::Standard.into(), ..lan("lan", "10.0.0.0/24") };
    let hub =
        Bridge { l2_profile: L2Profile::Hub.into(), multicast_snooping: true, ..bridge("a-bridge-with-a-long-name") };
    let macvlan = NodeDevice {
        parent: "up0".into(),
        mode: MacvlanMode::Private.into(),
        ipam: ipam("192.168.7.0/24"),
        ..NodeDevice::default()
    };
    Topology {
        bridges: vec![small, hub],
        links: vec![stitched, pulled, direct],
        attachments: vec![
            Attachment { hairpin: Toggle::On.into(), ..plug("mirror", nic("a", "net2"), "lan") },
            Attachment {
                isolated: Toggle::On.into(),
                flood: Toggle::Off.into(),
                to_interface: Some(rated(2_000_000)),
                ..plug("alone", strict(nic(LONG, "net9")), "lan")
            },
            Attachment { up: Toggle::Off.into(), ..plug("down", nic("b", "net9"), "a-bridge-with-a-long-name") },
            Attachment { target: Some(Target::Device(macvlan)), ..plug("shared", nic("b", "net10"), "") },
        ],
        ..topology("12")
    }
}

/// An agent with a device of the node to share, started once there are pods.
pub(crate) async fn with_device(lab: &Lab) -> Agent {
    lab.pods(["a", "b", LONG]);
    lab.ip("link add up0 type veth peer name far0");
    for device in ["up0", "far0"] {
        lab.ip(&format!("link set {device} addrgenmode none up"));
    }
    builder(lab).start().await
}

fn builder(lab: &Lab) -> AgentBuilder {
    lab.agent().arg("--node-device").arg("up0")
}

/// Takes away what the agent knew.
pub(crate) fn lose_state(lab: &Lab) {
    let _ = fs::remove_dir_all(lab.directory().join("state"));
}

/// The standard output of a run that ended with this code.
#[track_caller]
pub(crate) fn said(output: &Output, code: i32) -> String {
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    assert!(!err.contains("panicked"), "{err}");
    format!("{out}{err}")
}

/// What a converge works with.
pub(crate) fn parts() -> (NetnsDir, LinuxKernel, NamedPods) {
    let dir = NetnsDir::new(DIRECTORY);
    (dir.clone(), LinuxKernel::new(dir.clone()).unwrap(), NamedPods::new(dir))
}

/// What would be adopted.
pub(crate) fn look() -> Recovery {
    let (dir, kernel, pods) = parts();
    Recovery::look(&dir, &kernel, &pods).unwrap()
}

/// An engine that finds these intents in its store.
async fn engine(store: Arc<dyn Store>) -> Engine {
    let (_, kernel, pods) = parts();
    let config = EngineConfig { node_devices: vec!["up0".parse().unwrap()], ..config() };
    Engine::start_with(config, Arc::new(kernel), Arc::new(pods), store, None).await.unwrap()
}

fn key(text: &str) -> TopologyKey {
    let (namespace, name) = text.split_once('/').unwrap();
    TopologyKey { namespace: namespace.parse().unwrap(), name: name.parse().unwrap() }
}

/// What every interface of a topology must keep.
fn identities(view: &TopologyView) -> BTreeSet<String> {
    let of = |(id, each): (&_, &podwire_agent::domain::intent::Assigned)| {
        format!("{id} {} {} {:?}", each.nic, each.mac, each.addresses.iter().collect::<BTreeSet<_>>())
    };
    view.intent.assigned.iter().map(of).collect()
}

/// What an agent says of the interfaces of a topology, to compare with what is adopted.
fn asked(topology: &Topology) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut add = |id: String, interface: &Interface| {
        let Some(podwire_proto::v1::interface::Owner::Pod(pod)) = &interface.owner else { panic!("{interface:?}") };
        let addresses: BTreeSet<&String> = interface.status.as_ref().unwrap().addresses.iter().collect();
        all.insert(format!("{id} {pod}/{} {} {addresses:?}", interface.name, interface.mac).replace('"', ""));
    };
    for link in &topology.links {
        let Some(podwire_proto::v1::link::FarEnd::B(b)) = &link.far_end else { panic!("{link:?}") };
        add(format!("{}.a", link.name), link.a.as_ref().unwrap());
        add(format!("{}.b", link.name), b);
    }
    for attachment in &topology.attachments {
        add(attachment.name.clone(), attachment.interface.as_ref().unwrap());
    }
    all
}

#[test]
fn what_was_wired_is_adopted_and_an_agent_that_starts_with_it_changes_nothing() {
    private(async |lab| {
        let mut agent = with_device(lab).await;
        everything(lab, &agent).await;
        agent.kill();
        lose_state(lab);
        let before = lab.snapshot();
        let recovery = look();
        for (key, (adopted, verdict)) in &recovery.topologies {
            assert_eq!((adopted.left.as_slice(), *verdict), (&[][..], Verdict::Adopt), "{key}");
        }
        assert!(recovery.left.is_empty(), "{:?}", recovery.left);
        let store = Arc::new(MemoryStore::default());
        assert_eq!(recovery.write(store.as_ref()).unwrap(), 3);
        let engine = engine(store).await;
        for (key, elements) in
            [("lessons/12", 9), ("lessons/13", 1), ("default/default", 2)].map(|(k, n)| (self::key(k), n))
        {
            let view = eventually("it is READY", async || {
                let view = engine.get(&key).await.unwrap();
                holds(view.state() == State::Ready, format!("{view:?}")).map(|()| view)
            })
            .await;
            assert_eq!(view.intent.spec.elements(), elements);
        }
        before.assert_same(&lab.snapshot());
        assert!(!identities(&engine.get(&key("lessons/12")).await.unwrap()).is_empty());
        engine.shutdown().await;
    });
}

#[test]
fn the_same_document_applied_to_what_was_adopted_changes_no_wire() {
    private(async |lab| {
        let mut agent = with_device(lab).await;
        let made = agent.apply(all_kinds()).await.unwrap();
        agent.kill();
        lose_state(lab);
        let adopted = look();
        let (adopted, _) = &adopted.topologies[&key("lessons/12")];
        let found: BTreeSet<String> = adopted
            .intent
            .assigned
            .iter()
            .map(|(id, each)| {
                let addresses: BTreeSet<_> = each.addresses.iter().map(ToString::to_string).collect();
                format!("{id} {} {} {addresses:?}", each.nic, each.mac).replace('"', "")
            })
            .collect();
        assert_eq!(found, asked(&made));
        let before = lab.snapshot();
        said(&builder(lab).run("recover", &["--yes"]), 0);
        let agent = builder(lab).start().await;
        agent.apply(all_kinds()).await.unwrap();
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn recover_shows_what_it_would_adopt_and_touches_nothing() {
    private(async |lab| {
        let mut agent = with_device(lab).await;
        let mut here = lab.agent();
        let nothing = said(&here.run("recover", &[]), 1);
        assert!(nothing.contains("another agent works with /run/netns"), "an agent runs: {nothing}");
        everything(lab, &agent).await;
        agent.kill();
        lose_state(lab);
        here = lab.agent();
        let before = lab.snapshot();
        let text = said(&here.run("recover", &[]), 0);
        for row in [
            &["lessons/12", "wire", "STITCHED link", "a/net3", "10.1.0.1/24", "b/net1", "adopted"][..],
            &["lessons/12", "cable", "DIRECT link", "a/net1", "b/net2", "adopted"],
            &["lessons/12", "a-bridge-with-a-long-name", "bridge", "adopted"],
            &["lessons/12", "mirror", "attachment to bridge lan", "a/net2", "adopted"],
            &["lessons/12", "shared", "attachment to device up0", "b/net10", "192.168.7.", "adopted"],
            &["default/default", "single", "attachment to bridge lone", "a/one", "10.14.0.1/24", "adopted"],
        ] {
            let is_row = |line: &str| row.iter().all(|word| line.contains(word));
            assert!(text.lines().any(is_row), "{row:?} is not in\n{text}");
        }
        assert!(text.contains("Nothing was changed") && !text.contains("NOT ADOPTED"), "{text}");
        let text = said(
            &here.run("recover", &["--adopt", "lessons/12", "--adopt", "lessons/13", "--remove", "lessons/13"]),
            0,
        );
        let becomes = |key: &str, fate: &str| {
            assert!(text.lines().filter(|line| line.starts_with(key)).all(|line| line.ends_with(fate)), "{text}");
        };
        becomes("lessons/12", "adopted");
        becomes("lessons/13", "removed");
        becomes("default/default", "removed");
        let text = said(&here.run("recover", &["--adopt", "lessons/77"]), 1);
        assert!(text.contains("lessons/77"), "{text}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn where_nothing_is_there_is_nothing_to_recover() {
    private(async |lab| {
        lab.pod("a");
        let before = lab.snapshot();
        let text = said(&lab.agent().run("recover", &["--yes"]), 0);
        assert!(text.contains("nothing to recover"), "{text}");
        before.assert_same(&lab.snapshot());
        let nowhere = lab.agent().with("--netns-dir", "/run/not/there").with("--state-dir", "/run/not/there/either");
        said(&nowhere.run("recover", &[]), 0);
        assert!(!fs::exists("/run/not").unwrap(), "it makes no directory");
    });
}

#[test]
fn what_is_half_made_or_damaged_is_told_with_its_reason_and_goes_without_the_rest() {
    private(async |lab| {
        let mut agent = with_device(lab).await;
        everything(lab, &agent).await;
        agent.kill();
        lose_state(lab);
        let mark = |element: &str| format!("podwire.lessons.12.{element}");
        // Renamed in its pod; not finished; told to be two things; a link of which one end is not stitched any more.
        lab.ip("-n a link set net2 down");
        lab.ip("-n a link set net2 name renamed up");
        lab.ip(&format!("-n {LONG} link property del dev net9 altname {}", mark("alone")));
        lab.ip(&format!("-n b link property add dev net9 altname {}", mark("else")));
        lab.ip(&format!("-n b link property del dev net2 altname {}", mark("cable.b")));
        lab.ip("-n podwire.lessons.12 link add stray type bridge");
        let recovery = look();
        let (adopted, verdict) = &recovery.topologies[&key("lessons/12")];
        assert_eq!(*verdict, Verdict::Adopt);
        let told = |what: &str, reason: &str| {
            let found = adopted.left.iter().any(|left| left.what.contains(what) && left.reason.contains(reason));
            assert!(found, "{what} because {reason}: {:#?}", adopted.left);
        };
        told("port a.net2", "renamed");
        told(&format!("port {}", "_"), "it has no mark");
        told("port b.net9", "several marks");
        told("a/net1 and b/net2", "b/net2: it has no mark");
        told("stray", "podwire did not make it");
        assert!(adopted.left.iter().all(|left| left.fate == Fate::Removed), "{:#?}", adopted.left);
        let kept: Vec<String> = adopted.intent.assigned.values().map(|each| each.nic.to_string()).collect();
        let wire = lab.links("a").into_iter().find(|link| link["ifname"] == "net3").unwrap();
        let store = Arc::new(MemoryStore::default());
        recovery.write(store.as_ref()).unwrap();
        let engine = engine(store).await;
        eventually("what is not adopted goes", async || {
            let names = ["a", "b", LONG].map(|pod| lab.link_names(pod));
            let wanted = [&["far", "one", "net3"][..], &["net1", "far", "net8", "net10"], &["net8"]];
            let is = |(names, wanted): (&Vec<String>, &&[&str])| {
                names.iter().map(String::as_str).collect::<BTreeSet<_>>() == wanted.iter().copied().collect()
            };
            holds(names.iter().zip(&wanted).all(is), format!("{names:?} of {kept:?}"))
        })
        .await;
        let still = lab.links("a").into_iter().find(|link| link["ifname"] == "net3").unwrap();
        assert_eq!((&wire["ifindex"], &wire["address"]), (&still["ifindex"], &still["address"]));
        engine.shutdown().await;
    });
}

#[test]
fn a_mark_that_a_pod_wrote_itself_adopts_nothing() {
    private(async |lab| {
        let mut agent = with_device(lab).await;
        everything(lab, &agent).await;
        agent.kill();
        lose_state(lab);
        // In another pod names of marks are free.
        let evil = lab.pod("evil");
        for (device, mark) in
            [("x1", "podwire.lessons.12.wire.a"), ("x2", "podwire.lessons.12.mirror"), ("x3", "podwire.other.1.lan")]
        {
            evil.ip(&format!("link add {device} type veth peer name {device}p"));
            evil.ip(&format!("link property add dev {device} altname {mark}"));
        }
        evil.ip("link set x2 group 0x70776972");
        evil.ip("link add odd type bridge");
        evil.ip("link property add dev odd altname podwire.lessons.12.cable.a");
        evil.ip("link set odd group 0x70776972");
        let before = lab.snapshot();
        let recovery = look();
        let (adopted, _) = &recovery.topologies[&key("lessons/12")];
        assert_eq!(adopted.intent.spec.elements(), 9, "the real ones: {:#?}", adopted.left);
        assert!(adopted.intent.nics().all(|nic| nic.pod.as_str() != "evil"));
        assert_eq!(adopted.former, adopted.intent);
        let stays: Vec<&str> = adopted.left.iter().map(|left| left.what.as_str()).collect();
        assert_eq!(stays, ["evil/odd", "evil/x1", "evil/x2"]);
        assert!(adopted.left.iter().all(|left| left.fate == Fate::Stays), "{:#?}", adopted.left);
        assert_eq!(recovery.topologies[&key("other/1")].1, Verdict::Empty);
        let store = Arc::new(MemoryStore::default());
        recovery.write(store.as_ref()).unwrap();
        let engine = engine(store).await;
        engine.get(&key("lessons/12")).await.unwrap();
        before.assert_same(&lab.snapshot());
        engine.shutdown().await;
    });
}

#[test]
fn a_topology_that_nobody_asked_for_is_removed_with_what_it_has_in_pods() {
    private(async |lab| {
        let mut agent = with_device(lab).await;
        agent.netns().create_netns(CreateNetnsRequest { name: "mine".into() }).await.unwrap();
        let mut one = topology("13");
        one.links = vec![link("w", nic("a", "far"), nic("b", "far"))];
        agent.apply(one).await.unwrap();
        let before = lab.snapshot();
        agent.apply(all_kinds()).await.unwrap();
        agent.kill();
        let (dir, kernel, pods) = parts();
        let found = Found::look(&dir, &pods).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), [&key("lessons/12"), &key("lessons/13")]);
        assert_eq!(found.remove(&key("lessons/12"), &kernel, &pods).unwrap(), []);
        podwire_agent::kernel::Kernel::reap(&kernel).unwrap();
        before.assert_same(&lab.snapshot());
        let kept = found.records(&kernel, &pods).unwrap();
        assert_eq!(kept.iter().map(|(key, _)| key).collect::<Vec<_>>(), [&key("lessons/13")]);
        assert!(found.has_panel(&key("lessons/13")));
    });
}
