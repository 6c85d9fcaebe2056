//! What the groups of rows have at hand.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use podwire_proto::v1::{
    ApplyTopologyRequest, DeleteTopologyRequest, State, Topology, topology_service_client::TopologyServiceClient,
};
use podwire_tests::{
    elements::{state, states},
    lab::{Lab, agent::Agent},
};
use tokio::runtime::Runtime;
use tonic::{Request, transport::Channel};

use crate::{lesson::Lesson, place::Place};

/// How long a topology may take until it is READY: never for a time that is measured.
const PATIENCE: Duration = Duration::from_secs(20);

/// Panels that an agent parks unless told otherwise.
pub(crate) const PARKED: usize = 128;

/// The private kernel, and a runtime for the calls.
pub(crate) struct Bench {
    pub(crate) lab: Lab,
    pub(crate) runtime: Runtime,
    /// Only whether something broke.
    pub(crate) small: bool,
    /// Where the results go: on a real disk.
    pub(crate) out: PathBuf,
}

/// An agent under test, and the directory of its pods and panels.
pub(crate) struct Side {
    pub(crate) place: Place,
    pub(crate) agent: Agent,
    pub(crate) calls: TopologyServiceClient<Channel>,
}

/// Milliseconds.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Bench {
    /// Starts an agent on a directory of its own, with its store on a tmpfs, that parks so many panels.
    pub(crate) fn start(&self, name: &str, parked: usize) -> Result<Side> {
        self.start_with(name, &format!("/run/state-{name}"), parked)
    }

    /// A directory on a real disk.
    pub(crate) fn disk(&self) -> Result<PathBuf> {
        let path = self.out.join("disk");
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    pub(crate) fn start_with(&self, name: &str, state: &str, parked: usize) -> Result<Side> {
        let place = Place::new(&format!("netns-{name}"))?;
        let mut agent = self.lab.agent().listen(format!("unix:///run/{name}.sock"));
        agent = agent.with("--netns-dir", place.dir().display().to_string()).with("--state-dir", state);
        agent = agent.with("--parked-panels", parked.to_string()).arg("--log-level").arg("warn");
        self.runtime.block_on(async {
            let agent = agent.start().await;
            let calls = TopologyServiceClient::new(agent.channel()).max_decoding_message_size(64 << 20);
            Ok(Side { place, agent, calls })
        })
    }

    /// Ends an agent.
    pub(crate) fn stop(&self, mut side: Side) -> Result<()> {
        let status = self.runtime.block_on(side.agent.terminate());
        ensure!(status.success(), "the agent left with {status}\n{}", side.agent.log());
        Ok(())
    }

    /// One lesson, applied until READY and deleted: how long each took. Ends when nothing goes on any more.
    pub(crate) fn lesson(&self, side: &mut Side, name: &str, lesson: &Lesson) -> Result<(Duration, Duration)> {
        let topology = lesson.topology(name);
        let made = self.runtime.block_on(apply(&mut side.calls, topology))?;
        let deleted = self.runtime.block_on(delete(&mut side.calls, name))?;
        side.place.wait_until_quiet()?;
        Ok((made, deleted))
    }
}

/// Applies until READY, which it must become.
pub(crate) async fn apply(calls: &mut TopologyServiceClient<Channel>, topology: Topology) -> Result<Duration> {
    let message = ApplyTopologyRequest { topology: Some(topology), force: false, until_ready: true };
    let mut request = Request::new(message);
    request.set_timeout(PATIENCE);
    let began = Instant::now();
    let answer = calls.apply_topology(request).await?.into_inner();
    let took = began.elapsed();
    let topology = answer.topology.context("a topology")?;
    ensure!(state(&topology) == State::Ready, "not READY: {:?}", states(&topology));
    Ok(took)
}

/// Deletes.
pub(crate) async fn delete(calls: &mut TopologyServiceClient<Channel>, name: &str) -> Result<Duration> {
    let request = DeleteTopologyRequest { namespace: "lessons".into(), name: name.into(), generation: 0, force: true };
    let began = Instant::now();
    calls.delete_topology(request).await?;
    Ok(began.elapsed())
}
