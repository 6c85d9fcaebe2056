//! `SandboxService`.

use podwire_proto::v1::{self, sandbox_service_server::SandboxService};
use tonic::{Request, Response, Status};

use crate::panel::Engine;

use super::{parse, render};

/// The sandboxes that are announced to the engine.
pub(super) struct Sandboxes(pub(super) Engine);

#[tonic::async_trait]
impl SandboxService for Sandboxes {
    async fn plug_sandbox(
        &self,
        request: Request<v1::PlugSandboxRequest>,
    ) -> Result<Response<v1::PlugSandboxResponse>, Status> {
        let (sandbox, until) = parse::plug_sandbox(request)?;
        let plugged = self.0.plug_sandbox(sandbox, until).await?;
        Ok(Response::new(v1::PlugSandboxResponse { interfaces: render::sandbox(&plugged) }))
    }

    async fn unplug_sandbox(
        &self,
        request: Request<v1::UnplugSandboxRequest>,
    ) -> Result<Response<v1::UnplugSandboxResponse>, Status> {
        let sandbox = parse::unplug_sandbox(request.get_ref())?;
        self.0.unplug_sandbox(&sandbox);
        Ok(Response::new(v1::UnplugSandboxResponse {}))
    }

    async fn check_sandbox(
        &self,
        request: Request<v1::CheckSandboxRequest>,
    ) -> Result<Response<v1::CheckSandboxResponse>, Status> {
        let sandbox = parse::check_sandbox(request.into_inner())?;
        let plugged = self.0.check_sandbox(sandbox).await?;
        Ok(Response::new(v1::CheckSandboxResponse { interfaces: render::sandbox(&plugged) }))
    }

    async fn retain_sandboxes(
        &self,
        request: Request<v1::RetainSandboxesRequest>,
    ) -> Result<Response<v1::RetainSandboxesResponse>, Status> {
        let keep = parse::retain_sandboxes(request.into_inner())?;
        let withdrawn = self.0.retain_sandboxes(&keep);
        let withdrawn = withdrawn.iter().map(ToString::to_string).collect();
        Ok(Response::new(v1::RetainSandboxesResponse { withdrawn }))
    }
}
