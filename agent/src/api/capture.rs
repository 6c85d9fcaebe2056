//! `CaptureService`.

use futures_util::stream::{self, BoxStream, StreamExt};
use podwire_proto::v1::{self, capture_service_server::CaptureService};
use tonic::{Request, Response, Status};

use crate::panel::{Capture, Engine};

use super::{Leaving, parse};

/// Captures of the engine's node.
pub(super) struct Captures {
    pub(super) engine: Engine,
    pub(super) leaving: Leaving,
}

#[tonic::async_trait]
impl CaptureService for Captures {
    type CaptureStream = BoxStream<'static, Result<v1::CaptureResponse, Status>>;

    async fn capture(&self, request: Request<v1::CaptureRequest>) -> Result<Response<Self::CaptureStream>, Status> {
        let request = parse::capture(request.into_inner())?;
        let capture = self.engine.capture(request).await?;
        Ok(Response::new(file(capture, self.leaving.clone()).boxed()))
    }
}

/// The file, and why it ends where that is an error.
fn file(capture: Capture, leaving: Leaving) -> impl stream::Stream<Item = Result<v1::CaptureResponse, Status>> {
    stream::unfold(Some((capture, leaving)), |state| async {
        let (capture, mut leaving) = state?;
        let chunk = tokio::select! {
            chunk = capture.next() => chunk,
            () = leaving.asked() => {
                capture.leave();
                capture.next().await
            }
        };
        match (chunk, capture.outcome()) {
            (Some(chunk), _) => {
                let message = v1::CaptureResponse { pcapng: chunk.bytes, frames: chunk.frames, drops: chunk.drops };
                Some((Ok(message), Some((capture, leaving))))
            }
            (None, Ok(())) => None,
            (None, Err(error)) => Some((Err(error.into()), None)),
        }
    })
}
