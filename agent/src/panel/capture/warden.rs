//! Who looks after a capture: opens its ports, follows them, and ends it when what is captured is gone.
//!
//! A socket inside a pod holds the pod's namespace, and with it the device that is looked at: nothing in the kernel
//! would ever tell that the pod has ended. So the source of pods is asked, at every event of the topology and at least
//! once a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{MissedTickBehavior, interval},
};

use crate::{
    domain::{
        desired::desired, device::panel_name, intent::PodKey, name::TopologyKey, observed::SandboxId,
        violation::Violation,
    },
    kernel::{
        Devices, End, KernelError, Netns, NetnsDir, NetnsError, PacketSocket, PodDoor, Port, Recording, Sight, sight,
    },
    pods::{Pods, Wanted},
};

use super::{
    super::{engine::Engine, error::ChangeError},
    CaptureRequest, CaptureTarget, MOST_PORTS, socket_error,
    source::{Place, Source, sources},
};

/// How often what no event tells of is looked at: sandboxes, and ports that are not there.
const TICK: Duration = Duration::from_secs(1);

/// Looks after one capture.
pub(super) struct Warden {
    engine: Engine,
    key: TopologyKey,
    request: CaptureRequest,
    recording: Arc<Recording>,
    permits: Arc<Semaphore>,
    /// The places that are looked at, by name, and the sandboxes of those inside pods.
    attached: BTreeMap<String, (Place, Option<SandboxId>)>,
    /// Something that no event tells of may change.
    restless: bool,
}

/// What came of opening a place.
enum Opened {
    Socket(PacketSocket, Option<SandboxId>),
    /// There is no such device, for now.
    Absent(String),
    /// The sandbox in which it was is not current any more.
    SandboxEnded,
}

impl Warden {
    pub(super) fn new(
        engine: Engine,
        key: TopologyKey,
        request: CaptureRequest,
        recording: Arc<Recording>,
        permits: Arc<Semaphore>,
    ) -> Self {
        Self { engine, key, request, recording, permits, attached: BTreeMap::new(), restless: false }
    }

    /// Opens what is there.
    ///
    /// # Errors
    ///
    /// There is no such thing, or no port of it yet.
    pub(super) async fn begin(&mut self) -> Result<(), ChangeError> {
        let absent = self.look().await?;
        match absent {
            Some(message) if self.attached.is_empty() && !matches!(self.request.target, CaptureTarget::Bridge(_)) => {
                let (what, key) = (self.request.target.shown(), &self.key);
                let message = format!("{message}: capture it when it is READY");
                Err(ChangeError::NotPlugged { what: format!("{what} of {key}"), message })
            }
            _ => Ok(()),
        }
    }

    /// Follows what happens until the capture ends.
    pub(super) async fn watch(mut self) {
        let mut token = self.engine.events().latest();
        // What happened between the first look and the token.
        self.look_again().await;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.recording.ended().is_none() {
            let events = self.engine.events();
            tokio::select! {
                event = events.after(token) => match event {
                    Ok(event) => {
                        token = event.token;
                        if event.key != self.key {
                            continue;
                        }
                    }
                    Err(_) => token = events.latest(),
                },
                () = self.recording.lost() => {}
                _ = tick.tick(), if self.restless => {}
            }
            self.look_again().await;
        }
    }

    async fn look_again(&mut self) {
        match self.look().await {
            Ok(_) => {}
            Err(ChangeError::NotFound { kind: "topology", .. }) => self.gone("its topology was deleted".to_owned()),
            Err(ChangeError::NotFound { kind, name }) => self.gone(format!("{kind} {name} was removed")),
            Err(ChangeError::Ended { why, .. }) => self.gone(why),
            Err(error) => {
                tracing::warn!(topology = %self.key, error = %error, "a capture cannot be looked after for now");
                self.restless = true;
            }
        }
    }

    fn gone(&self, why: String) {
        self.recording.end(End::Gone(why));
    }

    /// Compares what shall be captured with what is, and opens and closes what differs. Returns why something that
    /// shall be captured is not there.
    async fn look(&mut self) -> Result<Option<String>, ChangeError> {
        let key = self.key.clone();
        let _turn = self.engine.0.turns.take(&key).await;
        let intent = self.engine.ledger().intent(&key);
        let intent = intent.ok_or_else(|| ChangeError::NotFound { kind: "topology", name: key.to_string() })?;
        let wanted = sources(&intent.spec, &desired(&intent), &self.request.target)?;
        let stays = |name: &String, place: &Place| wanted.iter().any(|each| each.name == *name && each.place == *place);
        let recording = Arc::clone(&self.recording);
        self.attached.retain(|name, (place, _)| {
            let stays = stays(name, place);
            if !stays {
                recording.remove(name);
            }
            stays
        });
        let missing: BTreeSet<String> =
            wanted.iter().filter(|each| !self.recording.has(&each.name)).map(|each| each.name.clone()).collect();
        let permits = self.permits(missing.len())?;
        let entering = !matches!(self.request.target, CaptureTarget::Interface { .. });
        let (program, snap_length) = (self.request.filter.clone(), self.request.snap_length);
        let ports = wanted.len();
        let opening = Opening {
            panel: panel_name(&key),
            dir: self.engine.netns_dir(),
            pods: Arc::clone(&self.engine.0.pods),
            known: self.attached.iter().filter_map(|(name, (_, s))| Some((name.clone(), s.clone()?))).collect(),
            missing,
            sight: Box::new(move |place: &Place| {
                sight(program.as_ref(), snap_length, entering.then_some(place.side()), ports)
            }),
        };
        let of = key.clone();
        let opened = self.engine.work(&key, move || opening.open(wanted).map_err(|error| refused(&of, error))).await?;
        self.take(opened, permits)
    }

