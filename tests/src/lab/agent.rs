//! The real agent in a lab: started, asked, killed.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fs::{self, File},
    future::Future,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use podwire_proto::v1::{self, Topology};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    condition::{PATIENCE, eventually},
    lab::Lab,
    netns,
};

/// Where the agent listens unless a test says otherwise: its own default.
pub const SOCKET: &str = "unix:///run/podwire/agent.sock";

/// How agents of tests treat system calls that are not on their list, where the environment does not say it: whatever a test
/// needs must be there.
pub const SECCOMP: &str = "PODWIRE_SECCOMP";

/// The value of [`SECCOMP`] for an agent of a test. `log` shows in the kernel's log what the list lacks.
pub fn seccomp() -> String {
    env::var(SECCOMP).unwrap_or_else(|_| "enforce".to_owned())
}

/// Flags for an agent that is to be started.
#[derive(Debug)]
pub struct AgentBuilder {
    lab: Lab,
    address: String,
    settings: BTreeMap<&'static str, String>,
    args: Vec<String>,
    within: Vec<String>,
    environment: Vec<(String, String)>,
}

impl AgentBuilder {
    pub(crate) fn new(lab: &Lab) -> Self {
        let settings = [
            ("--pods", "netns".to_owned()),
            ("--netns-dir", netns::DIRECTORY.to_owned()),
            ("--state-dir", lab.directory().join("state").display().to_string()),
            ("--node-name", "lab".to_owned()),
            // So that what is left is a mistake.
            ("--parked-panels", "0".to_owned()),
        ];
        Self {
            lab: lab.clone(),
            address: SOCKET.to_owned(),
            settings: settings.into(),
            args: Vec::new(),
            within: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Adds a flag or its value.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Listens here, and only here.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.address = address.into();
        self
    }

    /// Gives a setting another value than the one that all tests have.
    pub fn with(mut self, flag: &'static str, value: impl Into<String>) -> Self {
        self.settings.insert(flag, value.into());
        self
    }

    /// Runs a subcommand with the settings of the agent that concern it, and waits for its end.
    ///
    /// # Panics
    ///
    /// The binary cannot be run.
    pub fn run(&self, subcommand: &str, args: &[&str]) -> Output {
        let mut command = Command::new(self.lab.binary("podwire-agent"));
        let shared = self.settings.iter().filter(|(flag, _)| !matches!(**flag, "--node-name" | "--parked-panels"));
        command.arg(subcommand).args(shared.flat_map(|(flag, value)| [*flag, value])).args(args).stdin(Stdio::null());
        command.output().unwrap_or_else(|error| panic!("run podwire-agent: {error}"))
    }

    /// Runs it by a program that execs what follows its own arguments, as `setpriv` and `unshare` do.
    pub fn within<S: Into<String>>(mut self, program: impl IntoIterator<Item = S>) -> Self {
        self.within.extend(program.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Starts the process, ready or not.
    ///
    /// # Panics
    ///
    /// The binary cannot be run.
    pub fn spawn(self) -> Agent {
        let log = self.lab.directory().join(format!("agent-{}.log", self.lab.number()));
        let mut words: Vec<OsString> = self.within.iter().map(OsString::from).collect();
        words.push(self.lab.binary("podwire-agent").into());
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .env(SECCOMP, seccomp())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .args(["--listen", &self.address])
            .args(self.settings.iter().flat_map(|(flag, value)| [*flag, value]))
            .args(&self.args);
        let file = File::create(&log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("run podwire-agent: {error}"));
        Agent { address: self.address, child, log }
    }

    /// Starts the process and waits until it answers that it serves.
    ///
    /// # Panics
    ///
    /// It ends or does not serve in time.
    pub async fn start(self) -> Agent {
        let mut agent = self.spawn();
        eventually("the agent serves", async || agent.check().await).await;
        agent
    }
}

/// An agent that was started. Killed with the lab, or when a test says so.
#[derive(Debug)]
pub struct Agent {
    address: String,
    child: Child,
    log: PathBuf,
}

impl Agent {
    /// Its address, as for `--agent`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    ///
    /// # Panics
    ///
    /// Never: pids fit.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap_or_else(|error| panic!("{error}")))
    }

    /// Where it logs.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    async fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            panic!("the agent ended: {status}\n{}", self.log());
        }
        let channel = Endpoint::try_from(self.address.replace("tcp://", "http://"))?.connect().await?;
        let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await?.into_inner();
        if answer.status != 1 {
            bail!("health is {}", answer.status);
        }
        Ok(())
    }

    /// A connection to it.
    ///
    /// # Panics
    ///
    /// The address is none.
    pub fn channel(&self) -> Channel {
        let endpoint = Endpoint::try_from(self.address.replace("tcp://", "http://"));
        endpoint.unwrap_or_else(|error| panic!("{}: {error}", self.address)).connect_lazy()
    }

