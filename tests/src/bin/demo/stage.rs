//! The demonstration itself, inside the private kernel.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    net::if_::if_nameindex,
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use podwire_client::Client;
use podwire_proto::v1::{Interface, attachment::Target, interface::Owner};
use podwire_tests::{binaries, echo::echo, netns};

use crate::page::{heading, line, milliseconds, step, timed};

const AGENT: &str = "unix:///run/podwire/agent.sock";
const PODS: [&str; 3] = ["bb1", "bb2", "bb3"];
const MANIFESTS: [&str; 2] = ["deploy/examples/busybox_networks.yaml", "deploy/examples/busybox_pods.yaml"];
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays all steps. Whatever fails, everything dies with the private kernel.
pub(crate) fn play() -> Result<ExitCode> {
    let (mut stage, started) = (Stage::new()?, Instant::now());
    heading("podwire: three pods, three LANs, every pair pings");
    line("");
    let ((), took) = timed(|| stage.start_agent())?;
    step("agent", &format!("serves at {AGENT}"), took);
    let (_, took) = timed(|| stage.podwire(&["netns", "create", PODS[0], PODS[1], PODS[2]]))?;
    step("pods", &format!("{} (throw-away network namespaces)", PODS.join(", ")), took);
    let [networks, pods] = MANIFESTS;
    let apply = ["apply", "--yes", "--topology", "triangle", "-f", networks, "-f", pods, "--until-ready"];
    let (_, took) = timed(|| stage.podwire(&apply))?;
    step("apply", &MANIFESTS.map(|path| path.trim_start_matches("deploy/examples/")).join(", "), took);
    let (shown, took) = timed(|| stage.podwire(&["show", "triangle"]))?;
    step("show", "podwire show triangle", took);
    line("");
    shown.lines().for_each(|shown| line(format!("    {shown}").trim_end()));
    line("");
    ping_all()?;
    let (_, took) = timed(|| stage.podwire(&["delete", "triangle", "--yes"]))?;
    step("delete", "triangle: its interfaces, ports, bridges and panel", took);
    let (_, took) = timed(|| stage.podwire(&["netns", "delete", PODS[0], PODS[1], PODS[2]]))?;
    step("pods", "removed", took);
    let ((), took) = timed(|| stage.stop_agent())?;
    step("agent", "left", took);
    nothing_left()?;
    line("");
    heading(&format!("Nothing is left behind. All of it took {}.", milliseconds(started.elapsed())));
    Ok(ExitCode::SUCCESS)
}

struct Stage {
    binaries: PathBuf,
    checkout: PathBuf,
    agent: Option<Child>,
}

impl Stage {
    fn new() -> Result<Self> {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the checkout")?.to_path_buf();
        Ok(Self { binaries: binaries::directory()?.to_path_buf(), checkout, agent: None })
    }

    fn start_agent(&mut self) -> Result<()> {
        let log = fs::File::create("/run/agent.log")?;
        let mut agent = Command::new(self.binaries.join("podwire-agent"))
            .args(["--listen", AGENT, "--pods", "netns", "--state-dir", "/run/podwire-state", "--node-name", "demo"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start podwire-agent")?;
        let ready = wait_for("the agent serves", || {
            if let Some(status) = agent.try_wait()? {
                bail!("the agent ended: {status}\n{}", fs::read_to_string("/run/agent.log")?);
            }
            client_call(async |client| client.get_node().await.map(drop)).map(Some).or(Ok(None))
        });
        self.agent = Some(agent);
        ready
    }

    /// Runs the real command and returns its output.
    fn podwire(&self, args: &[&str]) -> Result<String> {
        let output = Command::new(self.binaries.join("podwire"))
            .args(args)
            .env("PODWIRE_AGENT", AGENT)
            .current_dir(&self.checkout)
            .stdin(Stdio::null())
            .output()
            .context("run podwire")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let log = fs::read_to_string("/run/agent.log").unwrap_or_default();
            bail!("podwire {}\n{said}{}\n{log}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(said)
    }

    fn stop_agent(&mut self) -> Result<()> {
        let mut agent = self.agent.take().context("no agent")?;
        kill(Pid::from_raw(i32::try_from(agent.id())?), Signal::SIGTERM)?;
        let status = wait_for("the agent leaves", || Ok(agent.try_wait()?))?;
        ensure!(status.success(), "the agent left with {status}\n{}", fs::read_to_string("/run/agent.log")?);
        Ok(())
    }
}

/// An interface of a pod on a LAN.
struct End {
    pod: String,
    lan: String,
    address: IpAddr,
}

/// One ping in each of the six directions; a lost one is a failure.
fn ping_all() -> Result<()> {
    let ends = ends()?;
    let mut done = Vec::new();
    for from in &ends {
        for to in ends.iter().filter(|to| to.lan == from.lan && to.pod != from.pod) {
            let took = echo(&from.pod, to.address, Duration::from_secs(1))?;
            done.push((from, to, took));
        }
    }
    ensure!(done.len() == 6, "{} directions, not six", done.len());
    for (from, to, took) in done {
        step("ping", &format!("{} to {}  {:<12} by {}", from.pod, to.pod, to.address, from.lan), took);
    }
    Ok(())
}

/// What the agent says is plugged where.
fn ends() -> Result<Vec<End>> {
    let topology = client_call(async |client| client.get_topology("default", "triangle").await)?;
    topology
        .attachments
        .into_iter()
        .map(|attachment| {
            let interface: Interface = attachment.interface.context("an interface")?;
            let Some(Owner::Pod(pod)) = interface.owner else { bail!("not of a pod: {interface:?}") };
            let Some(Target::Bridge(lan)) = attachment.target else { bail!("not on a bridge") };
            let status = interface.status.context("a status")?;
            let first = status.addresses.first().context("an address")?;
            Ok(End { pod, lan, address: first.split('/').next().unwrap_or(first).parse()? })
        })
        .collect()
}

/// Calls the agent by the typed client.
fn client_call<T>(call: impl AsyncFnOnce(Client) -> Result<T, podwire_client::Error>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Ok(call(Client::connect(AGENT).await?).await?) })
}

/// No named network namespace, no device but the loopback, no socket.
fn nothing_left() -> Result<()> {
    let left = fs::read_dir(netns::DIRECTORY)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
    ensure!(left.is_empty(), "network namespaces are left: {left:?}");
    let devices = if_nameindex()?;
    let names: Vec<_> = devices.iter().map(|device| device.name().to_string_lossy().into_owned()).collect();
    ensure!(names == ["lo"], "devices are left: {names:?}");
    ensure!(!fs::exists("/run/podwire/agent.sock")?, "the socket is left");
    Ok(())
}

fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let started = Instant::now();
    loop {
        if let Some(value) = condition()? {
            return Ok(value);
        }
        ensure!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(1));
    }
}
