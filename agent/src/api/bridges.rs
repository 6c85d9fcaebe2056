//! `BridgeService`.

use podwire_proto::v1::{self, bridge_service_server::BridgeService};
use tonic::{Request, Response, Status};

use crate::panel::Engine;

use super::{door::Access, parse, render, single};

/// The bridges of the engine's topologies.
pub(super) struct Bridges(pub(super) Engine);

#[tonic::async_trait]
impl BridgeService for Bridges {
    async fn create_bridge(
        &self,
        request: Request<v1::CreateBridgeRequest>,
    ) -> Result<Response<v1::CreateBridgeResponse>, Status> {
        let access = Access::of(&request)?;
        let change = parse::create_bridge(request.into_inner())?;
        let (view, name) = single::put(&self.0, change, &access).await?;
        Ok(Response::new(v1::CreateBridgeResponse { bridge: Some(render::bridge(&view, &name)?) }))
    }

    async fn get_bridge(
        &self,
        request: Request<v1::GetBridgeRequest>,
    ) -> Result<Response<v1::GetBridgeResponse>, Status> {
        let access = Access::of(&request)?;
        let bridge = parse::get_bridge(request.get_ref())?;
        access.check(&bridge.key.namespace)?;
        let view = self.0.get(&bridge.key).await?;
        Ok(Response::new(v1::GetBridgeResponse { bridge: Some(render::bridge(&view, &bridge.name)?) }))
    }

    async fn list_bridges(
        &self,
        request: Request<v1::ListBridgesRequest>,
    ) -> Result<Response<v1::ListBridgesResponse>, Status> {
        let access = Access::of(&request)?;
        let members = parse::list_bridges(request.get_ref())?;
        let views = single::views(&self.0, &members, &access).await?;
        Ok(Response::new(v1::ListBridgesResponse { bridges: render::bridges(&views) }))
    }

    async fn delete_bridge(
        &self,
        request: Request<v1::DeleteBridgeRequest>,
    ) -> Result<Response<v1::DeleteBridgeResponse>, Status> {
        let access = Access::of(&request)?;
        let change = parse::delete_bridge(request.into_inner())?;
        single::remove(&self.0, change, &access).await?;
        Ok(Response::new(v1::DeleteBridgeResponse {}))
    }
}
