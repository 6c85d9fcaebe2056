//! The gRPC services: parse once, call the engine, render.

mod activity;
mod attachments;
mod audit;
mod body;
mod bridges;
mod call;
mod caller;
mod capture;
mod deadline;
mod door;
mod fields;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod health;
mod leaving;
mod limits;
mod links;
mod load;
mod meter;
mod netns;
mod node;
mod pace;
mod parse;
mod rebase;
mod render;
mod rights;
mod sandboxes;
mod single;
mod status;
mod topologies;
mod trace;
mod watch;

use podwire_proto::v1::{
    FILE_DESCRIPTOR_SET, attachment_service_server::AttachmentServiceServer,
    bridge_service_server::BridgeServiceServer, capture_service_server::CaptureServiceServer,
    link_service_server::LinkServiceServer, netns_service_server::NetnsServiceServer,
    node_service_server::NodeServiceServer, sandbox_service_server::SandboxServiceServer,
    topology_service_server::TopologyServiceServer,
};
use tonic::service::Routes;
use tonic_reflection::server::Builder;

use crate::panel::Engine;

pub use activity::Activity;
pub use audit::{Auditor, Entry as AuditEntry};
pub use call::{CallLayer, CallService};
pub use caller::{Caller, Life, Peer};
pub use health::Health;
pub use leaving::{Leave, Leaving, leaving};
pub(crate) use pace::Pace;

#[cfg(test)]
pub(crate) use {
    body::REQUEST_TIME,
    fields::{ELEMENTS, FIELDS},
    limits::MESSAGE_BYTES,
    load::{BYTES, BYTES_OF_ONE, CALLS, CALLS_OF_ONE},
};

/// All services of the agent, and what else a server of them needs.
pub struct Api {
    /// The services that whoever reaches the agent may call.
    pub routes: Routes,
    /// Those and the ones of this node's own programs, for unix sockets.
    pub local: Routes,
    /// Says whether they are served.
    pub health: Health,
}

impl Api {
    /// The services of an engine.
    ///
    /// # Errors
    ///
    /// The file descriptors cannot be decoded: a broken build.
    pub fn new(
        engine: &Engine,
        max_topologies: usize,
        leaving: Leaving,
    ) -> Result<Self, tonic_reflection::server::Error> {
        let captures = capture::Captures { engine: engine.clone(), leaving: leaving.clone() };
        let topologies = topologies::Topologies { engine: engine.clone(), leaving };
        let node = node::Nodes { engine: engine.clone(), max_topologies };
        let (reporter, health) = tonic_health::server::health_reporter();
        let most = limits::MESSAGE_BYTES;
        let routes = Routes::new(TopologyServiceServer::new(topologies).max_decoding_message_size(most))
            .add_service(BridgeServiceServer::new(bridges::Bridges(engine.clone())).max_decoding_message_size(most))
            .add_service(LinkServiceServer::new(links::Links(engine.clone())).max_decoding_message_size(most))
            .add_service(
                AttachmentServiceServer::new(attachments::Attachments(engine.clone())).max_decoding_message_size(most),
            )
            .add_service(NodeServiceServer::new(node).max_decoding_message_size(most))
            .add_service(NetnsServiceServer::new(netns::NamedNetnses(engine.clone())).max_decoding_message_size(most))
            .add_service(CaptureServiceServer::new(captures).max_decoding_message_size(most))
            .add_service(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?);
        let sandboxes = sandboxes::Sandboxes(engine.clone());
        let local = routes.clone().add_service(SandboxServiceServer::new(sandboxes).max_decoding_message_size(most));
        Ok(Self { routes, local, health: Health::new(reporter) })
    }
}

fn reflection() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // So that grpcurl spells out the details of an error.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}
