//! `CaptureService`.

use futures_util::stream::{self, BoxStream, StreamExt};
use podwire_proto::v1::{self, capture_service_server::CaptureService};
use tonic::{Request, Response, Status};

use crate::{
    domain::name::Namespace,
    panel::{Capture, Engine},
};

use super::{Leaving, door::Access, meter::Counted, parse};

/// Captures of the engine's node.
pub(super) struct Captures {
    pub(super) engine: Engine,
    pub(super) leaving: Leaving,
}

#[tonic::async_trait]
impl CaptureService for Captures {
    type CaptureStream = BoxStream<'static, Result<v1::CaptureResponse, Status>>;

    async fn capture(&self, request: Request<v1::CaptureRequest>) -> Result<Response<Self::CaptureStream>, Status> {
        let access = Access::of(&request)?;
        let request = parse::capture(request.into_inner())?;
        let namespace = request.namespace.clone();
        access.check(&namespace)?;
        let counted = access.count_capture(&namespace)?;
        let capture = self.engine.capture(request).await?;
        Ok(Response::new(
            file(Following { capture, access, namespace, leaving: self.leaving.clone(), _counted: counted }).boxed(),
        ))
    }
}

/// A capture, and what may end it.
struct Following {
    capture: Capture,
    access: Access,
    namespace: Namespace,
    leaving: Leaving,
    _counted: Counted,
}

/// The file, and why it ends where that is an error.
fn file(following: Following) -> impl stream::Stream<Item = Result<v1::CaptureResponse, Status>> {
    stream::unfold(Some(following), |state| async {
        let mut following = state?;
        let Following { capture, access, namespace, leaving, .. } = &mut following;
        let still = access.clone();
        let chunk = tokio::select! {
            // First, so that no frame is told after a right was taken away.
            biased;
            status = access.lost(namespace) => return Some((Err(status), None)),
            status = still.expired() => return Some((Err(status), None)),
            () = leaving.asked() => {
                capture.leave();
                capture.next().await
            }
            chunk = capture.next() => chunk,
        };
        match (chunk, capture.outcome()) {
            (Some(chunk), _) => {
                let message = v1::CaptureResponse { pcapng: chunk.bytes, frames: chunk.frames, drops: chunk.drops };
                Some((Ok(message), Some(following)))
            }
            (None, Ok(())) => None,
            (None, Err(error)) => Some((Err(error.into()), None)),
        }
    })
}
