//! Somebody who behaves, and how long he waits.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use podwire_client::{Client, Error};
use podwire_proto::v1::Topology;
use podwire_tests::elements::{link, nic, topology};
use tokio::{runtime, sync::oneshot};

/// A caller with a topology of his own.
pub(super) struct Honest(Client);

/// How long his calls took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    /// Calls of `GetTopology`.
    pub(super) calls: usize,
    pub(super) median: Duration,
    pub(super) p99: Duration,
    pub(super) worst: Duration,
    /// Topologies that became READY, and the slowest of them.
    pub(super) applied: usize,
    pub(super) ready: Duration,
}

/// Between two calls: he does not flood.
const PAUSE: Duration = Duration::from_millis(5);
const KEPT: &str = "kept";

fn wire(name: &str, number: u32) -> Topology {
    let (a, b) = (format!("net{number}"), format!("net{number}"));
    Topology { links: vec![link("w", nic("a", &a), nic("b", &b))], ..topology(name) }
}

impl Honest {
    pub(super) async fn begin(client: Client) -> Self {
        // How long he waits is judged by who asks for his figures.
        let client = client.with_deadline(Duration::from_secs(60));
        client.apply(wire(KEPT, 1)).until_ready().await.expect("nobody attacks yet");
        Self(client)
    }

    /// Of some calls now.
    pub(super) async fn figures(&self) -> Figures {
        let mut times = Times::default();
        for _ in 0..50 {
            times.read(&self.0).await.expect("it serves");
        }
        times.apply(&self.0).await.expect("it serves");
        times.figures()
    }

    /// Of calls for as long as something else goes on. They come from a thread of their own, so that only the agent makes
    /// them wait.
    pub(super) async fn beside<T>(&self, other: impl Future<Output = T>) -> (T, Figures) {
        let (client, end) = (self.0.clone(), Arc::new(AtomicBool::new(false)));
        let (ended, stop) = (Arc::clone(&end), oneshot::channel());
        thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let figures = runtime.block_on(async {
                let mut times = Times::default();
                // One of each at the least.
                loop {
                    times.apply(&client).await?;
                    for _ in 0..20 {
                        times.read(&client).await?;
                        tokio::time::sleep(PAUSE).await;
                    }
                    if ended.load(Ordering::Relaxed) {
                        return Ok::<_, Error>(times.figures());
                    }
                }
            });
            let _ = stop.0.send(figures);
        });
        let done = other.await;
        end.store(true, Ordering::Relaxed);
        let figures = stop.1.await.expect("it does not panic");
        (done, figures.unwrap_or_else(|error| panic!("who behaves was not served: {error}")))
    }

    pub(super) async fn end(self) {
        self.0.delete_topology("lessons", KEPT).await.unwrap();
    }
}

#[derive(Default)]
struct Times {
    reads: Vec<Duration>,
    applies: Vec<Duration>,
}

impl Times {
    async fn read(&mut self, client: &Client) -> Result<(), Error> {
        let started = Instant::now();
        client.get_topology("lessons", KEPT).await?;
        self.reads.push(started.elapsed());
        Ok(())
    }

    async fn apply(&mut self, client: &Client) -> Result<(), Error> {
        let started = Instant::now();
        client.apply(wire("come-and-go", 2)).until_ready().await?;
        self.applies.push(started.elapsed());
        client.delete_topology("lessons", "come-and-go").await?;
        Ok(())
    }

    fn figures(mut self) -> Figures {
        self.reads.sort();
        let at = |percent: usize| self.reads[(self.reads.len() - 1) * percent / 100];
        Figures {
            calls: self.reads.len(),
            median: at(50),
            p99: at(99),
            worst: at(100),
            applied: self.applies.len(),
            ready: self.applies.iter().copied().max().unwrap_or_default(),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let (median, p99, worst, ready) = (ms(self.median), ms(self.p99), ms(self.worst), ms(self.ready));
        write!(f, "{} calls: {median:.1}, {p99:.1}, {worst:.1} ms; READY {ready:.0} ms", self.calls)
    }
}
