//! What each call needs: the one table.

use podwire_proto::v1::{
    attachment_service_server as attachments, bridge_service_server as bridges, capture_service_server as captures,
    link_service_server as links, netns_service_server as netns, node_service_server as node,
    sandbox_service_server as sandboxes, topology_service_server as topologies,
};

use crate::domain::policy::Verb;

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// To have got in.
    Nothing,
    /// The verb in the namespace that the request names; where it names none, what is answered is what one may see.
    Namespace(Verb),
    /// The verb in some namespace. What is answered is what one may see.
    Somewhere(Verb),
    /// The verb in all namespaces.
    Everywhere(Verb),
}

use Need::{Everywhere, Namespace, Nothing, Somewhere};

/// All calls: service, method, need. A call that is not here is not answered. Besides, what plugs onto a device of the node
/// needs `node-device`, and what names a network namespace needs `netns`, in its namespace.
pub(super) const RIGHTS: &[(&str, &str, Need)] = &[
    (topologies::SERVICE_NAME, "ApplyTopology", Namespace(Verb::Write)),
    (topologies::SERVICE_NAME, "PlanTopology", Namespace(Verb::Write)),
    (topologies::SERVICE_NAME, "GetTopology", Namespace(Verb::Read)),
    (topologies::SERVICE_NAME, "ListTopologies", Namespace(Verb::Read)),
    (topologies::SERVICE_NAME, "DeleteTopology", Namespace(Verb::Write)),
    (topologies::SERVICE_NAME, "RenewLeases", Namespace(Verb::Write)),
    (topologies::SERVICE_NAME, "WatchTopologies", Namespace(Verb::Read)),
    (bridges::SERVICE_NAME, "CreateBridge", Namespace(Verb::Write)),
    (bridges::SERVICE_NAME, "GetBridge", Namespace(Verb::Read)),
    (bridges::SERVICE_NAME, "ListBridges", Namespace(Verb::Read)),
    (bridges::SERVICE_NAME, "DeleteBridge", Namespace(Verb::Write)),
    (links::SERVICE_NAME, "CreateLink", Namespace(Verb::Write)),
    (links::SERVICE_NAME, "GetLink", Namespace(Verb::Read)),
    (links::SERVICE_NAME, "ListLinks", Namespace(Verb::Read)),
    (links::SERVICE_NAME, "UpdateLink", Namespace(Verb::Write)),
    // It puts frames on the wire.
    (links::SERVICE_NAME, "VerifyLink", Namespace(Verb::Write)),
    (links::SERVICE_NAME, "DeleteLink", Namespace(Verb::Write)),
    (attachments::SERVICE_NAME, "Attach", Namespace(Verb::Write)),
    (attachments::SERVICE_NAME, "GetAttachment", Namespace(Verb::Read)),
    (attachments::SERVICE_NAME, "ListAttachments", Namespace(Verb::Read)),
    (attachments::SERVICE_NAME, "UpdateAttachment", Namespace(Verb::Write)),
    (attachments::SERVICE_NAME, "Detach", Namespace(Verb::Write)),
    (captures::SERVICE_NAME, "Capture", Namespace(Verb::Capture)),
    (node::SERVICE_NAME, "GetNode", Somewhere(Verb::Read)),
    (node::SERVICE_NAME, "ListPods", Namespace(Verb::Read)),
    // They are pods of every namespace.
    (netns::SERVICE_NAME, "CreateNetns", Everywhere(Verb::Netns)),
    (netns::SERVICE_NAME, "ListNetns", Everywhere(Verb::Netns)),
    (netns::SERVICE_NAME, "DeleteNetns", Everywhere(Verb::Netns)),
    (sandboxes::SERVICE_NAME, "PlugSandbox", Everywhere(Verb::Admin)),
    (sandboxes::SERVICE_NAME, "UnplugSandbox", Everywhere(Verb::Admin)),
    (sandboxes::SERVICE_NAME, "CheckSandbox", Everywhere(Verb::Admin)),
    (sandboxes::SERVICE_NAME, "RetainSandboxes", Everywhere(Verb::Admin)),
    ("grpc.health.v1.Health", "Check", Nothing),
    ("grpc.health.v1.Health", "Watch", Nothing),
    // The contract, which is public.
    ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo", Nothing),
    ("grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo", Nothing),
];

/// What the call at this path needs; `None`: there is no such call.
pub(super) fn need(path: &str) -> Option<Need> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let row = RIGHTS.iter().find(|(of, name, _)| *of == service && *name == method);
    row.map(|(_, _, need)| *need)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use podwire_proto::v1::FILE_DESCRIPTOR_SET;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;

    /// All calls of a descriptor set.
    fn calls(encoded: &[u8]) -> Vec<String> {
        let set = FileDescriptorSet::decode(encoded).unwrap();
        let mut all = Vec::new();
        for file in &set.file {
            for service in &file.service {
                for method in &service.method {
                    all.push(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
                }
            }
        }
        all
    }

    #[test]
    fn every_call_has_one_row_and_every_row_a_call() {
        let mut described: BTreeSet<String> = calls(FILE_DESCRIPTOR_SET).into_iter().collect();
        described.extend(calls(tonic_health::pb::FILE_DESCRIPTOR_SET));
        for version in ["v1", "v1alpha"] {
            described.insert(format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"));
        }
        let rows: Vec<String> = RIGHTS.iter().map(|(service, method, _)| format!("/{service}/{method}")).collect();
        let set: BTreeSet<String> = rows.iter().cloned().collect();
        assert_eq!(set.len(), rows.len(), "a call stands there twice");
        assert_eq!(set, described);
        assert!(described.iter().all(|path| need(path).is_some()));
    }

    #[test]
    fn another_call_is_none() {
        for path in
            ["", "/", "/podwire.v1.NodeService", "/podwire.v1.NodeService/GetNode/x", "podwire.v1.NodeService/GetNode"]
        {
            assert_eq!(need(path), None, "{path}");
        }
    }
}
