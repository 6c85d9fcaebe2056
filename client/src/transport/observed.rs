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
/// first thing to be read. Often a write breaks before that, for the agent has hung up, and hyper would drop what is there to
/// be read: until that has come writes only seem to succeed.
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
        match Pin::new(&mut self.stream).poll_write(cx, buf) {
            Poll::Ready(Err(_)) if self.first.is_some() => Poll::Ready(Ok(buf.len())),
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Err(_)) if self.first.is_some() => Poll::Ready(Ok(())),
            flushed => flushed,
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use rustls::{AlertDescription, Error};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// An agent that has refused the certificate and hung up: nothing can be written, and what it said is there yet.
    struct HungUp;

    impl AsyncRead for HungUp {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::Error::other(Error::AlertReceived(AlertDescription::UnknownCA))))
        }
    }

    impl AsyncWrite for HungUp {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_the_agent_said_is_told_and_not_the_write_that_broke_before_it_was_read() {
        let (mut stream, first) = Observed::new(HungUp);
        stream.write_all(b"PRI").await.unwrap();
        stream.flush().await.unwrap();
        stream.read_u8().await.unwrap_err();
        let seen = first.await.unwrap().unwrap_err();
        assert!(seen.get_ref().unwrap().is::<Error>() && seen.to_string().contains("UnknownCA"), "{seen}");
        assert_eq!(stream.write_all(b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
