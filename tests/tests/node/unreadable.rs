//! A store that cannot be read: the agent says so, shows what it sees, takes no changes, and touches neither a wire nor
//! the file.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::mount::{MsFlags, mount, umount};
use podwire_proto::v1::{
    ApplyTopologyRequest, CreateBridgeRequest, CreateNetnsRequest, DeleteBridgeRequest, DeleteLinkRequest,
    DeleteNetnsRequest, DeleteTopologyRequest, DetachRequest, GetNodeRequest, ListTopologiesRequest,
    PlanTopologyRequest, RenewLeasesRequest, State, Topology, TopologyEvent, UpdateLinkRequest,
    renew_leases_request::Item,
};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, lan, link, nic, nic_at, plug, state, topology},
    lab::{
        Lab,
        agent::{Agent, refused},
    },
    stream::Stream,
    verdict::reason,
};
use tonic::{Code, Status};

use crate::{
    ownership::attach,
    private,
    recover::said,
    watch::{until, watch},
};

/// A stitched link with static addresses, a bridge.
fn lesson() -> Topology {
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        links: vec![link("w", nic_at("a", "net1", &["10.7.0.1/30"]), nic_at("b", "net1", &["10.7.0.2/30"]))],
        attachments: vec![plug("pa", nic("a", "net2"), "lan"), plug("pb", nic("b", "net2"), "lan")],
        ..topology("12")
    }
}

fn file(lab: &Lab) -> PathBuf {
    lab.directory().join("state/intents.redb")
}

/// What there is at a path, to compare.
fn what(path: &Path) -> Option<String> {
    let found = fs::symlink_metadata(path).ok()?;
    Some(match found.file_type() {
        kind if kind.is_file() => format!("{:?} {:?}", found.permissions(), fs::read(path).unwrap()),
        kind if kind.is_symlink() => format!("to {}", fs::read_link(path).unwrap().display()),
        kind => format!("{kind:?}"),
    })
}

/// Every call that changes something.
async fn all_changes(agent: &Agent) -> Vec<(&'static str, Status)> {
    let in_12 = || ("lessons".to_owned(), "12".to_owned());
    let (namespace, topology) = in_12();
    let mut refusals = vec![
        ("Apply", refused(agent.apply(lesson())).await),
        ("Apply anew", refused(agent.apply(podwire_tests::elements::topology("new"))).await),
        ("DeleteTopology", refused(agent.delete("12")).await),
        ("DeleteTopology of none", refused(agent.delete("none")).await),
        ("Attach", refused(attach(agent, plug("p", nic("a", "more"), "lone"))).await),
    ];
    let create = CreateBridgeRequest { bridge: Some(bridge("lone")), ..Default::default() };
    refusals.push(("CreateBridge", refused(agent.bridges().create_bridge(create)).await));
    let delete = DeleteBridgeRequest { name: "lone".into(), ..Default::default() };
    refusals.push(("DeleteBridge", refused(agent.bridges().delete_bridge(delete)).await));
    let delete = DeleteLinkRequest { name: "w".into(), ..Default::default() };
    refusals.push(("DeleteLink", refused(agent.links().delete_link(delete)).await));
    let detach = DetachRequest { name: "p".into(), ..Default::default() };
    refusals.push(("Detach", refused(agent.attachments().detach(detach)).await));
    let update = UpdateLinkRequest { namespace, topology, name: "w".into(), up: Some(false), ..Default::default() };
    refusals.push(("UpdateLink", refused(agent.links().update_link(update)).await));
    let create = CreateNetnsRequest { name: "fresh".into() };
    refusals.push(("CreateNetns", refused(agent.netns().create_netns(create)).await));
    let delete = DeleteNetnsRequest { name: "a".into() };
    refusals.push(("DeleteNetns", refused(agent.netns().delete_netns(delete)).await));
    // It says what Apply would do, which is nothing.
    let plan = PlanTopologyRequest { topology: Some(lesson()), ..Default::default() };
    refusals.push(("PlanTopology", refused(agent.topologies().plan_topology(plan)).await));
    // Neither NOT_FOUND nor NO_LEASE would be true: which leases there are is not known, and none ends.
    let (namespace, name) = in_12();
    let renew = RenewLeasesRequest { topologies: vec![Item { namespace, name, generation: 0 }] };
    refusals.push(("RenewLeases", refused(agent.topologies().renew_leases(renew)).await));
    refusals
}

