//! A request of every call, about a namespace, and what it takes: written down here once more, apart from the agent's table.

use podwire_proto::v1::{self, capture_interface::Owner, capture_request::Target};
use podwire_tests::elements::{bridge, link, nic, plug, topology};
use prost::Message;

/// What a call takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// The verb in the namespace of the request.
    There(&'static str),
    /// The verb somewhere.
    Somewhere(&'static str),
    /// The verb in all namespaces.
    Everywhere(&'static str),
}

/// The message for a call, and what it takes; `None`: nobody has written it down.
#[allow(clippy::needless_update, reason = "some messages have no fields but those")]
pub(super) fn request(path: &str, namespace: &str) -> Option<(Vec<u8>, Takes)> {
    let namespace = namespace.to_owned();
    let (read, write) = (Takes::There("read"), Takes::There("write"));
    let whole = || Some(v1::Topology { namespace: namespace.clone(), ..topology("12") });
    let name = || "x".to_owned();
    let sandbox = || Some(v1::Sandbox { namespace: namespace.clone(), pod: name(), ..Default::default() });
    // Each with its namespace and nothing else that could be the same by chance.
    macro_rules! about {
        ($message:ident { $($field:ident: $value:expr),* $(,)? }) => {
            v1::$message { namespace: namespace.clone(), $($field: $value,)* ..Default::default() }.encode_to_vec()
        };
    }
    let (service, method) = path.trim_start_matches('/').split_once('/')?;
    Some(match (service.strip_prefix("podwire.v1.").unwrap_or(service), method) {
        ("TopologyService", "ApplyTopology") => {
            (v1::ApplyTopologyRequest { topology: whole(), ..Default::default() }.encode_to_vec(), write)
        }
        ("TopologyService", "PlanTopology") => {
            (v1::PlanTopologyRequest { topology: whole(), ..Default::default() }.encode_to_vec(), write)
        }
        ("TopologyService", "GetTopology") => (about!(GetTopologyRequest { name: name() }), read),
        ("TopologyService", "ListTopologies") => (about!(ListTopologiesRequest {}), read),
        ("TopologyService", "DeleteTopology") => (about!(DeleteTopologyRequest { name: name() }), write),
        ("TopologyService", "RenewLeases") => {
            let item = v1::renew_leases_request::Item { namespace: namespace.clone(), name: name(), generation: 0 };
            (v1::RenewLeasesRequest { topologies: vec![item] }.encode_to_vec(), write)
        }
        ("TopologyService", "WatchTopologies") => (about!(WatchTopologiesRequest {}), read),
        ("BridgeService", "CreateBridge") => (about!(CreateBridgeRequest { bridge: Some(bridge("lan")) }), write),
        ("BridgeService", "GetBridge") => (about!(GetBridgeRequest { name: name() }), read),
        ("BridgeService", "ListBridges") => (about!(ListBridgesRequest {}), read),
        ("BridgeService", "DeleteBridge") => (about!(DeleteBridgeRequest { name: name() }), write),
        ("LinkService", "CreateLink") => {
            let wire = link("w", nic("no-such-pod", "net1"), nic("nor-this-one", "net1"));
            (about!(CreateLinkRequest { link: Some(wire) }), write)
        }
        ("LinkService", "GetLink") => (about!(GetLinkRequest { name: name() }), read),
        ("LinkService", "ListLinks") => (about!(ListLinksRequest {}), read),
        ("LinkService", "UpdateLink") => (about!(UpdateLinkRequest { name: name(), up: Some(true) }), write),
        ("LinkService", "VerifyLink") => (about!(VerifyLinkRequest { name: name() }), write),
        ("LinkService", "DeleteLink") => (about!(DeleteLinkRequest { name: name() }), write),
        ("AttachmentService", "Attach") => {
            let plug = plug("a", nic("no-such-pod", "net1"), "no-such-bridge");
            (about!(AttachRequest { attachment: Some(plug) }), write)
        }
        ("AttachmentService", "GetAttachment") => (about!(GetAttachmentRequest { name: name() }), read),
        ("AttachmentService", "ListAttachments") => (about!(ListAttachmentsRequest {}), read),
        ("AttachmentService", "UpdateAttachment") => {
            (about!(UpdateAttachmentRequest { name: name(), up: Some(true) }), write)
        }
        ("AttachmentService", "Detach") => (about!(DetachRequest { name: name() }), write),
        ("CaptureService", "Capture") => {
            let interface = v1::CaptureInterface { owner: Some(Owner::Pod(name())), name: "net1".to_owned() };
            (about!(CaptureRequest { target: Some(Target::Interface(interface)) }), Takes::There("capture"))
        }
        ("NodeService", "GetNode") => (v1::GetNodeRequest {}.encode_to_vec(), Takes::Somewhere("read")),
        ("NodeService", "ListPods") => (about!(ListPodsRequest {}), read),
        ("NetnsService", "CreateNetns") => {
            (v1::CreateNetnsRequest { name: "made-by-test".to_owned() }.encode_to_vec(), Takes::Everywhere("netns"))
        }
        ("NetnsService", "ListNetns") => (v1::ListNetnsRequest {}.encode_to_vec(), Takes::Everywhere("netns")),
        ("NetnsService", "DeleteNetns") => {
            (v1::DeleteNetnsRequest { name: "made-by-test".to_owned() }.encode_to_vec(), Takes::Everywhere("netns"))
        }
        ("SandboxService", "PlugSandbox") => {
            (v1::PlugSandboxRequest { sandbox: sandbox() }.encode_to_vec(), Takes::Everywhere("admin"))
        }
        ("SandboxService", "CheckSandbox") => {
            (v1::CheckSandboxRequest { sandbox: sandbox() }.encode_to_vec(), Takes::Everywhere("admin"))
        }
        ("SandboxService", "UnplugSandbox") => {
            (v1::UnplugSandboxRequest { sandbox_id: name() }.encode_to_vec(), Takes::Everywhere("admin"))
        }
        ("SandboxService", "RetainSandboxes") => {
            (v1::RetainSandboxesRequest::default().encode_to_vec(), Takes::Everywhere("admin"))
        }
        ("grpc.health.v1.Health", "Check" | "Watch") => (Vec::new(), Takes::Nothing),
        ("grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection", _) => {
            // `list_services`.
            (b"\x3a\x00".to_vec(), Takes::Nothing)
        }
        _ => return None,
    })
}
