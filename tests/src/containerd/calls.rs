//! The calls of CRI by which the kubelet makes sandboxes: only what a test needs, with the numbers of
//! pkg/apis/runtime/v1/api.proto of <https://github.com/kubernetes/cri-api>.

use std::collections::HashMap;

use prost::Message;
use tonic::{
    Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

/// `RunPodSandboxRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct RunPodSandboxRequest {
    /// What sandbox.
    #[prost(message, optional, tag = "1")]
    pub config: Option<PodSandboxConfig>,
}

/// `PodSandboxConfig`.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxConfig {
    /// Whose.
    #[prost(message, optional, tag = "1")]
    pub metadata: Option<PodSandboxMetadata>,
    /// Its hostname.
    #[prost(string, tag = "2")]
    pub hostname: String,
    /// Where containers log.
    #[prost(string, tag = "3")]
    pub log_directory: String,
    /// Labels.
    #[prost(map = "string, string", tag = "6")]
    pub labels: HashMap<String, String>,
    /// Cgroups and namespaces.
    #[prost(message, optional, tag = "8")]
    pub linux: Option<LinuxPodSandboxConfig>,
}

/// `PodSandboxMetadata`.
#[derive(Clone, PartialEq, Message)]
pub struct PodSandboxMetadata {
    /// Name of the pod.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its UID.
    #[prost(string, tag = "2")]
    pub uid: String,
    /// Its namespace.
    #[prost(string, tag = "3")]
    pub namespace: String,
    /// The how manieth sandbox of it.
    #[prost(uint32, tag = "4")]
    pub attempt: u32,
}

/// `LinuxPodSandboxConfig`.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxPodSandboxConfig {
    /// The cgroup above.
    #[prost(string, tag = "1")]
    pub cgroup_parent: String,
    /// Namespaces.
    #[prost(message, optional, tag = "2")]
    pub security_context: Option<LinuxSandboxSecurityContext>,
}

/// `LinuxSandboxSecurityContext`.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxSandboxSecurityContext {
    /// Which namespaces are the node's.
    #[prost(message, optional, tag = "1")]
    pub namespace_options: Option<NamespaceOption>,
    /// Whether containers in it may be privileged.
    #[prost(bool, tag = "6")]
    pub privileged: bool,
}

/// `NamespaceOption`; 0 is the pod's own, 1 the container's own, 2 the node's.
#[derive(Clone, PartialEq, Message)]
pub struct NamespaceOption {
    /// Network.
    #[prost(int32, tag = "1")]
    pub network: i32,
    /// Process ids.
    #[prost(int32, tag = "2")]
    pub pid: i32,
    /// User namespace.
    #[prost(message, optional, tag = "5")]
    pub userns_options: Option<UserNamespace>,
}

/// `UserNamespace`.
#[derive(Clone, PartialEq, Message)]
pub struct UserNamespace {
    /// 0: its own.
    #[prost(int32, tag = "1")]
    pub mode: i32,
    /// Users.
    #[prost(message, repeated, tag = "2")]
    pub uids: Vec<IdMapping>,
    /// Groups.
    #[prost(message, repeated, tag = "3")]
    pub gids: Vec<IdMapping>,
}

/// `IDMapping`.
#[derive(Clone, PartialEq, Message)]
pub struct IdMapping {
    /// First id outside.
    #[prost(uint32, tag = "1")]
    pub host_id: u32,
    /// First id inside.
    #[prost(uint32, tag = "2")]
    pub container_id: u32,
    /// How many.
    #[prost(uint32, tag = "3")]
    pub length: u32,
}

/// `RunPodSandboxResponse`, `StopPodSandboxRequest` and `RemovePodSandboxRequest`, which look the same.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxName {
    /// The runtime's id.
    #[prost(string, tag = "1")]
    pub pod_sandbox_id: String,
}

/// `StopPodSandboxResponse` and `RemovePodSandboxResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

/// `PodSandboxStatusResponse`, with the network of the pod.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxStatusAnswer {
    /// The sandbox.
    #[prost(message, optional, tag = "1")]
    pub status: Option<SandboxStatus>,
    /// The runtime's own words.
    #[prost(map = "string, string", tag = "2")]
    pub info: HashMap<String, String>,
}

/// `PodSandboxStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxStatus {
    /// Its network.
    #[prost(message, optional, tag = "5")]
    pub network: Option<SandboxNetwork>,
}

/// `PodSandboxNetworkStatus`.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxNetwork {
    /// The address of the pod.
    #[prost(string, tag = "1")]
    pub ip: String,
    /// Its others.
    #[prost(message, repeated, tag = "2")]
    pub additional_ips: Vec<Address>,
}

/// `PodIP`.
#[derive(Clone, PartialEq, Message)]
pub struct Address {
    /// The address.
    #[prost(string, tag = "1")]
    pub ip: String,
}

/// `StatusRequest`.
#[derive(Clone, PartialEq, Message)]
pub struct StatusQuestion {
    /// With the runtime's own words.
    #[prost(bool, tag = "1")]
    pub verbose: bool,
}

/// `StatusResponse`.
#[derive(Clone, PartialEq, Message)]
pub struct StatusAnswer {
    /// The runtime's own words.
    #[prost(map = "string, string", tag = "2")]
    pub info: HashMap<String, String>,
}

/// Calls `runtime.v1.RuntimeService` at a socket.
///
/// # Errors
///
/// The runtime's answer.
pub async fn call<Q, A>(socket: &str, method: &str, question: Q) -> Result<A, Status>
where
    Q: Message + Send + Sync + 'static,
    A: Message + Default + Send + Sync + 'static,
{
    let unavailable = |error: tonic::transport::Error| Status::unavailable(error.to_string());
    let channel: Channel =
        Endpoint::try_from(socket.to_owned()).map_err(unavailable)?.connect().await.map_err(unavailable)?;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(unavailable)?;
    let path: PathAndQuery = format!("/runtime.v1.RuntimeService/{method}")
        .parse()
        .map_err(|_| Status::invalid_argument(method.to_owned()))?;
    let answer = grpc.unary(Request::new(question), path, tonic_prost::ProstCodec::<Q, A>::default()).await?;
    Ok(answer.into_inner())
}
