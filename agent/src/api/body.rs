//! Requests as they come in and answers as they go out: counted, and not for ever.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Sleep, sleep};
use tonic::{Status, body::Body};

use super::{
    activity::{Activity, Busy, Waiting},
    fields,
    limits::MESSAGE_BYTES,
    load::Counted,
    status,
};

/// Within this a request is there as a whole.
pub(crate) const REQUEST_TIME: Duration = Duration::from_secs(30);
/// An answer goes to HTTP/2 in pieces of so many bytes, so that what its caller does not take stays here and is counted.
const PIECE: usize = 16 * 1024;

/// What precedes a message: whether it is compressed, and its length, as in
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
const HEAD: usize = 5;

/// A request. It is passed on as a whole, when it was looked at.
pub(super) struct Incoming<B> {
    body: Pin<Box<B>>,
    end: Pin<Box<Sleep>>,
    counted: Arc<Counted>,
    activity: Activity,
    message: BytesMut,
    /// A call with many messages: each is passed on as it comes.
    many: bool,
    ended: bool,
}

impl<B> Incoming<B> {
    pub(super) fn new(body: B, counted: Arc<Counted>, activity: Activity, many: bool) -> Self {
        let end = Box::pin(sleep(REQUEST_TIME));
        Self { body: Box::pin(body), end, counted, activity, message: BytesMut::new(), many, ended: false }
    }

    /// Bytes that the message is said to have; `None`: that is not there yet.
    fn declared(&self) -> Option<usize> {
        let length = self.message.get(1..HEAD)?.try_into().ok().map(u32::from_be_bytes)?;
        Some(usize::try_from(length).unwrap_or(usize::MAX))
    }

    /// Whether there is more of it than may be, or is said to come: who parses it refuses that by its head.
    fn is_too_large(&self) -> bool {
        self.declared().unwrap_or_default().max(self.message.len().saturating_sub(HEAD)) > MESSAGE_BYTES
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, Status> {
        let Ok(data) = frame.into_data() else { return Ok(None) };
        self.activity.read(data.len());
        self.counted.more(data.len()).map_err(|full| status::overloaded(full, "bytes of requests and answers"))?;
        if self.many {
            return Ok(Some(Frame::data(data)));
        }
        self.message.extend_from_slice(&data);
        // What is compressed in a way that the call names is refused before.
        if self.message.first().is_some_and(|compressed| *compressed != 0) {
            return Err(status::no_message("the message is marked as compressed, and the call does not say how"));
        }
        Ok(self.is_too_large().then(|| Frame::data(self.message.split().freeze())))
    }

    fn whole(&mut self) -> Option<Result<Frame<Bytes>, Status>> {
        if self.many {
            return None;
        }
        // tonic would say INTERNAL, which means a fault of the agent.
        if self.declared().is_none_or(|declared| self.message.len() - HEAD < declared) {
            return Some(Err(status::no_message("the request ends before its message does")));
        }
        let message = self.message.split().freeze();
        if message.get(HEAD..).is_some_and(fields::too_many) {
            let most = (fields::ELEMENTS, fields::FIELDS);
            return Some(Err(status::too_large(&format!(
                "the message has too many fields: {} elements, and {} fields in all, are the most",
                most.0, most.1
            ))));
        }
        Some(Ok(Frame::data(message)))
    }
}

impl<B> HttpBody for Incoming<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        while !self.ended {
            let Poll::Ready(frame) = self.body.as_mut().poll_frame(cx) else {
                ready!(self.end.as_mut().poll(cx));
                return Poll::Ready(Some(Err(status::slow_request(REQUEST_TIME))));
            };
            let Some(frame) = frame else {
                self.ended = true;
                return Poll::Ready(self.whole());
            };
            let broken = |error: B::Error| status::no_message(&format!("the request broke off: {}", error.into()));
            let frame = frame.map_err(broken);
            let taken = frame.and_then(|frame| self.take(frame));
            if let Some(frame) = taken.transpose() {
                return Poll::Ready(Some(frame));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

/// An answer.
pub(super) struct Outgoing {
    body: Option<Body>,
    /// What HTTP/2 has not taken yet.
    rest: Bytes,
    /// Bytes of the message that `rest` is of, as they are counted.
    held: usize,
    waiting: Option<Waiting>,
    counted: Arc<Counted>,
    /// Where it is known that this waits to be taken. `None`: it may wait for as long as it likes.
    activity: Option<Activity>,
    _busy: Busy,
}

impl Outgoing {
    pub(super) fn new(body: Body, counted: Arc<Counted>, activity: Option<Activity>, busy: Busy) -> Self {
        Self { body: Some(body), rest: Bytes::new(), held: 0, waiting: None, counted, activity, _busy: busy }
    }

    fn piece(&mut self) -> Frame<Bytes> {
        let piece = self.rest.split_to(PIECE.min(self.rest.len()));
        // HTTP/2 asks for the next one as soon as it has sent this one.
        self.waiting = self.activity.as_ref().map(Activity::waits);
        Frame::data(piece)
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.waiting = None;
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(self.piece())));
        }
        // A stream may go on for ever: only what waits is counted.
        let held = std::mem::take(&mut self.held);
        self.counted.less(held);
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
        };
        let held = data.len().saturating_sub(PIECE);
        if let Err(full) = self.counted.more(held) {
            self.body = None;
            let status = status::overloaded(full, "bytes of requests and answers");
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))));
        }
        (self.rest, self.held) = (data, held);
        Poll::Ready(Some(Ok(self.piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }
}
