//! What all calls have in common: a span, a line in the log, a status that says what it means.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body as HttpBody;
use tokio::sync::watch;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument, Span, debug, error, field::Empty, info, info_span};

use crate::{
    domain::policy::Policy,
    metrics::{Metrics, Under},
    panel::keeping,
    spans::{self, Origin},
};

use super::{
    audit::{Audited, Auditor, CALLER_GONE, word},
    body::{Incoming, Outgoing},
    caller::{Caller, Peer},
    door::Access,
    load::{Counted, Load},
    meter::Meter,
    pace::More,
    rights::{RIGHTS, known},
    status::{is_of_a_crowd, no_message, no_such_call, overloaded, too_large, without_access},
    trace::Trace,
};

/// Metadata of each answer: the id under which the log has the call.
const REQUEST_ID: &str = "podwire-request-id";

/// Wraps the services of the agent.
#[derive(Clone)]
pub struct CallLayer {
    ids: Arc<Ids>,
    policy: watch::Receiver<Arc<Policy>>,
    meter: Arc<Meter>,
    load: Arc<Load>,
    auditor: Option<Arc<dyn Auditor>>,
    metrics: Metrics,
}

/// Request ids: those of two runs differ.
#[derive(Debug)]
struct Ids {
    run: u64,
    next: AtomicU64,
}

impl CallLayer {
    /// A layer that lets in whom the policy lets in; its clones share the request ids.
    pub fn new(policy: watch::Receiver<Arc<Policy>>) -> Self {
        let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            ids: Arc::new(Ids { run, next: AtomicU64::new(1) }),
            policy,
            meter: Arc::default(),
            load: Arc::default(),
            auditor: None,
            metrics: Metrics::default(),
        }
    }

    /// The same, which has calls written down.
    pub fn audited(self, auditor: Option<Arc<dyn Auditor>>) -> Self {
        Self { auditor, ..self }
    }

    /// The same, whose calls count here.
    pub fn measured(self, metrics: &Metrics) -> Self {
        for (service, method, _) in RIGHTS {
            metrics.calls.expect((service, method));
        }
        Self { metrics: metrics.clone(), ..self }
    }

    /// Who writes them down.
    pub fn auditor(&self) -> Option<Arc<dyn Auditor>> {
        self.auditor.clone()
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = CallService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CallService { inner, layer: self.clone() }
    }
}

/// Services wrapped by a `CallLayer`.
#[derive(Clone)]
pub struct CallService<S> {
    inner: S,
    layer: CallLayer,
}

impl<S> CallService<S> {
    /// Lets a call in and counts it, or says why not.
    fn enter(&self, path: &str, caller: &Caller) -> Result<(Access, Arc<Counted>), Status> {
        let access = Access::enter(path, caller.clone(), &self.layer.policy, &self.layer.meter);
        let access = access.unwrap_or_else(|| Err(no_such_call()))?;
        let counted = self.layer.load.call(caller.peer()).map_err(|full| overloaded(full, "calls"))?;
        Ok((access, Arc::new(counted)))
    }
}

