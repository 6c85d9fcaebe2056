//! Captures of frames.

use crate::{
    Result,
    capture::{Capture, CaptureRequest},
    client::Client,
    v1,
};

impl Client {
    /// Captures the frames of an interface, a link or a bridge as a pcapng file. The first bytes come at once; frames are
    /// seen from then on. Has no deadline once it is open, and ends when the [`Capture`] is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) with the place where the filter is none;
    /// [`Error::is_not_found`](crate::Error::is_not_found);
    /// [`Error::is_precondition`](crate::Error::is_precondition) where the interface waits for its pod;
    /// [`Error::is_exhausted`](crate::Error::is_exhausted) with too many captures on the node.
    pub async fn capture(&self, request: CaptureRequest) -> Result<Capture> {
        let stream = self.answer(self.captures().capture(v1::CaptureRequest::from(request))).await?;
        Ok(Capture::new(stream, self.target().clone()))
    }
}
