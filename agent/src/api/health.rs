//! `grpc.health.v1`: whether calls are taken.

use podwire_proto::v1::{
    attachment_service_server, bridge_service_server, link_service_server, netns_service_server, node_service_server,
    topology_service_server,
};
use tonic_health::{ServingStatus, server::HealthReporter};

/// All that is asked for: the empty name is the agent as a whole.
const SERVICES: [&str; 7] = [
    "",
    topology_service_server::SERVICE_NAME,
    bridge_service_server::SERVICE_NAME,
    link_service_server::SERVICE_NAME,
    attachment_service_server::SERVICE_NAME,
    node_service_server::SERVICE_NAME,
    netns_service_server::SERVICE_NAME,
];

/// Tells callers whether the agent takes calls.
#[derive(Debug, Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Tells by a reporter.
    pub(super) fn new(reporter: HealthReporter) -> Self {
        Self(reporter)
    }

    /// It does.
    pub async fn serving(&self) {
        self.set(ServingStatus::Serving).await;
    }

    /// It no longer does; and since it leaves, the watches of health end after they said so.
    pub async fn leaving(mut self) {
        self.set(ServingStatus::NotServing).await;
        for service in SERVICES {
            self.0.clear_service_status(service).await;
        }
    }

    async fn set(&self, status: ServingStatus) {
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}
