//! Metrics for Prometheus, by HTTP on a port of their own. Whoever reaches the port gets them and nothing else; nothing that
//! he sends is used but the path.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::{AbortHandle, JoinSet},
    time,
};

use super::exhibit::Exhibit;

/// Connections at once. One more ends the oldest: who connects and says nothing keeps nobody out.
const CONNECTIONS: usize = 32;
/// How long one may last, from its begin to the last byte of the answer. Each is for one request.
const LIFE: Duration = Duration::from_secs(10);
/// How long the headers of a request may take.
const HEADERS: Duration = Duration::from_secs(5);
/// Bytes of all of them; hyper takes no less.
const HEADER_BYTES: usize = 8192;
/// How many there may be.
const MOST_HEADERS: usize = 64;
/// An answer serves all who ask this soon after it, so that who asks all the time makes no work.
const FRESH: Duration = Duration::from_millis(250);
/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// As <https://prometheus.io/docs/specs/om/open_metrics_spec/> has it.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A bound port.
pub(super) struct Exporter {
    listener: TcpListener,
    address: SocketAddr,
}

impl Exporter {
    /// Binds a port.
    ///
    /// # Errors
    ///
    /// It is taken, or the system refuses.
    pub(super) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// Its address, with the port that it got.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped: while the agent leaves, too.
    pub(super) async fn serve(self, exhibit: Exhibit) {
        let desk = Arc::new(Desk { exhibit, last: Mutex::new(None) });
        let mut connections = JoinSet::new();
        let mut order: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        order.retain(|handle| !handle.is_finished());
                        if order.len() >= CONNECTIONS && let Some(oldest) = order.pop_front() {
                            oldest.abort();
                        }
                        order.push_back(connections.spawn(answer_one(stream, Arc::clone(&desk))));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection for metrics");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Who answers.
struct Desk {
    exhibit: Exhibit,
    /// Held while an answer is made: one at a time.
    last: Mutex<Option<(Instant, Arc<str>)>>,
}

impl Desk {
    async fn text(&self) -> Arc<str> {
        let mut last = self.last.lock().await;
        if let Some((made, text)) = &*last
            && made.elapsed() < FRESH
        {
            return Arc::clone(text);
        }
        let text: Arc<str> = self.exhibit.text().await.into();
        *last = Some((Instant::now(), Arc::clone(&text)));
        text
    }
}

async fn answer_one(stream: TcpStream, desk: Arc<Desk>) {
    let service = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { answer(&request, &desk).await }
    });
    let mut server = http1::Builder::new();
    server.keep_alive(false).timer(TokioTimer::new()).header_read_timeout(HEADERS);
    server.max_buf_size(HEADER_BYTES).max_headers(MOST_HEADERS);
    // What becomes of it nobody needs to know: a stranger fills no log.
    let _ = time::timeout(LIFE, server.serve_connection(TokioIo::new(stream), service)).await;
}

async fn answer(request: &Request<Incoming>, desk: &Desk) -> Result<Response<String>, http::Error> {
    let refused = |code: StatusCode| Response::builder().status(code);
    match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET) => {
            let text = desk.text().await.as_ref().to_owned();
            Response::builder().header(header::CONTENT_TYPE, OPEN_METRICS).body(text)
        }
        ("/metrics", _) => {
            refused(StatusCode::METHOD_NOT_ALLOWED).header(header::ALLOW, "GET").body("only GET\n".to_owned())
        }
        _ => refused(StatusCode::NOT_FOUND).body("there is only /metrics\n".to_owned()),
    }
}
