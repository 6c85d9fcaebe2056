//! `AttachmentService`.

use podwire_proto::v1::{self, attachment_service_server::AttachmentService};
use tonic::{Request, Response, Status};

use crate::panel::Engine;

use super::{door::Access, parse, render, single};

/// The attachments of the engine's topologies.
pub(super) struct Attachments(pub(super) Engine);

#[tonic::async_trait]
impl AttachmentService for Attachments {
    async fn attach(&self, request: Request<v1::AttachRequest>) -> Result<Response<v1::AttachResponse>, Status> {
        let access = Access::of(&request)?;
        let change = parse::attach(request)?;
        let (view, name) = single::put(&self.0, change, &access).await?;
        Ok(Response::new(v1::AttachResponse { attachment: Some(render::attachment(&view, &name)?) }))
    }

    async fn get_attachment(
        &self,
        request: Request<v1::GetAttachmentRequest>,
    ) -> Result<Response<v1::GetAttachmentResponse>, Status> {
        let access = Access::of(&request)?;
        let attachment = parse::get_attachment(request.get_ref())?;
        access.check(&attachment.key.namespace)?;
        let view = self.0.get(&attachment.key).await?;
        let attachment = render::attachment(&view, &attachment.name)?;
        Ok(Response::new(v1::GetAttachmentResponse { attachment: Some(attachment) }))
    }

    async fn list_attachments(
        &self,
        request: Request<v1::ListAttachmentsRequest>,
    ) -> Result<Response<v1::ListAttachmentsResponse>, Status> {
        let access = Access::of(&request)?;
        let members = parse::list_attachments(request.get_ref())?;
        let views = single::views(&self.0, &members, &access).await?;
        let attachments = render::attachments(&views, members.pod.as_ref());
        Ok(Response::new(v1::ListAttachmentsResponse { attachments }))
    }

    async fn update_attachment(
        &self,
        request: Request<v1::UpdateAttachmentRequest>,
    ) -> Result<Response<v1::UpdateAttachmentResponse>, Status> {
        let access = Access::of(&request)?;
        let change = parse::update_attachment(request.into_inner())?;
        let (view, name) = single::put(&self.0, change, &access).await?;
        Ok(Response::new(v1::UpdateAttachmentResponse { attachment: Some(render::attachment(&view, &name)?) }))
    }

    async fn detach(&self, request: Request<v1::DetachRequest>) -> Result<Response<v1::DetachResponse>, Status> {
        let access = Access::of(&request)?;
        let change = parse::detach(request.into_inner())?;
        single::remove(&self.0, change, &access).await?;
        Ok(Response::new(v1::DetachResponse {}))
    }
}
