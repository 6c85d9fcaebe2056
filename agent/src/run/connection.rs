//! A connection that knows who is at its other end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    sync::oneshot,
    time::{self, Instant, Sleep},
};
use tonic::transport::server::Connected;

use crate::{
    api::{Caller, Life},
    domain::identity::Identity,
};

/// A connection, and who is at its other end. Each call by it has the `Caller` among its extensions.
pub(super) struct Connection<S> {
    stream: S,
    caller: Caller,
    /// When it is cut off.
    end: Option<Pin<Box<Sleep>>>,
    /// Dropped with it: tells that it is closed.
    open: Option<oneshot::Sender<()>>,
}

impl<S> Connection<S> {
    /// A connection of a caller.
    pub(super) fn new(stream: S, caller: Caller) -> Self {
        Self { stream, caller, end: None, open: None }
    }

    /// Cuts it off at this time.
    pub(super) fn until(mut self, end: Option<Instant>) -> Self {
        self.end = end.map(|end| Box::pin(time::sleep_until(end)));
        self
    }

    /// Drops this when it is closed.
    pub(super) fn tell(mut self, open: oneshot::Sender<()>) -> Self {
        self.open = Some(open);
        self
    }
}

impl Connection<UnixStream> {
    /// One of a process of this node: the kernel says whose it is.
    ///
    /// # Errors
    ///
    /// The kernel does not say.
    pub(super) fn local(stream: UnixStream) -> io::Result<Self> {
        let peer = stream.peer_cred()?;
        let from = peer.pid().map_or_else(|| "this node".to_owned(), |pid| format!("process {pid}"));
        Ok(Self::new(stream, Caller::new(Identity::Uid(peer.uid()), from, Life::default())))
    }
}

impl Connection<TcpStream> {
    /// One without TLS.
    ///
    /// # Errors
    ///
    /// It is gone.
    pub(super) fn anonymous(stream: TcpStream) -> io::Result<Self> {
        let from = stream.peer_addr()?.to_string();
        Ok(Self::new(stream, Caller::new(Identity::Anonymous, from, Life::default())))
    }
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            let why = "the caller's certificate has expired while it was connected";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