    /// Hands what was opened to the recording.
    fn take(
        &mut self,
        opened: Vec<(Source, Opened)>,
        mut permits: Vec<OwnedSemaphorePermit>,
    ) -> Result<Option<String>, ChangeError> {
        let mut absent = None;
        for (source, opened) in opened {
            let Source { name, description, place } = source;
            match opened {
                Opened::SandboxEnded => {
                    let why = format!("the sandbox of {name} ended");
                    return Err(ChangeError::Ended { what: name, why });
                }
                Opened::Absent(why) => absent = Some(why),
                Opened::Socket(socket, sandbox) => {
                    let Some(permit) = permits.pop() else { continue };
                    let side = place.side();
                    self.attached.insert(name.clone(), (place, sandbox));
                    self.recording.add(Port { name, description, socket, side, permit });
                }
            }
        }
        let inside = self.attached.values().any(|(place, _)| matches!(place, Place::Pod(..)));
        self.restless = absent.is_some() || inside;
        Ok(absent)
    }

    fn permits(&self, count: usize) -> Result<Vec<OwnedSemaphorePermit>, ChangeError> {
        let permits = (0..count).map(|_| Arc::clone(&self.permits).try_acquire_owned());
        permits.collect::<Result<_, _>>().map_err(|_| ChangeError::Limit {
            what: "ports captured at a time",
            subject: format!("node {}", self.engine.node().name),
            limit: MOST_PORTS,
        })
    }
}

/// The work that blocks.
struct Opening {
    panel: String,
    dir: NetnsDir,
    pods: Arc<dyn Pods>,
    /// The sandboxes in which places were, by their names.
    known: BTreeMap<String, SandboxId>,
    /// Names of the places that are to be opened.
    missing: BTreeSet<String>,
    sight: Box<dyn Fn(&Place) -> Sight + Send + Sync>,
}

impl Opening {
    /// Opens what is missing and checks the sandboxes of the rest.
    fn open(&self, wanted: Vec<Source>) -> Result<Vec<(Source, Opened)>, Refused> {
        let (inside, in_panel): (Vec<_>, Vec<_>) =
            wanted.into_iter().partition(|source| matches!(source.place, Place::Pod(..)));
        let in_panel = in_panel.into_iter().filter(|source| self.missing.contains(&source.name)).collect();
        let mut opened = self.in_panel(in_panel)?;
        opened.extend(self.inside(inside)?);
        Ok(opened)
    }

    fn in_panel(&self, wanted: Vec<Source>) -> Result<Vec<(Source, Opened)>, Refused> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let netns = match Netns::open(&self.dir.path(&self.panel)) {
            Ok(netns) => netns,
            Err(NetnsError::Kernel(error)) => return Err(error.into()),
            Err(error) => {
                let absent = |source| (source, Opened::Absent(error.to_string()));
                return Ok(wanted.into_iter().map(absent).collect());
            }
        };
        let open = || -> Result<Vec<_>, KernelError> {
            let sights: Vec<_> =
                wanted.iter().map(|source| (source.place.device(), (self.sight)(&source.place))).collect();
            Ok(PacketSocket::open_all(&Devices::here()?, &sights))
        };
        let sockets = netns.run(open)??;
        wanted.into_iter().zip(sockets).map(|(source, socket)| Ok((source, opened(socket, None)?))).collect()
    }

    fn inside(&self, wanted: Vec<Source>) -> Result<Vec<(Source, Opened)>, Refused> {
        let mut all = Vec::new();
        for source in wanted {
            let Place::Pod(pod, _) = &source.place else { continue };
            let came = match self.door(pod)? {
                Some((netns, sandbox)) => match self.known.get(&source.name) {
                    Some(known) if *known != sandbox => Opened::SandboxEnded,
                    _ if self.missing.contains(&source.name) => {
                        let sight = (self.sight)(&source.place);
                        let open = || PacketSocket::open(&Devices::here()?, source.place.device(), &sight);
                        opened(netns.run(open)?, Some(sandbox))?
                    }
                    _ => continue,
                },
                None if self.known.contains_key(&source.name) => Opened::SandboxEnded,
                None => Opened::Absent(format!("pod {} is not there", pod.owner)),
            };
            all.push((source, came));
        }
        Ok(all)
    }

    fn door(&self, pod: &Wanted) -> Result<Option<(Netns, SandboxId)>, Refused> {
        let mut found: BTreeMap<PodKey, PodDoor> = self.pods.find(std::slice::from_ref(pod))?;
        Ok(match found.pop_first() {
            Some((_, PodDoor::Open(netns, sandbox))) => Some((netns, sandbox)),
            Some((_, PodDoor::Absent(_) | PodDoor::Refused(_))) | None => None,
        })
    }
}

fn opened(socket: Result<PacketSocket, KernelError>, sandbox: Option<SandboxId>) -> Result<Opened, KernelError> {
    match socket {
        Ok(socket) => Ok(Opened::Socket(socket, sandbox)),
        Err(error) if error.is_gone() => Ok(Opened::Absent(error.to_string())),
        Err(error) => Err(error),
    }
}

/// Why places cannot be opened.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Pods(#[from] crate::pods::PodsError),
}

fn refused(key: &TopologyKey, refused: Refused) -> ChangeError {
    match refused {
        Refused::Pods(error) => error.into(),
        Refused::Kernel(error) if error.is_bad_filter() => {
            let problem = format!("the kernel takes each of its instructions, but not the program: {error}");
            ChangeError::Invalid(vec![Violation::new("filter", problem)])
        }
        Refused::Kernel(error) => socket_error(key, "a capture", error),
    }
}