impl<S, B> Service<Request<B>> for CallService<S>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let ids = &self.layer.ids;
        let id = format!("{:x}-{}", ids.run, ids.next.fetch_add(1, Ordering::Relaxed));
        let caller = request.extensions().get::<Caller>().cloned();
        let span = info_span!(
            "call",
            id,
            method = %Method(request.uri().path()),
            who = Empty,
            from = Empty,
            trace_id = Empty,
            parent_id = Empty
        );
        let trace = Trace::of(request.headers());
        if let Some(trace) = trace {
            span.record("trace_id", trace.id);
            span.record("parent_id", trace.parent);
        }
        let origin = trace.map(|trace| Origin { trace: trace.id, span: trace.parent, flags: trace.flags });
        spans::of_call(&span, known(request.uri().path()), origin);
        if let Some(caller) = &caller {
            span.record("who", tracing::field::display(caller.identity()));
            span.record("from", caller.from());
        }
        let path = request.uri().path();
        let audited = caller.as_ref().zip(self.layer.auditor());
        let audited =
            audited.map(|(caller, auditor)| Audited::new(auditor, id.clone(), path, caller).of(trace)).map(Arc::new);
        let call = Call {
            span: span.clone(),
            started: Instant::now(),
            answered: false,
            audited: audited.clone(),
            method: known(path),
            peer: caller.as_ref().map(|caller| caller.peer().clone()),
            load: Arc::clone(&self.layer.load),
            _under_way: self.layer.metrics.calls.begin(),
            metrics: self.layer.metrics.clone(),
        };
        let entered = match caller {
            None => Err(without_access()),
            Some(caller) => {
                // Also one that is refused: what it brings is no idle talk.
                let busy = caller.activity().call();
                self.enter(path, &caller).map(|(access, counted)| (access, counted, caller, busy))
            }
        };
        let (lasts, many) = (lasts(path), path.starts_with("/grpc.reflection."));
        // Within the span, since tower services may do work before they return their future.
        let answer = entered.map(|(access, counted, caller, busy)| {
            let mut request = request
                .map(|body| Body::new(Incoming::new(body, Arc::clone(&counted), caller.activity().clone(), many)));
            access.audited(audited).keep(request.extensions_mut());
            let answer = span.in_scope(|| self.inner.call(request));
            let answer = keeping(Arc::clone(&counted) as _, answer);
            async move {
                let answer = answer.await?;
                let activity = (!lasts).then(|| caller.activity().clone());
                Ok(answer.map(|body| Body::new(Outgoing::new(body, counted, activity, busy))))
            }
        });
        Box::pin(
            async move {
                let mut call = call;
                let mut response = match answer {
                    Ok(answer) => answer.await?,
                    Err(refusal) => refusal.into_http(),
                };
                // An error of a single answer stands in the headers; that of a stream comes later, in its trailers.
                let status = response.headers().get(Status::GRPC_STATUS).is_some();
                let mut status = status.then(|| Status::from_header_map(response.headers())).flatten();
                if let Some(better) = status.as_ref().and_then(refused_by_tonic) {
                    response = better.clone().into_http();
                    status = Some(better);
                }
                if let Ok(id) = HeaderValue::try_from(id) {
                    response.headers_mut().insert(REQUEST_ID, id);
                }
                call.answer(status.as_ref());
                Ok(response)
            }
            .instrument(span),
        )
    }
}

/// What tonic answers before any service of ours is asked. It says OUT_OF_RANGE of a message that is too large; that
/// code means a resume token here, and the contract says RESOURCE_EXHAUSTED. It says INTERNAL of bytes that are no
/// message; that code means a bug of ours, and whoever sent them is at fault.
fn refused_by_tonic(status: &Status) -> Option<Status> {
    match status.code() {
        Code::OutOfRange if status.message().contains("decoded message length too large") => {
            Some(too_large(status.message()))
        }
        Code::Internal if status.message().contains("failed to decode Protobuf message") => {
            Some(no_message(status.message()))
        }
        _ => None,
    }
}

/// One call: logged when it is answered, or when nobody waits for the answer any more.
struct Call {
    span: Span,
    started: Instant,
    answered: bool,
    audited: Option<Arc<Audited>>,
    method: (&'static str, &'static str),
    peer: Option<Peer>,
    load: Arc<Load>,
    metrics: Metrics,
    _under_way: Under,
}

impl Call {
    fn answer(&mut self, status: Option<&Status>) {
        self.answered = true;
        let took = self.started.elapsed();
        self.metrics.calls.answered(self.method, word(status.map_or(Code::Ok, Status::code)), took);
        // Who asks for too much at a time could fill the log and the audit.
        let crowd = status.is_some_and(is_of_a_crowd).then_some(self.peer.as_ref()).flatten();
        let Some(more) = crowd.map_or(Some(More(0)), |peer| self.load.tells(peer)) else {
            debug!(?took, "refused, as others of this caller: the log tells of it once a second");
            return;
        };
        if let Some(audited) = &self.audited {
            audited.end(status, more);
        }
        match status {
            None => debug!(code = "Ok", ?took, "answered"),
            Some(status) => {
                let (code, message) = (status.code(), status.message());
                match code {
                    Code::Ok => debug!(?code, ?took, "answered"),
                    Code::Internal | Code::Unknown | Code::DataLoss => error!(?code, ?took, error = message, "failed"),
                    _ => info!(?code, ?took, error = message, "refused{more}"),
                }
            }
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.answered {
            let took = self.started.elapsed();
            self.metrics.calls.answered(self.method, CALLER_GONE, took);
            if let Some(audited) = &self.audited {
                audited.left();
            }
            info!(parent: &self.span, ?took, "the caller went away or its deadline passed; what it asked for goes on");
        }
    }
}

/// Whether the answer of a call goes on for as long as its caller wants, however slowly he takes it.
fn lasts(path: &str) -> bool {
    path.ends_with("/WatchTopologies") || path.ends_with("/Capture")
}

/// The path of a request, shortened: a stranger chooses it.
struct Method<'a>(&'a str);

impl std::fmt::Display for Method<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MOST: usize = 128;
        let path = self.0.strip_prefix('/').unwrap_or(self.0);
        // A path of a URI is ASCII, so every index is a boundary.
        f.write_str(path.get(..MOST).unwrap_or(path))
    }
}

#[cfg(test)]
mod tests;
