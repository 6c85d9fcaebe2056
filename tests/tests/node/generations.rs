//! Fencing: an old scheduler does not undo what a newer one did.

mod buried;

use podwire_proto::v1::{
    ApplyTopologyRequest, Bridge, CreateBridgeRequest, DeleteTopologyRequest, DetachRequest, Interface, Link, Toggle,
    Topology, UpdateLinkRequest,
};
use podwire_tests::{
    elements::{bridge, link, nic, topology},
    lab::agent::{Agent, refused},
    verdict::reason,
};
use tonic::{Code, Status};

use crate::private;

fn wanted(generation: u64, mtu: u32) -> Topology {
    Topology { generation, bridges: vec![Bridge { mtu, ..bridge("lan") }], ..topology("12") }
}

async fn delete(agent: &Agent, generation: u64, force: bool) -> Result<(), Status> {
    let request = DeleteTopologyRequest { namespace: "lessons".into(), name: "12".into(), generation, force };
    agent.topologies().delete_topology(request).await.map(drop)
}

#[test]
fn a_lower_generation_is_aborted_and_changes_nothing() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        agent.apply(wanted(7, 1500)).await.unwrap();
        let before = lab.snapshot();
        for call in [agent.apply(wanted(6, 9000)).await.map(drop), delete(&agent, 6, false).await] {
            assert_eq!(call.unwrap_err().code(), Code::Aborted);
        }
        before.assert_same(&lab.snapshot());
        agent.apply(wanted(8, 9000)).await.unwrap();
    });
}

#[test]
fn an_equal_generation_repeats_and_does_not_change() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        agent.apply(wanted(7, 1500)).await.unwrap();
        let before = lab.snapshot();
        agent.apply(wanted(7, 1500)).await.expect("the same body");
        let status = refused(agent.apply(wanted(7, 9000))).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Aborted, "GENERATION_REUSED"), "{status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn no_generation_on_a_fenced_topology_is_aborted_unless_forced() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        agent.apply(wanted(7, 1500)).await.unwrap();
        assert_eq!(refused(agent.apply(wanted(0, 9000))).await.code(), Code::Aborted);
        let forced = ApplyTopologyRequest { topology: Some(wanted(0, 9000)), force: true, until_ready: false };
        agent.apply_request(forced).await.unwrap();
        assert_eq!(agent.get("12").await.unwrap().bridges[0].mtu, 9000);
        assert_eq!(refused(agent.apply(wanted(6, 1500))).await.code(), Code::Aborted, "the fence stays");
    });
}

#[test]
fn a_delete_leaves_its_generation_behind() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        agent.apply(wanted(7, 1500)).await.unwrap();
        delete(&agent, 9, false).await.unwrap();
        assert_eq!(refused(agent.get("12")).await.code(), Code::NotFound);
        assert_eq!(refused(agent.apply(wanted(8, 1500))).await.code(), Code::Aborted, "an old scheduler comes late");
        agent.apply(wanted(10, 1500)).await.unwrap();
    });
}

#[test]
fn single_calls_are_fenced_too() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let create = |name: &str, generation| CreateBridgeRequest {
            namespace: "lessons".into(),
            topology: "12".into(),
            bridge: Some(bridge(name)),
            generation,
            force: false,
        };
        agent.bridges().create_bridge(create("one", 5)).await.unwrap();
        let before = lab.snapshot();
        assert_eq!(refused(agent.bridges().create_bridge(create("two", 4))).await.code(), Code::Aborted);
        assert_eq!(refused(agent.bridges().create_bridge(create("two", 0))).await.code(), Code::Aborted);
        before.assert_same(&lab.snapshot());
        agent.bridges().create_bridge(create("two", 6)).await.unwrap();
    });
}

#[test]
fn a_generation_that_only_a_single_call_used_is_free_for_an_apply() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let wire = |mtu| Link { mode: 0, ..link("w", Interface { mtu, ..nic("a", "net1") }, nic("b", "net1")) };
        let wired = |generation, mtu| Topology { generation, links: vec![wire(mtu)], ..topology("12") };
        agent.apply(wired(5, 1500)).await.unwrap();
        let pull = UpdateLinkRequest {
            namespace: "lessons".into(),
            topology: "12".into(),
            name: "w".into(),
            up: Some(false),
            generation: 7,
            ..UpdateLinkRequest::default()
        };
        agent.links().update_link(pull).await.unwrap();
        assert_eq!(refused(agent.apply(wired(6, 1400))).await.code(), Code::Aborted, "the fence is 7");
        let made = agent.apply(wired(7, 1400)).await.expect("no apply used 7");
        assert_eq!(made.links[0].up(), Toggle::On, "the apply overwrites what was pulled");
    });
}

#[test]
fn a_delete_leaves_its_generation_behind_whatever_it_found() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let create = |generation| CreateBridgeRequest {
            topology: "13".into(),
            bridge: Some(bridge("lan")),
            generation,
            ..CreateBridgeRequest::default()
        };
        let detach =
            DetachRequest { topology: "13".into(), name: "nothing".into(), generation: 50, ..DetachRequest::default() };
        agent.attachments().detach(detach).await.expect("an absent one is removed already");
        assert_eq!(refused(agent.bridges().create_bridge(create(1))).await.code(), Code::Aborted);
        agent.apply(wanted(7, 1500)).await.unwrap();
        delete(&agent, 7, false).await.unwrap();
        let status = refused(agent.apply(wanted(7, 1500))).await;
        assert_eq!(status.code(), Code::Aborted);
        assert!(status.message().contains("deleted"), "says what became of it: {status}");
        agent.apply(wanted(8, 1500)).await.unwrap();
    });
}
