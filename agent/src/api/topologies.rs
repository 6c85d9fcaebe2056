//! `TopologyService`.

use std::collections::BTreeSet;

use futures_util::stream::BoxStream;
use podwire_proto::v1::{self, topology_service_server::TopologyService};
use tonic::{Request, Response, Status};

use crate::panel::Engine;

use super::{Leaving, door::Access, parse, render, watch};

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
        let access = Access::of(&request)?;
        let mut apply = parse::apply(request)?;
        access.check_spec(&apply.spec)?;
        apply.quota = access.quota(&apply.spec.key.namespace);
        let view = self.engine.apply(apply).await.map_err(|error| access.tell(error))?;
        Ok(Response::new(v1::ApplyTopologyResponse { topology: Some(render::topology(&view)) }))
    }

    async fn plan_topology(
        &self,
        request: Request<v1::PlanTopologyRequest>,
    ) -> Result<Response<v1::PlanTopologyResponse>, Status> {
        let access = Access::of(&request)?;
        let mut apply = parse::plan(request.into_inner())?;
        access.check_spec(&apply.spec)?;
        apply.quota = access.quota(&apply.spec.key.namespace);
        let (steps, view) = self.engine.plan(apply).await.map_err(|error| access.tell(error))?;
        Ok(Response::new(render::plan(&steps, &view)))
    }

    async fn get_topology(
        &self,
        request: Request<v1::GetTopologyRequest>,
    ) -> Result<Response<v1::GetTopologyResponse>, Status> {
        let access = Access::of(&request)?;
        let key = parse::get(request.get_ref())?;
        access.check(&key.namespace)?;
        let view = self.engine.get(&key).await?;
        Ok(Response::new(v1::GetTopologyResponse { topology: Some(render::topology(&view)) }))
    }

    async fn list_topologies(
        &self,
        request: Request<v1::ListTopologiesRequest>,
    ) -> Result<Response<v1::ListTopologiesResponse>, Status> {
        let access = Access::of(&request)?;
        let views = if let Some(namespace) = parse::list(request.get_ref())? {
            access.check(&namespace)?;
            self.engine.list(|wanted| *wanted == namespace).await
        } else {
            access.check_any()?;
            self.engine.list(|namespace| access.sees(namespace)).await
        };
        Ok(Response::new(v1::ListTopologiesResponse { topologies: views.iter().map(render::topology).collect() }))
    }

    async fn delete_topology(
        &self,
        request: Request<v1::DeleteTopologyRequest>,
    ) -> Result<Response<v1::DeleteTopologyResponse>, Status> {
        let access = Access::of(&request)?;
        let (key, fence) = parse::delete(request.get_ref())?;
        access.check(&key.namespace)?;
        access.is_about(&key);
        self.engine.delete(key, fence).await?;
        Ok(Response::new(v1::DeleteTopologyResponse {}))
    }

    async fn renew_leases(
        &self,
        request: Request<v1::RenewLeasesRequest>,
    ) -> Result<Response<v1::RenewLeasesResponse>, Status> {
        let access = Access::of(&request)?;
        let renewals: Vec<_> = parse::renew(request.into_inner())?.collect();
        let namespaces: BTreeSet<_> =
            renewals.iter().filter_map(|renew| renew.key.as_ref()).map(|key| &key.namespace).collect();
        namespaces.iter().try_for_each(|namespace| access.check(namespace))?;
        // Who may do it in all of them is written down with all of them, as far as a line goes.
        let told: Vec<String> = namespaces.iter().take(16).map(ToString::to_string).collect();
        access.is_about(&format_args!("{}{}", told.join(" "), if namespaces.len() > 16 { " …" } else { "" }));
        // Which leases there are is not known then, and none ends: no answer for a topology would be true.
        self.engine.takes_changes()?;
        let renew = |parse::Renew { item, key, generation }| {
            render::renewal(item, key.map(|key| self.engine.renew(&key, generation)))
        };
        Ok(Response::new(v1::RenewLeasesResponse { topologies: renewals.into_iter().map(renew).collect() }))
    }

    type WatchTopologiesStream = BoxStream<'static, Result<v1::WatchTopologiesResponse, Status>>;

    async fn watch_topologies(
        &self,
        request: Request<v1::WatchTopologiesRequest>,
    ) -> Result<Response<Self::WatchTopologiesStream>, Status> {
        let access = Access::of(&request)?;
        let watch = parse::watch(request.get_ref())?;
        watch.namespace.as_ref().map_or_else(|| access.check_any(), |namespace| access.check(namespace))?;
        let events = watch::events(&self.engine, watch, access, self.leaving.clone());
        Ok(Response::new(events))
    }
}
