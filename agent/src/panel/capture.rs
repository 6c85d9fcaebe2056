//! Captures: which ports they are about, and that they follow those.

mod source;
mod warden;

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};

use crate::{
    domain::{
        bpf::Program,
        if_name::IfName,
        intent::NicKey,
        name::{ElementName, Namespace, TopologyKey, TopologyName},
        spec::PodOwner,
    },
    kernel::{Chunk, End, Extent, KernelError, PacketSocket, Recording, Stamps},
};

use super::{engine::Engine, error::ChangeError};
use warden::Warden;

/// Captures of one node at a time.
const MOST_CAPTURES: usize = 32;

/// Ports that all of them may look at: each is a descriptor, and those of the node's own work must not run out.
const MOST_PORTS: usize = 1024;

/// Links that are verified at a time; others wait for a moment.
const MOST_VERIFICATIONS: usize = 4;

/// What all captures of a node share.
#[derive(Debug, Clone)]
pub(super) struct Captures {
    streams: Arc<Semaphore>,
    ports: Arc<Semaphore>,
    stamps: Arc<Stamps>,
    /// Verifications hold it.
    pub(super) verifications: Arc<Semaphore>,
}

impl Default for Captures {
    fn default() -> Self {
        let of = |most| Arc::new(Semaphore::new(most));
        Self {
            streams: of(MOST_CAPTURES),
            ports: of(MOST_PORTS),
            stamps: Arc::default(),
            verifications: of(MOST_VERIFICATIONS),
        }
    }
}

impl Captures {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        MOST_CAPTURES.saturating_sub(self.streams.available_permits())
    }
}

/// What to capture.
#[derive(Debug, Clone)]
pub struct CaptureRequest {
    /// Kubernetes namespace of the topology.
    pub namespace: Namespace,
    /// Topology; `None`: of an interface the one that has it, else `default`.
    pub topology: Option<TopologyName>,
    /// What of it.
    pub target: CaptureTarget,
    /// How much.
    pub snap_length: u32,
    /// Frames; `None`: no limit.
    pub max_frames: Option<u64>,
    /// Time; `None`: no limit.
    pub duration: Option<Duration>,
    /// Which frames; `None`: all.
    pub filter: Option<Program>,
}

/// What of a topology to capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaptureTarget {
    /// One interface, both directions.
    Interface {
        /// Whose.
        owner: PodOwner,
        /// Its name.
        name: IfName,
    },
    /// Both ends of a link, each frame where it enters.
    Link(ElementName),
    /// All ports of a bridge, each frame where it enters.
    Bridge(ElementName),
}

impl CaptureTarget {
    fn shown(&self) -> String {
        match self {
            Self::Interface { owner, name } => format!("interface {owner}/{name}"),
            Self::Link(name) => format!("link `{name}`"),
            Self::Bridge(name) => format!("bridge `{name}`"),
        }
    }
}

/// A capture under way. Dropping it closes its sockets.
#[derive(Debug)]
pub struct Capture {
    what: String,
    reader: Reader,
    warden: JoinHandle<()>,
    /// Its stamps, and its place among the captures of the node.
    _held: (Arc<PacketSocket>, OwnedSemaphorePermit),
}

impl Capture {
    /// More of the file; waits for it. `None`: it has ended. Dropping the future loses nothing.
    pub async fn next(&self) -> Option<Chunk> {
        self.reader.0.next().await
    }

    /// Ends it because the agent leaves; what was captured can still be read.
    pub fn leave(&self) {
        self.reader.0.end(End::Leaving);
    }

    /// How it ended.
    ///
    /// # Errors
    ///
    /// Not because it was complete.
    pub fn outcome(&self) -> Result<(), ChangeError> {
        match self.reader.0.ended() {
            None | Some(End::Complete | End::HungUp) => Ok(()),
            Some(End::Leaving) => Err(ChangeError::ShuttingDown),
            Some(End::Gone(why)) => Err(ChangeError::Ended { what: format!("capture of {}", self.what), why }),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.warden.abort();
    }
}

impl Engine {
    /// Captures the frames of an interface, a link or a bridge until they are as many as asked for, or what is captured
    /// goes away.
    ///
    /// # Errors
    ///
    /// There is no such thing, or no port of it yet; too many captures; the kernel refuses the filter.
    pub async fn capture(&self, request: CaptureRequest) -> Result<Capture, ChangeError> {
        let subject = || format!("node {}", self.node().name);
        let permit = Arc::clone(&self.0.captures.streams).try_acquire_owned();
        let permit = permit.map_err(|_| ChangeError::Limit {
            what: "captures at a time",
            subject: subject(),
            limit: MOST_CAPTURES,
        })?;
        let key = self.captured_topology(&request)?;
        let stamps = Arc::clone(&self.0.captures.stamps);
        let look = |source| ChangeError::Look { key: key.clone(), source: Box::new(source) };
        let held = self.work(&key, move || Ok(stamps.hold())).await?;
        let held = held.map_err(|error| socket_error(&key, "a capture", error))?;
        let what = format!("{} of {key}", request.target.shown());
        let extent =
            Extent { snap_length: request.snap_length, max_frames: request.max_frames, duration: request.duration };
        let recording = Arc::new(Recording::start(extent).map_err(look)?);
        // Should this future be dropped, or fail, the thread ends with it.
        let reader = Reader(Arc::clone(&recording));
        let ports = Arc::clone(&self.0.captures.ports);
        let mut warden = Warden::new(self.clone(), key, request, recording, ports);
        warden.begin().await?;
        Ok(Capture { what, reader, warden: tokio::spawn(warden.watch()), _held: (held, permit) })
    }

    /// The topology that a capture is about.
    fn captured_topology(&self, request: &CaptureRequest) -> Result<TopologyKey, ChangeError> {
        let namespace = request.namespace.clone();
        let (None, CaptureTarget::Interface { owner, name }) = (&request.topology, &request.target) else {
            return Ok(TopologyKey { namespace, name: request.topology.clone().unwrap_or_default() });
        };
        let nic = NicKey { pod: self.0.pods.key(&namespace, owner), name: name.clone() };
        let ledger = self.ledger();
        let has = |key: &TopologyKey| ledger.intent(key).is_some_and(|intent| intent.nics().any(|each| *each == nic));
        let found = ledger.of_pod(&nic.pod).into_iter().find(|key| key.namespace == namespace && has(key));
        found.ok_or_else(|| ChangeError::NotFound {
            kind: "interface",
            name: format!("{owner}/{name} in any topology of namespace {namespace}"),
        })
    }
}

/// Who reads a recording: it ends with him.
#[derive(Debug)]
struct Reader(Arc<Recording>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.end(End::HungUp);
    }
}

/// Why a packet socket cannot be had.
pub(super) fn socket_error(key: &TopologyKey, needed_for: &str, error: KernelError) -> ChangeError {
    if error.is_no_such_socket() {
        let (feature, reason) = ("AF_PACKET".to_owned(), error.to_string());
        return ChangeError::Unsupported { feature, reason, needed_for: needed_for.to_owned() };
    }
    ChangeError::Look { key: key.clone(), source: Box::new(error) }
}
