//! The calls of CRI by which the kubelet makes containers: only what a test needs, with the numbers of
//! pkg/apis/runtime/v1/api.proto of <https://github.com/kubernetes/cri-api>.

use std::collections::HashMap;

use prost::Message;

use super::calls::{NamespaceOption, PodSandboxConfig};

/// `CreateContainerRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct CreateContainerRequest {
    /// In which sandbox.
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
    /// What container.
    #[prost(message, optional, tag = "2")]
    pub config: Option<ContainerConfig>,
    /// What the sandbox was made of.
    #[prost(message, optional, tag = "3")]
    pub sandbox_config: Option<PodSandboxConfig>,
}

/// `ContainerConfig`.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerConfig {
    /// Whose.
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<ContainerMetadata>,
    /// Its file system.
    #[prost(message, optional, tag = "2")]
    pub image: Option<ImageSpec>,
    /// The program with its arguments.
    #[prost(string, repeated, tag = "3")]
    pub command: Vec<String>,
    /// Its environment.
    #[prost(message, repeated, tag = "6")]
    pub envs: Vec<KeyValue>,
    /// Directories of the node in it.
    #[prost(message, repeated, tag = "7")]
    pub mounts: Vec<Mount>,
    /// Its log, in the sandbox's directory of logs.
    #[prost(string, tag = "11")]
    pub log_path: String,
    /// What it may do.
    #[prost(message, optional, tag = "15")]
    pub linux: Option<LinuxContainerConfig>,
}

/// `ContainerMetadata`.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerMetadata {
    /// Its name in the pod.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The how manieth of its name.
    #[prost(uint32, tag = "2")]
    pub attempt: u32,
}

/// `ImageSpec`.
#[derive(Clone, PartialEq, Message)]
pub struct ImageSpec {
    /// Its name.
    #[prost(string, tag = "1")]
    pub image: String,
}

/// `KeyValue`.
#[derive(Clone, PartialEq, Message)]
pub struct KeyValue {
    /// The variable.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Its value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `Mount`.
#[derive(Clone, PartialEq, Message)]
pub struct Mount {
    /// Path in the container.
    #[prost(string, tag = "1")]
    pub container_path: String,
    /// Path on the node.
    #[prost(string, tag = "2")]
    pub host_path: String,
    /// Whether it is read-only.
    #[prost(bool, tag = "3")]
    pub readonly: bool,
    /// 0 private, 1 from the node to the container, 2 both ways.
    #[prost(int32, tag = "5")]
    pub propagation: i32,
}

/// `LinuxContainerConfig`.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxContainerConfig {
    /// What it may do.
    #[prost(message, optional, tag = "2")]
    pub security_context: Option<LinuxContainerSecurityContext>,
}

/// `LinuxContainerSecurityContext`.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxContainerSecurityContext {
    /// Other capabilities than the runtime's own choice.
    #[prost(message, optional, tag = "1")]
    pub capabilities: Option<Capability>,
    /// Everything that the node's root may do.
    #[prost(bool, tag = "2")]
    pub privileged: bool,
    /// Which namespaces are the node's.
    #[prost(message, optional, tag = "3")]
    pub namespace_options: Option<NamespaceOption>,
    /// The user, if it is said.
    #[prost(message, optional, tag = "5")]
    pub run_as_user: Option<Int64Value>,
    /// Whether the root file system is read-only.
    #[prost(bool, tag = "7")]
    pub readonly_rootfs: bool,
}

/// `Capability`: names without `CAP_`.
#[derive(Clone, PartialEq, Message)]
pub struct Capability {
    /// Given.
    #[prost(string, repeated, tag = "1")]
    pub add_capabilities: Vec<String>,
    /// Taken; `ALL` first of all.
    #[prost(string, repeated, tag = "2")]
    pub drop_capabilities: Vec<String>,
}

/// `Int64Value`.
#[derive(Clone, PartialEq, Message)]
pub struct Int64Value {
    /// The number.
    #[prost(int64, tag = "1")]
    pub value: i64,
}

/// `CreateContainerResponse`, and the requests that have nothing but the name: `StartContainerRequest`,
/// `RemoveContainerRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerName {
    /// The runtime's id.
    #[prost(string, tag = "1")]
    pub container_id: String,
}

/// `StopContainerRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct StopContainerRequest {
    /// The runtime's id.
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// Seconds between SIGTERM and SIGKILL.
    #[prost(int64, tag = "2")]
    pub timeout: i64,
}

/// `ExecSyncRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct ExecSyncRequest {
    /// The runtime's id.
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// The program with its arguments.
    #[prost(string, repeated, tag = "2")]
    pub cmd: Vec<String>,
    /// Seconds that it may take.
    #[prost(int64, tag = "3")]
    pub timeout: i64,
}

/// `ExecSyncResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct ExecSyncResponse {
    /// What it said.
    #[prost(bytes = "vec", tag = "1")]
    pub stdout: Vec<u8>,
    /// And what went wrong.
    #[prost(bytes = "vec", tag = "2")]
    pub stderr: Vec<u8>,
    /// How it ended.
    #[prost(int32, tag = "3")]
    pub exit_code: i32,
}

/// `ContainerStatusRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatusRequest {
    /// The runtime's id.
    #[prost(string, tag = "1")]
    pub container_id: String,
    /// With the runtime's own words.
    #[prost(bool, tag = "2")]
    pub verbose: bool,
}

/// `ContainerStatusResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatusResponse {
    /// The container.
    #[prost(message, optional, tag = "1")]
    pub status: Option<ContainerStatus>,
    /// The runtime's own words.
    #[prost(map = "string, string", tag = "2")]
    pub info: HashMap<String, String>,
}

/// `ContainerStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatus {
    /// 0 created, 1 runs, 2 has ended, 3 unknown.
    #[prost(int32, tag = "3")]
    pub state: i32,
    /// How it ended.
    #[prost(int32, tag = "7")]
    pub exit_code: i32,
    /// In a word, how it ended: `Completed`, `Error`, `OOMKilled`.
    #[prost(string, tag = "9")]
    pub reason: String,
}
