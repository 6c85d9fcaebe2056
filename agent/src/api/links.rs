//! `LinkService`.

use podwire_proto::v1::{self, link_service_server::LinkService};
use tonic::{Request, Response, Status};

use crate::panel::Engine;

use super::{door::Access, parse, render, single};

/// The links of the engine's topologies.
pub(super) struct Links(pub(super) Engine);

#[tonic::async_trait]
impl LinkService for Links {
    async fn create_link(
        &self,
        request: Request<v1::CreateLinkRequest>,
    ) -> Result<Response<v1::CreateLinkResponse>, Status> {
        let access = Access::of(&request)?;
        let change = parse::create_link(request)?;
        let (view, name) = single::put(&self.0, change, &access).await?;
        Ok(Response::new(v1::CreateLinkResponse { link: Some(render::link(&view, &name)?) }))
    }

    async fn get_link(&self, request: Request<v1::GetLinkRequest>) -> Result<Response<v1::GetLinkResponse>, Status> {
        let access = Access::of(&request)?;
        let link = parse::get_link(request.get_ref())?;
        access.check(&link.key.namespace)?;
        let view = self.0.get(&link.key).await?;
        Ok(Response::new(v1::GetLinkResponse { link: Some(render::link(&view, &link.name)?) }))
    }

    async fn list_links(
        &self,
        request: Request<v1::ListLinksRequest>,
    ) -> Result<Response<v1::ListLinksResponse>, Status> {
        let access = Access::of(&request)?;
        let members = parse::list_links(request.get_ref())?;
        let views = single::views(&self.0, &members, &access).await?;
        Ok(Response::new(v1::ListLinksResponse { links: render::links(&views) }))
    }

    async fn update_link(
        &self,
        request: Request<v1::UpdateLinkRequest>,
    ) -> Result<Response<v1::UpdateLinkResponse>, Status> {
        let access = Access::of(&request)?;
        let change = parse::update_link(request.into_inner())?;
        let (view, name) = single::put(&self.0, change, &access).await?;
        Ok(Response::new(v1::UpdateLinkResponse { link: Some(render::link(&view, &name)?) }))
    }

    async fn verify_link(
        &self,
        request: Request<v1::VerifyLinkRequest>,
    ) -> Result<Response<v1::VerifyLinkResponse>, Status> {
        let access = Access::of(&request)?;
        let verify = parse::verify(request.get_ref())?;
        access.check(&verify.key.namespace)?;
        let found = self.0.verify(&verify.key, &verify.name, verify.timeout).await?;
        Ok(Response::new(render::verified(&verify.name, found)))
    }

    async fn delete_link(
        &self,
        request: Request<v1::DeleteLinkRequest>,
    ) -> Result<Response<v1::DeleteLinkResponse>, Status> {
        let access = Access::of(&request)?;
        let change = parse::delete_link(request.into_inner())?;
        single::remove(&self.0, change, &access).await?;
        Ok(Response::new(v1::DeleteLinkResponse {}))
    }
}
