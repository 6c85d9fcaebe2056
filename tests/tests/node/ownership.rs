//! Two ways of owning a topology, never mixed; and what exists already.

use podwire_proto::v1::{
    AttachRequest, AttachResponse, Attachment, CreateBridgeRequest, DeleteBridgeRequest, DetachRequest, Owner,
};
use podwire_tests::{
    elements::{bridge, lan, nic, plug, topology},
    lab::agent::{Agent, refused},
    verdict::reason,
};
use tonic::{Code, Status};

use crate::private;

/// Attaches in the topology `default` of the namespace `default`.
pub(crate) async fn attach(agent: &Agent, attachment: Attachment) -> Result<AttachResponse, Status> {
    let request = AttachRequest { attachment: Some(attachment), ..AttachRequest::default() };
    // An attachment is large by now; each caller would hold it in its own future.
    Ok(Box::pin(agent.attachments().attach(request)).await?.into_inner())
}

fn create(topology: &str) -> CreateBridgeRequest {
    CreateBridgeRequest {
        namespace: "lessons".into(),
        topology: topology.into(),
        bridge: Some(bridge("lan")),
        ..CreateBridgeRequest::default()
    }
}

#[test]
fn single_calls_do_not_change_what_apply_owns() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![bridge("lan")];
        wanted.attachments = vec![plug("p", nic("a", "net1"), "lan")];
        let made = agent.apply(wanted).await.unwrap();
        assert_eq!(made.status.unwrap().owner(), Owner::Apply);
        let before = lab.snapshot();
        let mut another = create("12");
        another.bridge = Some(bridge("other"));
        let delete = DeleteBridgeRequest {
            namespace: "lessons".into(),
            topology: "12".into(),
            name: "lan".into(),
            cascade: true,
            ..DeleteBridgeRequest::default()
        };
        let detach = DetachRequest {
            namespace: "lessons".into(),
            topology: "12".into(),
            name: "p".into(),
            ..DetachRequest::default()
        };
        for status in [
            refused(agent.bridges().create_bridge(another)).await,
            refused(agent.bridges().delete_bridge(delete)).await,
            refused(agent.attachments().detach(detach)).await,
        ] {
            assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "MANAGED_BY_APPLY"));
        }
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn apply_does_not_change_what_single_calls_own() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        agent.bridges().create_bridge(create("12")).await.unwrap();
        let before = lab.snapshot();
        let status = refused(agent.apply(topology("12"))).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "MANAGED_BY_CALLS"));
        before.assert_same(&lab.snapshot());
        assert_eq!(agent.get("12").await.unwrap().status.unwrap().owner(), Owner::Calls);
        agent.delete("12").await.unwrap();
        agent.apply(topology("12")).await.expect("deleted, it is anybody's");
    });
}

#[test]
fn the_topology_named_default_takes_single_calls_only() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let status = refused(agent.apply(topology("default"))).await;
        assert!(matches!(status.code(), Code::FailedPrecondition | Code::InvalidArgument), "{status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn what_exists_differently_is_refused_with_the_fields_that_differ() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        agent.bridges().create_bridge(create("12")).await.unwrap();
        let before = lab.snapshot();
        let mut other = create("12");
        other.bridge.as_mut().unwrap().mtu = 9000;
        other.bridge.as_mut().unwrap().hairpin = true;
        let status = refused(agent.bridges().create_bridge(other)).await;
        assert_eq!(status.code(), Code::AlreadyExists, "{status}");
        for field in ["mtu", "hairpin"] {
            assert!(status.message().contains(field), "{field}: {status}");
        }
        assert!(!status.message().contains("isolated"), "only those that differ: {status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn an_attachment_to_a_bridge_that_is_not_there_is_not_found() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        let status = refused(Box::pin(attach(&agent, plug("p", nic("a", "net1"), "lan")))).await;
        assert_eq!(status.code(), Code::NotFound, "{status}");
        assert!(status.message().contains("lan"), "{status}");
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn two_topologies_do_not_share_an_interface() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let wanted = |name: &str| {
            let mut wanted = topology(name);
            wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
            wanted.attachments = vec![plug("p", nic("a", "net1"), "lan")];
            wanted
        };
        agent.apply(wanted("one")).await.unwrap();
        let before = lab.snapshot();
        let status = refused(agent.apply(wanted("two"))).await;
        assert!(status.message().contains("lessons/one"), "says whose it is: {status}");
        assert!(matches!(status.code(), Code::FailedPrecondition | Code::AlreadyExists), "{status}");
        before.assert_same(&lab.snapshot());
    });
}
