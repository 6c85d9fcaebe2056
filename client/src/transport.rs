//! The connection to one agent, made anew when it breaks.
//!
//! Not tonic's `Channel`: that one enforces `grpc-timeout` itself at the very deadline, and so cuts off an answer of the
//! agent that says at the deadline why something is not ready. It also hides what the kernel said to a connect.

#[cfg(feature = "tls")]
mod observed;
#[cfg(feature = "tls")]
mod secure;

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response, header::USER_AGENT};
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tonic::{Status, body::Body};
use tower::Service;

use crate::{
    connect_error::ConnectError,
    target::{Place, Target},
};

/// A ping goes out after this time without a frame while a call is open, so that a watch notices a dead node.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

type Sender = http2::SendRequest<Body>;

/// Who the client is and whom it trusts.
#[cfg(feature = "tls")]
pub(crate) type Security = Option<crate::tls::Tls>;
/// Without the feature `tls` there is nothing to say.
#[cfg(not(feature = "tls"))]
pub(crate) type Security = Option<std::convert::Infallible>;

/// A connection to one agent. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    target: Target,
    connect_timeout: Duration,
    security: Security,
    connection: Arc<Mutex<Sender>>,
}

impl Transport {
    pub(crate) async fn connect(
        target: Target,
        connect_timeout: Duration,
        security: Security,
    ) -> Result<Self, ConnectError> {
        let sender = dial(&target, connect_timeout, &security).await?;
        Ok(Self { target, connect_timeout, security, connection: Arc::new(Mutex::new(sender)) })
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// The living connection, or a new one. Callers that find it dead at once each dial, so that nobody waits for
    /// another one's time-out; the last one stays.
    async fn sender(&self) -> Result<Sender, ConnectError> {
        let current = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !current.is_closed() {
            return Ok(current);
        }
        let fresh = dial(&self.target, self.connect_timeout, &self.security).await?;
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = fresh.clone();
        Ok(fresh)
    }

    async fn send(self, request: Request<Body>) -> Result<Response<Incoming>, Status> {
        let mut request = Some(request);
        // A request that never left, because the agent went away since the last one, is safe to send again.
        for _ in 0..2 {
            let mut sender = self.sender().await.map_err(unreachable)?;
            let Some(message) = request.take() else { break };
            match sender.try_send_request(message).await {
                Ok(response) => return Ok(response),
                Err(mut failed) => {
                    request = failed.take_message();
                    if request.is_none() {
                        return Err(broken(failed.into_error()));
                    }
                }
            }
        }
        let message = format!("the agent at {} closes its connections before a request is sent", self.target);
        Err(Status::unavailable(message))
    }
}

impl Service<Request<Body>> for Transport {
    type Response = Response<Incoming>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Incoming>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let agent = HeaderValue::from_static(concat!("podwire-client/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        Box::pin(self.clone().send(request))
    }
}

fn unreachable(error: ConnectError) -> Status {
    let mut status = Status::unavailable(error.to_string());
    status.set_source(Arc::new(error));
    status
}

fn broken(error: hyper::Error) -> Status {
    let mut status = Status::unavailable("the connection broke");
    status.set_source(Arc::new(error));
    status
}

async fn dial(target: &Target, within: Duration, security: &Security) -> Result<Sender, ConnectError> {
    let timed_out = |_| ConnectError::TimedOut { target: target.clone(), after: within };
    tokio::time::timeout(within, connect(target, security)).await.map_err(timed_out)?
}

async fn connect(target: &Target, security: &Security) -> Result<Sender, ConnectError> {
    let failed = |error| ConnectError::from_io(target.clone(), error);
    match target.place() {
        Place::Unix(path) => handshake(target, UnixStream::connect(path).await.map_err(failed)?).await,
        Place::Tcp { tls: false, .. } if security.is_some() => Err(ConnectError::Plaintext { target: target.clone() }),
        Place::Tcp { tls: true, .. } if security.is_none() => Err(unable(target.clone())),
        Place::Tcp { host, port, tls } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            if *tls { encrypted(target, host, stream, security).await } else { handshake(target, stream).await }
        }
    }
}

#[cfg(feature = "tls")]
fn unable(target: Target) -> ConnectError {
    ConnectError::NoCertificate { target }
}

#[cfg(not(feature = "tls"))]
fn unable(target: Target) -> ConnectError {
    ConnectError::NoTls { target }
}

#[cfg(feature = "tls")]
async fn encrypted(
    target: &Target,
    host: &str,
    stream: TcpStream,
    security: &Security,
) -> Result<Sender, ConnectError> {
    match security {
        Some(tls) => secure::secure(target, host, stream, tls).await,
        None => Err(unable(target.clone())),
    }
}

#[cfg(not(feature = "tls"))]
#[allow(clippy::unused_async, reason = "as the other one of its name")]
async fn encrypted(target: &Target, _: &str, _: TcpStream, _: &Security) -> Result<Sender, ConnectError> {
    Err(unable(target.clone()))
}

async fn handshake<S>(target: &Target, stream: S) -> Result<Sender, ConnectError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|seen| ConnectError::Handshake { target: target.clone(), seen })?;
    // Ends when the last sender is dropped or the connection breaks; each call that was open then gets the error.
    tokio::spawn(connection);
    Ok(sender)
}
