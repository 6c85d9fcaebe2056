//! A capture of frames.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio_stream::Stream;
use tonic::Streaming;

use crate::{error::Error, target::Target, v1};

/// Longer than the agent allows, and within what a message can say: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What to capture, and how much of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureRequest(v1::CaptureRequest);

impl CaptureRequest {
    /// One interface of a pod, both directions.
    pub fn interface(namespace: impl Into<String>, pod: impl Into<String>, name: impl Into<String>) -> Self {
        let owner = Some(v1::capture_interface::Owner::Pod(pod.into()));
        let interface = v1::CaptureInterface { owner, name: name.into() };
        Self::of(namespace, v1::capture_request::Target::Interface(interface))
    }

    /// One interface of a network namespace that is no pod.
    pub fn netns(namespace: impl Into<String>, netns: impl Into<String>, name: impl Into<String>) -> Self {
        let owner = Some(v1::capture_interface::Owner::Netns(netns.into()));
        let interface = v1::CaptureInterface { owner, name: name.into() };
        Self::of(namespace, v1::capture_request::Target::Interface(interface))
    }

    /// Both ends of a link, each frame where it enters.
    pub fn link(namespace: impl Into<String>, topology: impl Into<String>, name: impl Into<String>) -> Self {
        Self::of(namespace, v1::capture_request::Target::Link(name.into())).topology(topology)
    }

    /// All ports of a bridge, each frame where it enters.
    pub fn bridge(namespace: impl Into<String>, topology: impl Into<String>, name: impl Into<String>) -> Self {
        Self::of(namespace, v1::capture_request::Target::Bridge(name.into())).topology(topology)
    }

    fn of(namespace: impl Into<String>, target: v1::capture_request::Target) -> Self {
        Self(v1::CaptureRequest { namespace: namespace.into(), target: Some(target), ..Default::default() })
    }

    /// The topology. Of an interface it may be left open: the one that has it.
    pub fn topology(mut self, name: impl Into<String>) -> Self {
        self.0.topology = name.into();
        self
    }

    /// Keep so many bytes of each frame, 1 to 262144. Default: all.
    pub fn snap_length(mut self, bytes: u32) -> Self {
        self.0.snap_length = bytes;
        self
    }

    /// End after so many frames.
    pub fn max_frames(mut self, frames: u64) -> Self {
        self.0.max_frames = frames;
        self
    }

    /// End after this time, up to 24 h.
    pub fn duration(mut self, time: Duration) -> Self {
        // 0 would be no limit at all: a nanosecond ends with the first answer.
        self.0.duration = time.max(Duration::from_nanos(1)).min(LONGEST).try_into().ok();
        self
    }

    /// Keep only what this classic BPF program accepts: what `tcpdump -ddd` compiles.
    pub fn filter(mut self, program: impl IntoIterator<Item = v1::BpfInstruction>) -> Self {
        self.0.filter = program.into_iter().collect();
        self
    }
}

impl From<CaptureRequest> for v1::CaptureRequest {
    fn from(request: CaptureRequest) -> Self {
        request.0
    }
}

/// A pcapng file that grows, until the capture is dropped. Also a `Stream` of its pieces.
#[derive(Debug)]
pub struct Capture {
    /// `None` once it has ended: a broken stream would go on with another error.
    pieces: Option<Streaming<v1::CaptureResponse>>,
    target: Target,
    frames: u64,
    drops: u64,
}

impl Capture {
    pub(crate) fn new(pieces: Streaming<v1::CaptureResponse>, target: Target) -> Self {
        Self { pieces: Some(pieces), target, frames: 0, drops: 0 }
    }

    /// The next bytes of the file, always whole blocks; `None` when as much was captured as was asked for, and after an
    /// error.
    ///
    /// Dropping the future loses nothing, so it may stand in a `select!`.
    ///
    /// # Errors
    ///
    /// [`Error::is_gone`] where what is captured went away: all that was seen of it came before.
    pub async fn next(&mut self) -> Option<Result<Vec<u8>, Error>> {
        poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Frames in the file so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames that were dropped so far because they were not read in time.
    pub fn drops(&self) -> u64 {
        self.drops
    }
}

impl Stream for Capture {
    type Item = Result<Vec<u8>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(pieces) = &mut self.pieces else {
            return Poll::Ready(None);
        };
        let next = ready!(Pin::new(pieces).poll_next(cx));
        if let Some(Ok(piece)) = &next {
            (self.frames, self.drops) = (piece.frames, piece.drops);
        } else {
            self.pieces = None;
        }
        let bytes = |piece: Result<v1::CaptureResponse, tonic::Status>| match piece {
            Ok(piece) => Ok(piece.pcapng),
            Err(status) => Err(Error::from_status(status, &self.target)),
        };
        Poll::Ready(next.map(bytes))
    }
}
