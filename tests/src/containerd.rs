//! A real containerd in the private kernel, with sandboxes as the kubelet makes them.
//!
//! All its files are on the private `/run`, its sockets too; it dies with the private kernel, and its shims with it. Needs
//! root, Debian's packages containerd, runc, containernetworking-plugins and busybox-static.

pub mod calls;
pub mod cgroups;
pub mod containers;
pub mod image;
pub mod kubelet;
mod network;
mod prepare;

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use podwire_proto::cri::{
    ListPodSandboxRequest, ListPodSandboxResponse, PodSandbox, PodSandboxStatusRequest, PodSandboxStatusResponse,
};
use serde_json::Value;
use tonic::Status;

use self::{
    calls::{
        IdMapping, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceOption, Nothing, PodSandboxConfig,
        PodSandboxMetadata, RunPodSandboxRequest, SandboxName, UserNamespace, call,
    },
    cgroups::Cgroups,
};
use crate::{
    condition::within,
    lab::{Lab, pod::Pod},
    manifest::output,
};

pub use network::FIRST_PEER;

/// Where its socket is: the usual place.
pub const SOCKET: &str = "/run/containerd/containerd.sock";

const IMAGE: &str = "localhost/pause:1";

/// How long containerd may take to start.
const START: Duration = Duration::from_secs(60);

/// Which containerd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// That of the machine. Debian 12: 1.6, which has no events.
    System,
    /// 1.7, with events.
    Events,
    /// 2.x.
    Newest,
}

impl Version {
    /// The folder of its executables; `None`: it is not on this machine.
    fn folder(self) -> Option<PathBuf> {
        let folder = match self {
            Self::System => return which("containerd")?.parent().map(Path::to_path_buf),
            Self::Events => "trixie",
            Self::Newest => "forky",
        };
        // Where .ci/run puts them.
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
        let folder = root.join("target/ci/containerd").join(folder).join("usr/bin");
        folder.join("containerd").is_file().then_some(folder)
    }
}

/// What is missing on this machine for a containerd of this version; `None`: nothing.
pub fn missing(version: Version) -> Option<String> {
    if !nix::unistd::geteuid().is_root() {
        return Some("containerd needs root".to_owned());
    }
    let packages = "apt-get install --no-install-recommends containerd runc containernetworking-plugins busybox-static";
    for program in ["containerd", "runc", "busybox"] {
        if which(program).is_none() {
            return Some(format!("no `{program}`: {packages}"));
        }
    }
    if !Path::new("/usr/lib/cni/bridge").is_file() {
        return Some(format!("no CNI plugins in /usr/lib/cni: {packages}"));
    }
    match version.folder() {
        Some(_) => None,
        None => Some(format!("no containerd for {version:?}: .ci/run fetches it to target/ci/containerd")),
    }
}

fn which(program: &str) -> Option<PathBuf> {
    let path = format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default());
    path.split(':').map(|folder| Path::new(folder).join(program)).find(|candidate| candidate.is_file())
}

/// A sandbox that is to be made.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pod: String,
    uid: String,
    host_network: bool,
    user_namespace: bool,
    attempt: u32,
}

impl Sandbox {
    /// Of the pod of this name in the namespace `lessons`.
    pub fn of(pod: &str) -> Self {
        let uid = format!("uid-of-{pod}");
        Self { pod: pod.to_owned(), uid, host_network: false, user_namespace: false, attempt: 0 }
    }

    /// Of a pod with this UID.
    pub fn uid(self, uid: &str) -> Self {
        Self { uid: uid.to_owned(), ..self }
    }

    /// In the network of the node.
    pub fn host_network(self) -> Self {
        Self { host_network: true, ..self }
    }

    /// In a user namespace of its own.
    pub fn user_namespace(self) -> Self {
        Self { user_namespace: true, ..self }
    }

    /// The how manieth of its pod.
    pub fn attempt(self, attempt: u32) -> Self {
        Self { attempt, ..self }
    }

    fn config(self, cgroup_parent: String) -> PodSandboxConfig {
        let labels = [("name", &self.pod), ("namespace", &"lessons".to_owned()), ("uid", &self.uid)]
            .map(|(label, value)| (format!("io.kubernetes.pod.{label}"), value.clone()));
        let ids = || vec![IdMapping { host_id: 200_000, container_id: 0, length: 65536 }];
        let userns_options = self.user_namespace.then(|| UserNamespace { mode: 0, uids: ids(), gids: ids() });
        let network = if self.host_network { 2 } else { 0 };
        let options = NamespaceOption { network, pid: 0, userns_options };
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: self.pod.clone(),
                uid: self.uid,
                namespace: "lessons".to_owned(),
                attempt: self.attempt,
            }),
            // A pod in the node's network has the node's name too.
            hostname: if self.host_network { String::new() } else { self.pod },
            log_directory: String::new(),
            labels: labels.into(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent,
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(options),
                    privileged: false,
                }),
            }),
        }
    }
}

/// A containerd that runs.
#[derive(Debug)]
pub struct Containerd {
    lab: Lab,
    folder: PathBuf,
    child: Option<Child>,
    // Last: what is still in it dies then.
    cgroups: Cgroups,
}

impl Containerd {
    /// Starts one and gives it an image.
    ///
    /// # Panics
    ///
    /// It does not start; says what it logged.
    pub async fn start(lab: &Lab, version: Version) -> Self {
        let folder = version.folder().unwrap_or_else(|| panic!("no containerd: {version:?}"));
        let prepared = prepare::prepare(lab).unwrap_or_else(|error| panic!("prepare for containerd: {error:#}"));
        let mut containerd = Self { lab: lab.clone(), folder, child: None, cgroups: prepared };
        containerd.again().await;
        let image = lab.directory().join("image");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/image.sh");
        let mut pack = Command::new(script);
        pack.arg(&image).args([IMAGE, "/bin/busybox", "sh", "-c", network::FIRST_PROCESS]);
        succeed(&mut pack).unwrap_or_else(|error| panic!("{error:#}"));
        let mut import = Command::new(containerd.folder.join("ctr"));
        import.args(["-n", "k8s.io", "images", "import"]).arg(image.join("image.tar"));
        succeed(&mut import).unwrap_or_else(|error| panic!("{error:#}\n{}", containerd.log()));
        containerd
    }

