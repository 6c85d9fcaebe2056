//! From a TCP connection to one with an identity.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{Stream, StreamExt};
use rustls::{CertificateError, OtherError, ServerConfig};
use tokio::{
    net::TcpStream,
    task::{self, AbortHandle, JoinSet},
    time::{self, Instant},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    api::{AuditEntry, Auditor, Caller, Leaving, Life, Pace, Peer},
    domain::identity::Identity,
    metrics::{Metrics, Refusal},
    run::{connection::Connection, session::Sessions},
};

use super::{
    Tls,
    names::{self, NamesError},
    validity::Validity,
};

/// How long a handshake may take.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);
/// Handshakes under way at once. One more ends the oldest of the address that has the most, so that those who connect and
/// say nothing keep out only who comes from the same address, and that no longer than it takes them to connect this many
/// times.
pub(crate) const HANDSHAKES: usize = 256;
/// Strangers are told of in the log this often at the most; the others are counted.
const TOLD: Duration = Duration::from_secs(1);
/// And written down this often: some 3 MB a day, whoever knocks.
const WRITTEN: Duration = Duration::from_secs(10);
/// So much before its certificate ends a connection does, for clocks that differ.
const MARGIN: Duration = Duration::from_secs(1);
/// In so many steps over the last tenth of the greatest age connections end, so that not all come back at once.
const SPREAD: u32 = 16;

/// Serves who has a certificate, until the agent is asked to leave and all connections are closed.
pub(crate) async fn serve(
    incoming: impl Stream<Item = io::Result<TcpStream>>,
    tls: Tls,
    max_age: Duration,
    mut sessions: Sessions,
    metrics: Metrics,
    mut leaving: Leaving,
) {
    let mut number = 0_u32;
    {
        let mut incoming = pin!(incoming);
        let mut handshakes = Handshakes::new(sessions.auditor(), metrics);
        loop {
            tokio::select! {
                () = leaving.asked() => break,
                accepted = incoming.next() => match accepted {
                    Some(Ok(stream)) => handshakes.begin(stream, tls.config()),
                    Some(Err(_)) => {}
                    None => break,
                },
                Some(known) = handshakes.next() => if let Some(guest) = known {
                    number = number.wrapping_add(1);
                    let age = max_age.saturating_sub(max_age / 10 * (number % SPREAD) / SPREAD);
                    sessions.begin(guest.connection(age));
                },
                Some(()) = sessions.ended() => {}
            }
        }
    }
    sessions.end().await;
}

/// Who has shown a certificate.
struct Guest {
    stream: TlsStream<TcpStream>,
    identity: Identity,
    from: SocketAddr,
    expires: SystemTime,
}

impl Guest {
    /// Its connection. At this age it takes no more calls; when its certificate ends it is cut off.
    fn connection(self, age: Duration) -> Connection<TlsStream<TcpStream>> {
        let left = self.expires.duration_since(SystemTime::now()).unwrap_or_default();
        let now = Instant::now();
        // An end that is too far off to be counted is none.
        let expires = now.checked_add(left);
        let life = Life { retires: Some(now + age.min(left.saturating_sub(MARGIN))), expires };
        tracing::debug!(identity = %self.identity, from = %self.from, "a connection");
        Connection::new(self.stream, Caller::new(self.identity, self.from.to_string(), life))
    }
}

/// Why somebody did not get in.
#[derive(Debug, thiserror::Error)]
enum Stranger {
    #[error("no handshake within {HANDSHAKE:?}")]
    Slow,
    #[error("{0}")]
    Handshake(io::Error),
    #[error(transparent)]
    Names(#[from] NamesError),
    #[error("no certificate")]
    NoCertificate,
}

impl Stranger {
    /// A handshake that failed. Where it was for the names in the certificate, which the verifier refuses, they are what is told.
    fn of(error: io::Error) -> Self {
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause)))) => {
                cause.downcast_ref().cloned().map_or(Self::Handshake(error), Self::Names)
            }
            _ => Self::Handshake(error),
        }
    }

    fn kind(&self) -> Refusal {
        match self {
            Self::Slow => Refusal::Slow,
            Self::Handshake(_) | Self::NoCertificate => Refusal::Handshake,
            Self::Names(_) => Refusal::Identity,
        }
    }
}

