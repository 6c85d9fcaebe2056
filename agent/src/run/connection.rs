//! A connection that knows who is at its other end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{self, Sleep},
};

use crate::{
    api::{Caller, Life},
    domain::identity::Identity,
};

use super::allowance::Allowance;

/// Bytes that are read in one turn; then other connections have theirs. They may be hundreds of frames.
const TURN: usize = 4 * 1024;
/// Who takes nothing of what is sent to him for so long is cut off.
pub(super) const UNREAD: Duration = Duration::from_secs(60);

/// A connection, and who is at its other end.
pub(super) struct Connection<S> {
    stream: S,
    caller: Caller,
    /// Runs while the other side takes nothing.
    unread: Option<Pin<Box<Sleep>>>,
    /// Bytes of this turn.
    turn: usize,
    allowance: Allowance,
}

impl<S> Connection<S> {
    /// A connection of a caller.
    pub(super) fn new(stream: S, caller: Caller) -> Self {
        Self { stream, caller, unread: None, turn: 0, allowance: Allowance::default() }
    }

    /// Who is at the other end.
    pub(super) fn caller(&self) -> &Caller {
        &self.caller
    }

    fn heard(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.allowance.heard(*bytes);
        }
    }

    /// What became of an attempt to write. One that waits for too long fails.
    fn written<T>(&mut self, cx: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.unread = None;
            return result;
        }
        let unread = self.unread.get_or_insert_with(|| Box::pin(time::sleep(UNREAD)));
        if unread.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the caller has read nothing for too long")))
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
        let from = stream.peer_addr()?;
        Ok(Self::new(stream, Caller::anonymous(from.ip(), from.to_string())))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.turn >= TURN {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.allowance.is_over(self.caller.activity()) {
            tracing::debug!(from = self.caller.from(), "it says too much for what it asks: cut off");
            let why = "the caller says too much for what it asks";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::QuotaExceeded, why)));
        }
        let most = (TURN - self.turn).min(buf.remaining());
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        let read = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let bytes = part.filled().len();
        buf.advance(bytes);
        self.allowance.said(bytes);
        self.turn = if read.is_ready() { self.turn + bytes } else { 0 };
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.heard(&written);
        self.written(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.heard(&written);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
