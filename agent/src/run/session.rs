//! One connection, served.

use std::{convert::Infallible, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http2::Builder};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinSet,
    time::{self, Instant},
};
use tonic::{body::Body, service::Routes};
use tower::{Layer, Service, util::ServiceExt};

use crate::{
    api::{Auditor, CallLayer, Leaving},
    metrics::{Metrics, Refusal, Way},
};

use super::{
    connection::{Connection, UNREAD},
    register::{Place, Register},
};

/// Calls of one connection at once: `SETTINGS_MAX_CONCURRENT_STREAMS`. A caller with more waits by itself.
pub(super) const STREAMS: u32 = 128;
/// Bytes of the headers of a call, as RFC 9113 section 10.5.1 counts them.
pub(super) const HEADER_BYTES: u32 = 16 * 1024;
/// Bytes that may be on their way in one call, and in one connection, before the agent has taken them.
pub(super) const WINDOWS: (u32, u32) = (128 * 1024, 256 * 1024);
/// Bytes of one answer that wait for the connection.
pub(super) const SEND_BYTES: usize = 64 * 1024;
/// Calls that may be taken back before the agent has looked at them; one more ends the connection (CVE-2023-44487).
pub(super) const RESETS: usize = 20;
/// Calls that the agent may have to refuse for breaches of the protocol; one more ends the connection.
pub(super) const FAULTS: usize = 64;
/// Silence after which a peer is asked whether it is still there, and how long it has for the answer.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(30);
/// Within this a new connection has a call.
pub(super) const FIRST_CALL: Duration = Duration::from_secs(30);
/// After this without a call under way a connection is told to go.
pub(super) const QUIET: Duration = Duration::from_secs(15 * 60);
/// So long after it was told to go, a connection without a call under way is cut off.
const FAREWELL: Duration = Duration::from_secs(5);
/// How often a connection is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// What serves the connections of a listener.
pub(super) struct Sessions {
    routes: Routes,
    layer: CallLayer,
    leaving: Leaving,
    register: Register,
    tasks: JoinSet<()>,
    refused: u64,
    told: Option<Instant>,
    way: Way,
    metrics: Metrics,
}

impl Sessions {
    pub(super) fn new(routes: Routes, layer: CallLayer, leaving: Leaving, register: Register) -> Self {
        Self {
            routes: routes.prepare(),
            layer,
            leaving,
            register,
            tasks: JoinSet::new(),
            refused: 0,
            told: None,
            way: Way::Unix,
            metrics: Metrics::default(),
        }
    }

    /// The same, and who comes this way counts here.
    pub(super) fn measured(self, way: Way, metrics: &Metrics) -> Self {
        Self { way, metrics: metrics.clone(), ..self }
    }

    /// Who writes down what strangers do.
    pub(super) fn auditor(&self) -> Option<Arc<dyn Auditor>> {
        self.layer.auditor()
    }

    /// Serves one more connection, where there is room for it.
    pub(super) fn begin<S>(&mut self, connection: Connection<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let caller = connection.caller();
        let Some(place) = self.register.enter(caller.peer(), caller.activity().clone()) else {
            self.refused += 1;
            self.metrics.door.refused(Refusal::Crowded);
            if self.told.is_none_or(|told| told.elapsed() >= Duration::from_secs(1)) {
                self.told = Some(Instant::now());
                let (from, refused) = (caller.from(), std::mem::take(&mut self.refused));
                tracing::warn!(from, refused, "too many connections of one peer, and all have calls: refused");
            }
            return;
        };
        self.metrics.door.connected(self.way);
        let service = self.layer.layer(self.routes.clone());
        self.tasks.spawn(serve(connection, place, service, self.leaving.clone()));
    }

    /// Returns when one has ended.
    pub(super) async fn ended(&mut self) -> Option<()> {
        self.tasks.join_next().await.map(drop)
    }

    /// Returns when all have ended.
    pub(super) async fn end(mut self) {
        while self.ended().await.is_some() {}
    }
}

/// Serves until it is closed. At its greatest age, when it has had no calls for long, or when the agent is asked to leave,
/// it takes no more calls and ends with the last one.
async fn serve<S, C>(connection: Connection<S>, mut place: Place, service: C, mut leaving: Leaving)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    C: Service<Request<Body>, Response = http::Response<Body>, Error = Infallible> + Clone + Send + 'static,
    C::Future: Send,
{
    let caller = connection.caller().clone();
    let (activity, life, began) = (caller.activity().clone(), caller.life(), Instant::now());
    let caller = Arc::new(caller);
    let service = service.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller.as_ref().clone());
        request.map(Body::new)
    });
    let served = builder().serve_connection(TokioIo::new(connection), TowerToHyperService::new(service));
    let mut served = pin!(served);
    let mut look = time::interval(LOOK);
    let mut told: Option<Instant> = None;
    loop {
        tokio::select! {
            ended = &mut served => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended");
                }
                return;
            }
            // Another connection has its place now.
            () = place.taken() => return,
            // The caller has become nobody.
            () = at(life.expires) => return,
            () = leaving.asked(), if told.is_none() => {}
            () = at(life.retires), if told.is_none() => {}
            _ = look.tick() => {
                let quiet = activity.quiet();
                let silent = quiet.is_some_and(|quiet| quiet >= began.elapsed()) && began.elapsed() > FIRST_CALL;
                if activity.stalled() > UNREAD || (quiet.is_some() && told.is_some_and(|told| told.elapsed() > FAREWELL)) {
                    return;
                }
                if told.is_some() || !(silent || quiet.is_some_and(|quiet| quiet > QUIET)) {
                    continue;
                }
            }
        }
        served.as_mut().graceful_shutdown();
        told = Some(Instant::now());
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_BYTES)
        .initial_stream_window_size(WINDOWS.0)
        .initial_connection_window_size(WINDOWS.1)
        .max_send_buf_size(SEND_BYTES)
        .max_pending_accept_reset_streams(RESETS)
        .max_local_error_reset_streams(FAULTS)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE);
    builder
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
