//! `NetnsService`.

use podwire_proto::v1::{self, netns_service_server::NetnsService};
use tonic::{Request, Response, Status};

use crate::panel::Engine;

use super::{parse, render};

/// The named network namespaces of the engine's node.
pub(super) struct NamedNetnses(pub(super) Engine);

#[tonic::async_trait]
impl NetnsService for NamedNetnses {
    async fn create_netns(
        &self,
        request: Request<v1::CreateNetnsRequest>,
    ) -> Result<Response<v1::CreateNetnsResponse>, Status> {
        let name = parse::netns(&request.get_ref().name)?;
        let netns = self.0.create_netns(name).await?;
        Ok(Response::new(v1::CreateNetnsResponse { netns: Some(render::netns(netns)) }))
    }

    async fn list_netns(&self, _: Request<v1::ListNetnsRequest>) -> Result<Response<v1::ListNetnsResponse>, Status> {
        let mut netns: Vec<v1::Netns> = self.0.list_netns().await?.into_iter().map(render::netns).collect();
        netns.sort_by(|x, y| x.name.cmp(&y.name));
        Ok(Response::new(v1::ListNetnsResponse { netns }))
    }

    async fn delete_netns(
        &self,
        request: Request<v1::DeleteNetnsRequest>,
    ) -> Result<Response<v1::DeleteNetnsResponse>, Status> {
        let name = parse::netns(&request.get_ref().name)?;
        self.0.delete_netns(name).await?;
        Ok(Response::new(v1::DeleteNetnsResponse {}))
    }
}
