//! A stream that tells what came first.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

/// With TLS 1.3 a client is done with the handshake before the agent has seen its certificate: that it was refused is the
/// first thing to be read, or what breaks the first write. This tells which it was.
pub(super) struct Observed<S> {
    stream: S,
    first: Option<oneshot::Sender<io::Result<()>>>,
}

impl<S> Observed<S> {
    pub(super) fn new(stream: S) -> (Self, oneshot::Receiver<io::Result<()>>) {
        let (first, seen) = oneshot::channel();
        (Self { stream, first: Some(first) }, seen)
    }

    fn tell(&mut self, seen: io::Result<()>) {
        if let Some(first) = self.first.take() {
            // Nobody waits for it any more: the connect timeout.
            drop(first.send(seen));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        match &read {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if buf.filled().len() > before => self.tell(Ok(())),
            Poll::Ready(Ok(())) => self.tell(Err(io::ErrorKind::UnexpectedEof.into())),
            Poll::Ready(Err(error)) => {
                // An error cannot be cloned, and hyper does not show what it got: the words and the cause go here.
                let told = match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
                    Some(cause) => io::Error::new(error.kind(), cause.clone()),
                    None => io::Error::new(error.kind(), error.to_string()),
                };
                self.tell(Err(told));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