/// The agent that cannot read its store, from its start to its end.
async fn says_so_and_touches_nothing(lab: &Lab, expected: &str) {
    let (kernel, at_rest) = (lab.snapshot(), what(&file(lab)));
    let ears = ["net1", "net2"].map(|name| podwire_tests::lab::pod::Pod::new(lab, "b").address(name));
    let streams = ears.map(|address| Stream::start("a", "b", address).unwrap());
    let mut agent = lab.agent().start().await;
    for (call, status) in all_changes(&agent).await {
        let told = (status.code(), reason(&status));
        assert_eq!(told, (Code::FailedPrecondition, "STORE_UNREADABLE".to_owned()), "{call}: {status}");
        assert!(status.message().contains("podwire-agent recover"), "{call}: {status}");
    }
    let problem = agent.node().get_node(GetNodeRequest {}).await.unwrap().into_inner().store_problem;
    assert!(problem.contains(expected), "`{expected}` is not in `{problem}`");
    let doctor = lab.podwire(&["--agent", agent.address(), "doctor"]);
    let text = format!("{}{}", String::from_utf8_lossy(&doctor.stdout), String::from_utf8_lossy(&doctor.stderr));
    assert!(!doctor.status.success(), "{text}");
    for words in ["takes no changes", expected, "podwire-agent recover", "store that cannot be read"] {
        assert!(text.contains(words), "`{words}` is not in {text}");
    }
    let list = agent.topologies().list_topologies(ListTopologiesRequest::default()).await.unwrap().into_inner();
    let names: Vec<&str> = list.topologies.iter().map(|each| each.name.as_str()).collect();
    assert_eq!(names, ["default", "12"]);
    let seen = agent.get("12").await.unwrap();
    assert_eq!((state(&seen), seen.links.len(), seen.attachments.len()), (State::Ready, 1, 2));
    let mut events = watch(&agent, "").await;
    let first = until(&mut events, |_| true).await;
    assert_eq!((first.event(), first.topology.unwrap().name.as_str()), (TopologyEvent::Snapshot, "12"));
    until(&mut events, |event| event.event() == TopologyEvent::Synced).await;
    // Somebody else's change is seen, and is not put right.
    lab.ip("-n a link set net2 mtu 1400");
    eventually("it is seen", async || {
        let now = agent.get("12").await.map_err(|status| status.to_string())?;
        holds(state(&now) == State::Degraded, format!("{:?}", now.status))
    })
    .await;
    lab.ip("-n a link set net2 mtu 1500");
    assert_eq!(state(&agent.get("12").await.unwrap()), State::Ready);
    kernel.assert_same(&lab.snapshot());
    assert!(agent.terminate().await.success());
    kernel.assert_same(&lab.snapshot());
    match at_rest {
        // An empty one that nobody ever used stands in the place of none.
        None => assert!(lab.agent().run("recover", &[]).status.success(), "it is new still"),
        at_rest => assert_eq!(what(&file(lab)), at_rest, "the file was touched"),
    }
    for stream in streams {
        stream.finish().unwrap();
    }
}

/// An agent that has wired everything, and has ended.
async fn wired(lab: &Lab) {
    lab.pods(["a", "b"]);
    let mut agent = lab.agent().start().await;
    agent.apply(lesson()).await.unwrap();
    let request = CreateBridgeRequest { bridge: Some(bridge("lone")), ..Default::default() };
    agent.bridges().create_bridge(request).await.unwrap();
    attach(&agent, plug("single", nic_at("a", "one", &["10.14.0.1/24"]), "lone")).await.unwrap();
    agent.terminate().await;
}