    /// Whether its CRI has events: since 1.7.
    ///
    /// # Panics
    ///
    /// It does not say its version.
    pub fn has_events(&self) -> bool {
        // containerd github.com/containerd/containerd 1.6.20~ds1 …
        let said = output(Command::new(self.folder.join("containerd")).arg("--version"));
        let said = said.unwrap_or_else(|error| panic!("{error:#}"));
        let version = said.split_whitespace().nth(2).unwrap_or_default().trim_start_matches('v');
        let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or_else(|_| panic!("{said}")));
        (parts.next(), parts.next()) >= (Some(1), Some(7))
    }

    /// Starts it again after [`Self::kill`], and waits until it answers.
    ///
    /// # Panics
    ///
    /// It does not.
    pub async fn again(&mut self) {
        self.spawn();
        within(START, "containerd answers", async || self.list().await).await;
    }

    /// Starts it again, ready or not.
    ///
    /// # Panics
    ///
    /// It cannot be run.
    pub fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.lab.directory().join("containerd.log"));
        let log = log.unwrap_or_else(|error| panic!("containerd.log: {error}"));
        let path = format!("{}:{}:/usr/sbin:/sbin", self.folder.display(), env::var("PATH").unwrap_or_default());
        let mut command = Command::new(self.folder.join("containerd"));
        command.arg("-c").arg(self.lab.directory().join("containerd.toml")).env("PATH", path);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().unwrap_or_else(|error| panic!("run containerd: {error}")));
    }

    /// Ends it by a signal and waits for its end. Sandboxes go on.
    ///
    /// # Panics
    ///
    /// It does not run.
    pub fn kill(&mut self, signal: Signal) {
        let mut child = self.child.take().unwrap_or_else(|| panic!("containerd does not run"));
        let pid = i32::try_from(child.id()).unwrap_or_default();
        kill(Pid::from_raw(pid), signal)
            .and_then(|()| child.wait().map_err(|_| nix::errno::Errno::ECHILD))
            .unwrap_or_else(|error| panic!("kill containerd: {error}"));
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.lab.directory().join("containerd.log")).unwrap_or_default()
    }

    /// Makes a sandbox and returns its id.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn run(&self, sandbox: Sandbox) -> Result<String, Status> {
        self.run_config(sandbox.config(self.cgroups.parent())).await
    }

    async fn run_config(&self, config: PodSandboxConfig) -> Result<String, Status> {
        let request = RunPodSandboxRequest { config: Some(config) };
        let made: SandboxName = ask("RunPodSandbox", request).await?;
        Ok(made.pod_sandbox_id)
    }

    /// Makes a sandbox of the pod of this name in the namespace `lessons`, and returns its id.
    ///
    /// # Panics
    ///
    /// It cannot be made.
    pub async fn pod(&self, name: &str) -> String {
        self.run(Sandbox::of(name)).await.unwrap_or_else(|status| panic!("{name}: {status}\n{}", self.log()))
    }

    /// Stops a sandbox: it becomes NOTREADY and loses its network.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn stop(&self, id: &str) -> Result<(), Status> {
        let _: Nothing = ask("StopPodSandbox", SandboxName { pod_sandbox_id: id.to_owned() }).await?;
        Ok(())
    }

    /// Stops and removes a sandbox.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn remove(&self, id: &str) -> Result<(), Status> {
        self.stop(id).await?;
        let _: Nothing = ask("RemovePodSandbox", SandboxName { pod_sandbox_id: id.to_owned() }).await?;
        Ok(())
    }

    /// All sandboxes.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn list(&self) -> Result<Vec<PodSandbox>, Status> {
        let listed: ListPodSandboxResponse = ask("ListPodSandbox", ListPodSandboxRequest {}).await?;
        Ok(listed.items)
    }

    /// The network of a sandbox, as a pod of the lab: the runtime mounts it where named network namespaces are.
    ///
    /// # Panics
    ///
    /// It has none.
    pub async fn netns(&self, id: &str) -> Pod {
        let question = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
        let answer: Result<PodSandboxStatusResponse, Status> = ask("PodSandboxStatus", question).await;
        let answer = answer.unwrap_or_else(|status| panic!("{status}"));
        let info: Value = serde_json::from_str(&answer.info["info"]).unwrap_or_default();
        let namespaces = info["runtimeSpec"]["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
        let network = namespaces.iter().find(|each| each["type"] == "network");
        let name = network.and_then(|network| network["path"].as_str()?.rsplit('/').next());
        Pod::new(&self.lab, name.unwrap_or_else(|| panic!("sandbox {id} has no network namespace")))
    }

    /// Removes all sandboxes.
    ///
    /// # Panics
    ///
    /// One cannot be removed.
    pub async fn clear(&self) {
        for sandbox in self.list().await.unwrap_or_default() {
            self.remove(&sandbox.id).await.unwrap_or_else(|status| panic!("remove {}: {status}", sandbox.id));
        }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().and_then(|()| child.wait());
        }
    }
}

async fn ask<Q, A>(method: &str, question: Q) -> Result<A, Status>
where
    Q: prost::Message + 'static,
    A: prost::Message + Default + 'static,
{
    call(&format!("unix://{SOCKET}"), method, question).await
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