    /// Kills it at once, as a crash would.
    ///
    /// # Panics
    ///
    /// It is gone already.
    pub fn kill(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).unwrap_or_else(|error| panic!("kill the agent: {error}"));
    }

    /// Asks it to leave and waits until it has.
    ///
    /// # Panics
    ///
    /// It is gone already, or does not leave.
    pub async fn terminate(&mut self) -> ExitStatus {
        kill(self.pid(), Signal::SIGTERM).unwrap_or_else(|error| panic!("terminate the agent: {error}"));
        self.ended().await
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// It does not.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("the agent leaves", async || self.child.try_wait()?.context("it runs")).await
    }

    /// The typed client that schedulers use.
    ///
    /// # Panics
    ///
    /// It cannot connect.
    pub async fn client(&self) -> podwire_client::Client {
        podwire_client::Client::connect(&self.address).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The bare service, for what the typed client does not let one say.
    pub fn topologies(&self) -> v1::topology_service_client::TopologyServiceClient<Channel> {
        v1::topology_service_client::TopologyServiceClient::new(self.channel())
    }

    /// As [`Self::topologies`].
    pub fn bridges(&self) -> v1::bridge_service_client::BridgeServiceClient<Channel> {
        v1::bridge_service_client::BridgeServiceClient::new(self.channel())
    }

    /// As [`Self::topologies`].
    pub fn links(&self) -> v1::link_service_client::LinkServiceClient<Channel> {
        v1::link_service_client::LinkServiceClient::new(self.channel())
    }

    /// As [`Self::topologies`].
    pub fn attachments(&self) -> v1::attachment_service_client::AttachmentServiceClient<Channel> {
        v1::attachment_service_client::AttachmentServiceClient::new(self.channel())
    }

    /// As [`Self::topologies`].
    pub fn node(&self) -> v1::node_service_client::NodeServiceClient<Channel> {
        v1::node_service_client::NodeServiceClient::new(self.channel())
    }

    /// As [`Self::topologies`].
    pub fn netns(&self) -> v1::netns_service_client::NetnsServiceClient<Channel> {
        v1::netns_service_client::NetnsServiceClient::new(self.channel())
    }

    /// Applies a topology without waiting for pods that are not there.
    ///
    /// # Errors
    ///
    /// The agent's answer.
    pub async fn apply(&self, topology: Topology) -> Result<Topology, Status> {
        self.apply_request(v1::ApplyTopologyRequest { topology: Some(topology), force: false, until_ready: false })
            .await
    }

    /// Applies a topology and waits until all of it is READY, or for `patience`.
    ///
    /// # Errors
    ///
    /// The agent's answer.
    pub async fn apply_until_ready(&self, topology: Topology, patience: Duration) -> Result<Topology, Status> {
        let message = v1::ApplyTopologyRequest { topology: Some(topology), force: false, until_ready: true };
        let mut request = Request::new(message);
        request.set_timeout(patience);
        found(self.topologies().apply_topology(request).await?.into_inner().topology)
    }

    /// Applies.
    ///
    /// # Errors
    ///
    /// The agent's answer.
    pub async fn apply_request(&self, request: v1::ApplyTopologyRequest) -> Result<Topology, Status> {
        let mut request = Request::new(request);
        request.set_timeout(PATIENCE);
        found(self.topologies().apply_topology(request).await?.into_inner().topology)
    }

    /// A topology of the namespace `lessons`, as it is now.
    ///
    /// # Errors
    ///
    /// The agent's answer.
    pub async fn get(&self, name: &str) -> Result<Topology, Status> {
        let request = v1::GetTopologyRequest { namespace: "lessons".into(), name: name.into() };
        found(self.topologies().get_topology(request).await?.into_inner().topology)
    }

    /// Deletes a topology of the namespace `lessons`.
    ///
    /// # Errors
    ///
    /// The agent's answer.
    pub async fn delete(&self, name: &str) -> Result<(), Status> {
        let request =
            v1::DeleteTopologyRequest { namespace: "lessons".into(), name: name.into(), generation: 0, force: true };
        self.topologies().delete_topology(request).await.map(drop)
    }
}

fn found(topology: Option<Topology>) -> Result<Topology, Status> {
    topology.ok_or_else(|| Status::new(Code::Internal, "an answer without a topology"))
}

/// The answer of a call that must fail.
///
/// # Panics
///
/// It succeeds.
pub async fn refused<T: std::fmt::Debug>(call: impl Future<Output = Result<T, Status>>) -> Status {
    match call.await {
        Ok(answer) => panic!("not refused: {answer:?}"),
        Err(status) => status,
    }
}