/// Damage, an agent that cannot read it, `recover`, an agent as before.
fn damaged(expected: &'static str, damage: impl FnOnce(&Path)) {
    private(async |lab| {
        wired(lab).await;
        let kernel = lab.snapshot();
        damage(&file(lab));
        says_so_and_touches_nothing(lab, expected).await;
        let text = said(&lab.agent().run("recover", &["--yes"]), 0);
        assert!(text.contains("Start the agent"), "{text}");
        kernel.assert_same(&lab.snapshot());
        let agent = lab.agent().start().await;
        let made = agent.apply_until_ready(lesson(), Duration::from_secs(20)).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        attach(&agent, plug("single", nic_at("a", "one", &["10.14.0.1/24"]), "lone")).await.unwrap();
        kernel.assert_same(&lab.snapshot());
        lab.podwire_ok(&["--agent", agent.address(), "doctor"]);
    });
}

#[test]
fn a_truncated_store() {
    damaged("cannot be read", |path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    });
}

#[test]
fn a_store_of_garbage() {
    damaged("cannot be read", |path| fs::write(path, vec![0xa5; 70_000]).unwrap());
}

#[test]
fn an_empty_store() {
    damaged("it is empty", |path| fs::write(path, []).unwrap());
}

#[test]
fn a_store_of_a_newer_agent() {
    damaged("a newer podwire-agent: its schema is 2", |path| {
        let database = redb::Database::open(path).unwrap();
        let transaction = database.begin_write().unwrap();
        let meta = redb::TableDefinition::<&str, &[u8]>::new("meta");
        transaction.open_table(meta).unwrap().insert("schema", &b"2"[..]).unwrap();
        transaction.commit().unwrap();
    });
}

#[test]
fn a_disk_that_became_read_only() {
    private(async |lab| {
        wired(lab).await;
        let state = lab.directory().join("state");
        bind(&state, MsFlags::MS_BIND);
        bind(&state, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY);
        says_so_and_touches_nothing(lab, "Read-only file system").await;
        umount(&state).unwrap();
        let agent = lab.agent().start().await;
        assert_eq!(state_of(&agent).await, State::Ready);
        lab.podwire_ok(&["--agent", agent.address(), "doctor"]);
    });
}

fn bind(at: &Path, flags: MsFlags) {
    mount(Some(at), at, None::<&str>, flags, None::<&str>).unwrap();
}

async fn state_of(agent: &Agent) -> State {
    eventually("READY", async || {
        let now = agent.get("12").await.map_err(|status| status.to_string())?;
        if state(&now) == State::Ready { Ok(state(&now)) } else { Err(format!("{:?}", now.status)) }
    })
    .await
}

#[test]
fn a_directory_in_the_place_of_the_store() {
    damaged("a directory", |path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    });
}

#[test]
fn a_link_in_the_place_of_the_store() {
    damaged("a symbolic link", |path| {
        fs::remove_file(path).unwrap();
        symlink("/nowhere", path).unwrap();
    });
}

#[test]
fn a_store_that_vanished_while_its_wires_are_there() {
    damaged("is new, and the node has 2 panel(s)", |path| {
        fs::remove_file(path).unwrap();
    });
}

#[test]
fn a_new_store_on_a_node_without_panels_is_a_normal_start() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        agent.apply(lesson()).await.unwrap();
        agent.delete("12").await.unwrap();
        eventually("no panel is left", async || holds(lab.panels().is_empty(), "there is one")).await;
        agent.kill();
        crate::recover::lose_state(lab);
        let agent = lab.agent().start().await;
        let request = ApplyTopologyRequest { topology: Some(lesson()), ..Default::default() };
        assert_eq!(state(&agent.apply_request(request).await.unwrap()), State::Ready);
        lab.podwire_ok(&["--agent", agent.address(), "doctor"]);
        drop(agent.topologies().delete_topology(DeleteTopologyRequest::default()).await);
    });
}
