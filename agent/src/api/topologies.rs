//! `TopologyService`.

use futures_util::stream::BoxStream;
use podwire_proto::v1::{self, topology_service_server::TopologyService};
use tonic::{Request, Response, Status};

use crate::panel::Engine;

use super::{Leaving, parse, render, watch};

/// The topologies of the engine.
pub(super) struct Topologies {
    /// The engine.
    pub(super) engine: Engine,
    /// Ends the watches.
    pub(super) leaving: Leaving,
}

#[tonic::async_trait]
impl TopologyService for Topologies {
    async fn apply_topology(
        &self,
        request: Request<v1::ApplyTopologyRequest>,
    ) -> Result<Response<v1::ApplyTopologyResponse>, Status> {
        let apply = parse::apply(request)?;
        let view = self.engine.apply(apply).await?;
        Ok(Response::new(v1::ApplyTopologyResponse { topology: Some(render::topology(&view)) }))
    }

    async fn plan_topology(
        &self,
        request: Request<v1::PlanTopologyRequest>,
    ) -> Result<Response<v1::PlanTopologyResponse>, Status> {
        let apply = parse::plan(request.into_inner())?;
        let (steps, view) = self.engine.plan(apply).await?;
        Ok(Response::new(render::plan(&steps, &view)))
    }

    async fn get_topology(
        &self,
        request: Request<v1::GetTopologyRequest>,
    ) -> Result<Response<v1::GetTopologyResponse>, Status> {
        let key = parse::get(request.get_ref())?;
        let view = self.engine.get(&key).await?;
        Ok(Response::new(v1::GetTopologyResponse { topology: Some(render::topology(&view)) }))
    }

    async fn list_topologies(
        &self,
        request: Request<v1::ListTopologiesRequest>,
    ) -> Result<Response<v1::ListTopologiesResponse>, Status> {
        let namespace = parse::list(request.get_ref())?;
        let views = self.engine.list(namespace.as_ref()).await;
        Ok(Response::new(v1::ListTopologiesResponse { topologies: views.iter().map(render::topology).collect() }))
    }

    async fn delete_topology(
        &self,
        request: Request<v1::DeleteTopologyRequest>,
    ) -> Result<Response<v1::DeleteTopologyResponse>, Status> {
        let (key, fence) = parse::delete(request.get_ref())?;
        self.engine.delete(key, fence).await?;
        Ok(Response::new(v1::DeleteTopologyResponse {}))
    }

    async fn renew_leases(
        &self,
        request: Request<v1::RenewLeasesRequest>,
    ) -> Result<Response<v1::RenewLeasesResponse>, Status> {
        // Which leases there are is not known then, and none ends: no answer for a topology would be true.
        self.engine.takes_changes()?;
        let renewals = parse::renew(request.into_inner())?;
        let renew = |parse::Renew { item, key, generation }| {
            render::renewal(item, key.map(|key| self.engine.renew(&key, generation)))
        };
        Ok(Response::new(v1::RenewLeasesResponse { topologies: renewals.map(renew).collect() }))
    }

    type WatchTopologiesStream = BoxStream<'static, Result<v1::WatchTopologiesResponse, Status>>;

    async fn watch_topologies(
        &self,
        request: Request<v1::WatchTopologiesRequest>,
    ) -> Result<Response<Self::WatchTopologiesStream>, Status> {
        let watch = parse::watch(request.get_ref())?;
        let events = watch::events(&self.engine, watch, self.leaving.clone()).await;
        Ok(Response::new(events))
    }
}
