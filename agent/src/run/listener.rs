//! Sockets that calls come in by.

use std::{io, net::SocketAddr, pin::pin, time::Duration};

use futures_util::{Stream, StreamExt};
use nix::sys::resource::{Resource, getrlimit};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixListener,
    time,
};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{service::Routes, transport::server::TcpIncoming};

use crate::{
    api::{CallLayer, Leaving},
    config::Endpoint,
    metrics::{Metrics, Refusal, Way},
};

use super::{
    RunError,
    connection::Connection,
    register::{CONNECTIONS, CONNECTIONS_OF_ONE, Register},
    session::{KEEPALIVE, Sessions},
    tls::{self, Tls},
    unix_socket::{self, Held, SocketError},
};

/// Pause after a connection could not be accepted: out of descriptors, that fails again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// A unix socket.
    #[error(transparent)]
    Unix(#[from] SocketError),
    /// A TCP port.
    #[error("cannot bind")]
    Tcp(#[source] io::Error),
}

/// A bound socket.
pub(super) enum Listener {
    /// A unix socket with its file.
    Unix(UnixListener, Held),
    /// A TCP port without TLS.
    Tcp(TcpIncoming, SocketAddr),
    /// A TCP port with TLS, and how old its connections may become.
    Tls(TcpIncoming, SocketAddr, Tls, Duration),
}

impl Listener {
    /// Binds an address.
    ///
    /// # Errors
    ///
    /// It is taken, or the system refuses.
    pub(super) async fn bind(endpoint: &Endpoint) -> Result<Self, ListenError> {
        match endpoint {
            Endpoint::Unix(path) => {
                let (listener, held) = unix_socket::listen(path).await?;
                Ok(Self::Unix(listener, held))
            }
            Endpoint::Tcp(address) => {
                let incoming = TcpIncoming::bind(*address).map_err(ListenError::Tcp)?;
                let bound = incoming.local_addr().map_err(ListenError::Tcp)?;
                let incoming = incoming.with_nodelay(Some(true)).with_keepalive(Some(KEEPALIVE));
                Ok(Self::Tcp(incoming, bound))
            }
        }
    }

    fn way(&self) -> Way {
        match self {
            Self::Unix(..) => Way::Unix,
            Self::Tcp(..) => Way::Tcp,
            Self::Tls(..) => Way::Tls,
        }
    }

    /// Whether only processes of this node reach it.
    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Unix(..))
    }

    /// The address; of TCP with the port that it got.
    pub(super) fn endpoint(&self) -> Endpoint {
        match self {
            Self::Unix(_, held) => Endpoint::Unix(held.path().to_owned()),
            Self::Tcp(_, bound) | Self::Tls(_, bound, ..) => Endpoint::Tcp(*bound),
        }
    }

    /// Speaks TLS where it is a TCP port.
    pub(super) fn with_tls(self, tls: Tls, max_connection_age: Duration) -> Self {
        match self {
            Self::Tcp(incoming, bound) => Self::Tls(incoming, bound, tls, max_connection_age),
            other => other,
        }
    }

    /// Serves until the agent is asked to leave and all connections are closed. Returns what is to be dropped once the
    /// agent has left: until then no other agent can have the socket.
    ///
    /// # Errors
    ///
    /// The server fails.
    pub(super) async fn serve(
        self,
        routes: Routes,
        layer: CallLayer,
        metrics: Metrics,
        leaving: Leaving,
    ) -> Result<Option<Held>, RunError> {
        let most = connections();
        // Whoever reaches the unix socket may do everything.
        let of_one = if self.is_local() { most } else { CONNECTIONS_OF_ONE };
        let register = Register::new(most, of_one);
        let sessions = Sessions::new(routes, layer, leaving.clone(), register).measured(self.way(), &metrics);
        match self {
            Self::Unix(listener, held) => {
                let incoming = patient(UnixListenerStream::new(listener), metrics);
                serve(incoming.map(|new| new.and_then(Connection::local)), sessions, leaving).await;
                return Ok(Some(held));
            }
            Self::Tcp(incoming, _) => {
                let incoming = patient(incoming, metrics);
                serve(incoming.map(|new| new.and_then(Connection::anonymous)), sessions, leaving).await;
            }
            Self::Tls(incoming, _, tls, max_age) => {
                tls::serve(patient(incoming, metrics.clone()), tls, max_age, sessions, metrics, leaving).await;
            }
        }
        Ok(None)
    }
}

/// Serves who comes, until the agent is asked to leave and all connections are closed.
async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    incoming: impl Stream<Item = io::Result<Connection<S>>>,
    mut sessions: Sessions,
    mut leaving: Leaving,
) {
    {
        let mut incoming = pin!(incoming);
        loop {
            tokio::select! {
                () = leaving.asked() => break,
                accepted = incoming.next() => match accepted {
                    Some(Ok(connection)) => sessions.begin(connection),
                    Some(Err(_)) => {}
                    None => break,
                },
                Some(()) = sessions.ended() => {}
            }
        }
    }
    sessions.end().await;
}

/// How many connections a listener may have: a quarter of the descriptors at the most, for pods need some too.
fn connections() -> usize {
    let descriptors = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(descriptors / 4).unwrap_or(CONNECTIONS).clamp(1, CONNECTIONS)
}

/// Says why a connection could not be accepted, and waits a little before the next one.
fn patient<S>(incoming: impl Stream<Item = io::Result<S>>, metrics: Metrics) -> impl Stream<Item = io::Result<S>> {
    incoming.then(move |accepted| {
        let metrics = metrics.clone();
        async move {
            if let Err(error) = &accepted {
                metrics.door.refused(Refusal::Accept);
                tracing::warn!(%error, "cannot accept a connection");
                time::sleep(ACCEPT_PAUSE).await;
            }
            accepted
        }
    })
}

#[cfg(test)]
mod tests;