/// Those under way.
struct Handshakes {
    tasks: JoinSet<(SocketAddr, Result<Guest, Stranger>)>,
    /// The oldest first.
    order: VecDeque<(Peer, AbortHandle)>,
    log: Log,
    metrics: Metrics,
}

impl Handshakes {
    fn new(auditor: Option<Arc<dyn Auditor>>, metrics: Metrics) -> Self {
        Self { tasks: JoinSet::new(), order: VecDeque::new(), log: Log::new(auditor), metrics }
    }

    fn begin(&mut self, stream: TcpStream, config: Arc<ServerConfig>) {
        // Gone already.
        let Ok(from) = stream.peer_addr() else { return };
        if self.order.len() >= HANDSHAKES {
            self.make_room();
        }
        let task = self.tasks.spawn(async move { (from, handshake(stream, from, config).await) });
        self.order.push_back((Peer::at(from.ip()), task));
    }

    fn make_room(&mut self) {
        let mut counts: HashMap<&Peer, usize> = HashMap::new();
        for (peer, _) in &self.order {
            *counts.entry(peer).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or_default();
        let oldest = self.order.iter().position(|(peer, _)| counts.get(peer) == Some(&most));
        if let Some((_, oldest)) = oldest.and_then(|oldest| self.order.remove(oldest)) {
            oldest.abort();
            self.metrics.door.refused(Refusal::Crowded);
            self.log.crowded();
        }
    }

    /// The next one that ended; `None` within: it was no use. `None`: there are none.
    async fn next(&mut self) -> Option<Option<Guest>> {
        let ended = self.tasks.join_next_with_id().await?;
        let id: task::Id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        self.order.retain(|(_, handle)| handle.id() != id);
        match ended {
            Ok((_, (_, Ok(guest)))) => return Some(Some(guest)),
            Ok((_, (from, Err(stranger)))) => {
                self.metrics.door.refused(stranger.kind());
                self.log.refused(from, &stranger);
            }
            Err(error) if error.is_cancelled() => {}
            Err(error) => tracing::error!(%error, "a handshake panicked"),
        }
        Some(None)
    }
}

async fn handshake(stream: TcpStream, from: SocketAddr, config: Arc<ServerConfig>) -> Result<Guest, Stranger> {
    let accepted = time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
    let stream = accepted.map_err(|_| Stranger::Slow)?.map_err(Stranger::of)?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificate = certificates.first().ok_or(Stranger::NoCertificate)?;
    let identity = names::identity(certificate)?;
    // The verifier has read it already.
    let expires = Validity::of(certificate).ok_or(Stranger::NoCertificate)?.ends;
    Ok(Guest { stream, identity, from, expires })
}

/// The log and the audit, of which strangers fill no more than a line now and then.
struct Log {
    told: Pace,
    written: Pace,
    auditor: Option<Arc<dyn Auditor>>,
}

impl Log {
    fn new(auditor: Option<Arc<dyn Auditor>>) -> Self {
        Self { told: Pace::new(TOLD), written: Pace::new(WRITTEN), auditor }
    }

    fn refused(&mut self, from: SocketAddr, stranger: &Stranger) {
        if let Some(more) = self.told.turn() {
            tracing::warn!(%from, reason = %stranger, "refused by TLS{more}");
        }
        self.write(from.to_string(), || stranger.to_string());
    }

    fn crowded(&mut self) {
        let what =
            format!("{HANDSHAKES} handshakes are under way: the oldest of who has the most is ended for each new one");
        if let Some(more) = self.told.turn() {
            tracing::warn!("{what}{more}");
        }
        self.write(String::new(), || what);
    }

    fn write(&mut self, from: String, why: impl FnOnce() -> String) {
        if let Some(auditor) = &self.auditor
            && let Some(more) = self.written.turn()
        {
            auditor.note(&AuditEntry::stranger(from, &why(), more.0));
        }
    }
}
