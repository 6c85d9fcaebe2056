//! What a kubelet does with the pod of a DaemonSet.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value;
use tonic::Status;

use super::{
    Containerd, Sandbox, ask,
    calls::{NamespaceOption, Nothing, PodSandboxConfig},
    containers::{
        Capability, ContainerConfig, ContainerMetadata, ContainerName, ContainerStatus, ContainerStatusRequest,
        ContainerStatusResponse, CreateContainerRequest, ExecSyncRequest, ExecSyncResponse, ImageSpec, Int64Value,
        KeyValue, LinuxContainerConfig, LinuxContainerSecurityContext, Mount, StopContainerRequest,
    },
};
use crate::{
    condition::eventually,
    daemonset::{Container, Propagation},
};

/// States of a container, by CRI.
const RUNS: i32 = 1;
const ENDED: i32 = 2;

/// The sandbox of a DaemonSet's pod: containers are started in it one after the other.
#[derive(Debug)]
pub struct HostPod {
    id: String,
    config: PodSandboxConfig,
    namespaces: NamespaceOption,
    logs: PathBuf,
    attempts: u32,
}

/// A container that was started.
#[derive(Debug)]
pub struct Started {
    id: String,
    log: PathBuf,
}

impl Containerd {
    /// Makes the pod `name` of a DaemonSet with the namespaces that the manifest gives it.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn host_pod(&self, name: &str, manifest: &Container) -> Result<HostPod, Status> {
        let mut sandbox = Sandbox::of(name);
        sandbox.host_network = manifest.host_network;
        let mut config = sandbox.config(self.cgroups.parent());
        let logs = self.lab.directory().to_path_buf();
        config.log_directory = logs.display().to_string();
        let linux = config.linux.get_or_insert_default();
        let security = linux.security_context.get_or_insert_default();
        // As kubelet: one privileged container makes a privileged sandbox.
        security.privileged = manifest.privileged;
        let namespaces = security.namespace_options.get_or_insert_default();
        namespaces.pid = if manifest.host_pid { 2 } else { 1 };
        let namespaces = namespaces.clone();
        let id = self.run_config(config.clone()).await?;
        Ok(HostPod { id, config, namespaces, logs, attempts: 0 })
    }

    /// Starts the container of the manifest in its pod: image, command, environment, mounts, and what it may do.
    ///
    /// `given`: with these capabilities and no others instead of all, so not privileged.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn launch(
        &self,
        pod: &mut HostPod,
        manifest: &Container,
        given: Option<&[&str]>,
    ) -> Result<Started, Status> {
        for mount in manifest.mounts.iter().filter(|mount| mount.create) {
            fs::create_dir_all(&mount.host)?;
        }
        let short = |name: &&str| name.trim_start_matches("CAP_").to_owned();
        let capabilities = given.map(|names| Capability {
            add_capabilities: names.iter().map(short).collect(),
            drop_capabilities: vec!["ALL".to_owned()],
        });
        let from_manifest =
            Capability { add_capabilities: Vec::new(), drop_capabilities: manifest.drop_capabilities.clone() };
        let user = manifest.user.map(i64::try_from).transpose().map_err(|error| Status::internal(error.to_string()))?;
        let security = LinuxContainerSecurityContext {
            privileged: manifest.privileged && given.is_none(),
            capabilities: Some(capabilities.unwrap_or(from_manifest)),
            namespace_options: Some(pod.namespaces.clone()),
            run_as_user: user.map(|value| Int64Value { value }),
            readonly_rootfs: manifest.read_only_root,
        };
        let name = pod.config.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
        let log_path = format!("{name}-{}.log", pod.attempts);
        let variable = |(key, value): &(String, String)| KeyValue { key: key.clone(), value: value.clone() };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: manifest.name.clone(), attempt: pod.attempts }),
            image: Some(ImageSpec { image: manifest.image.clone() }),
            command: manifest.command.clone(),
            envs: manifest.environment.iter().map(variable).collect(),
            mounts: manifest.mounts.iter().map(mount).collect(),
            log_path: log_path.clone(),
            linux: Some(LinuxContainerConfig { security_context: Some(security) }),
        };
        pod.attempts += 1;
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.id.clone(),
            config: Some(config),
            sandbox_config: Some(pod.config.clone()),
        };
        let made: ContainerName = ask("CreateContainer", request).await?;
        let _: Nothing = ask("StartContainer", made.clone()).await?;
        Ok(Started { id: made.container_id, log: pod.logs.join(log_path) })
    }
}

impl Started {
    /// What it logged, as the runtime writes it down: a time and a stream before each line.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Runs a command in it, and returns how it ended and what it said.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn exec(&self, command: &[String], timeout: Duration) -> Result<(i32, String), Status> {
        let timeout = i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX);
        let request = ExecSyncRequest { container_id: self.id.clone(), cmd: command.to_vec(), timeout };
        let answer: ExecSyncResponse = ask("ExecSync", request).await?;
        let said = [answer.stdout, answer.stderr].concat();
        Ok((answer.exit_code, String::from_utf8_lossy(&said).into_owned()))
    }

    /// Waits until each probe of the manifest says that it is well.
    ///
    /// # Panics
    ///
    /// One does not, or the container ended.
    pub async fn becomes_well(&self, manifest: &Container) {
        for probe in &manifest.probes {
            eventually(probe.field, async || {
                let status = self.status().await.map_err(|status| status.to_string())?.0;
                assert_eq!(status.state, RUNS, "{status:?}\n{}", self.log());
                match self.exec(&probe.command, probe.timeout).await {
                    Ok((0, said)) => Ok(said),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        }
    }

    /// Its status, and the process id of its program on the node.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn status(&self) -> Result<(ContainerStatus, u64), Status> {
        let request = ContainerStatusRequest { container_id: self.id.clone(), verbose: true };
        let answer: ContainerStatusResponse = ask("ContainerStatus", request).await?;
        let info: Value = answer.info.get("info").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ok((answer.status.unwrap_or_default(), info["pid"].as_u64().unwrap_or_default()))
    }

    /// Asks it to leave, kills it after `grace`, and returns its exit code and how long it took.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn stop(&self, grace: Duration) -> Result<(i32, Duration), Status> {
        let (begun, timeout) = (Instant::now(), i64::try_from(grace.as_secs()).unwrap_or(i64::MAX));
        let _: Nothing = ask("StopContainer", StopContainerRequest { container_id: self.id.clone(), timeout }).await?;
        let took = begun.elapsed();
        Ok((self.ended().await, took))
    }

    /// Waits until it has ended by itself, and returns its exit code.
    ///
    /// # Panics
    ///
    /// It runs on.
    pub async fn ended(&self) -> i32 {
        let status = eventually("the container ends", async || match self.status().await {
            Ok((status, _)) if status.state == ENDED => Ok(status),
            other => Err(format!("{other:?}\n{}", self.log())),
        });
        status.await.exit_code
    }
}

fn mount(mount: &crate::daemonset::Mount) -> Mount {
    let propagation = match mount.propagation {
        Propagation::None => 0,
        Propagation::HostToContainer => 1,
        Propagation::Bidirectional => 2,
    };
    Mount {
        container_path: mount.container.display().to_string(),
        host_path: mount.host.display().to_string(),
        readonly: mount.read_only,
        propagation,
    }
}
