//! What a containerd tells of the network of its sandboxes.

use std::{fs, io, iter, path::PathBuf};

use serde_json::Value;
use tonic::Status;

use super::{
    Containerd, PodSandboxStatusRequest, ask,
    calls::{SandboxStatusAnswer, StatusAnswer, StatusQuestion},
};

/// What the first process of a sandbox does: it writes down what it sees of `net1`, the interface of most tests, and
/// whether [`FIRST_PEER`] answers through it. No letter that JSON would have to escape.
pub(super) const FIRST_PROCESS: &str =
    "(ip -o addr show net1 && ping -c 1 -W 5 10.0.0.250) >/dev/first 2>&1; exec sleep 2147483647";

/// Whom the first process of a sandbox asks for an answer.
pub const FIRST_PEER: &str = "10.0.0.250";

impl Containerd {
    /// The directories of its CNI plugins and of their configuration.
    pub fn cni_directories(&self) -> [PathBuf; 2] {
        ["cni-bin", "cni"].map(|name| self.lab.directory().join(name))
    }

    /// The network of a sandbox as the runtime tells it: the plugins' result, and all addresses of the pod.
    ///
    /// # Panics
    ///
    /// It does not tell.
    pub async fn network(&self, id: &str) -> (Value, Vec<String>) {
        let question = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
        let answer: Result<SandboxStatusAnswer, Status> = ask("PodSandboxStatus", question).await;
        let answer = answer.unwrap_or_else(|status| panic!("{status}"));
        let network = answer.status.and_then(|status| status.network).unwrap_or_default();
        let more = network.additional_ips.into_iter().map(|each| each.ip);
        let info: Value = serde_json::from_str(&answer.info["info"]).unwrap_or_default();
        (info["cniResult"].clone(), iter::once(network.ip).chain(more).collect())
    }

    /// The plugins that it calls now, by its own words.
    ///
    /// # Errors
    ///
    /// The runtime's answer.
    pub async fn plugins(&self) -> Result<Vec<String>, Status> {
        let answer: StatusAnswer = ask("Status", StatusQuestion { verbose: true }).await?;
        let said = answer.info.get("cniconfig").map(String::as_str).unwrap_or_default();
        let config: Value = serde_json::from_str(said).unwrap_or_default();
        let mut names = Vec::new();
        for network in config["Networks"].as_array().into_iter().flatten() {
            let plugins = network["Config"]["Plugins"].as_array().into_iter().flatten();
            names.extend(plugins.filter_map(|each| each["Network"]["type"].as_str()).map(str::to_owned));
        }
        Ok(names)
    }

    /// What the first process of a sandbox saw of `net1`.
    ///
    /// # Errors
    ///
    /// It has not looked yet.
    pub async fn first_sight(&self, id: &str) -> io::Result<String> {
        // The one place of a sandbox that its processes may write to.
        fs::read_to_string(format!("/proc/{}/root/dev/first", self.first_process(id).await))
    }

    /// The first process of a sandbox, by its number on the node. 0: it has none yet.
    ///
    /// # Panics
    ///
    /// The runtime does not tell of the sandbox.
    pub async fn first_process(&self, id: &str) -> u64 {
        let question = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
        let answer: Result<SandboxStatusAnswer, Status> = ask("PodSandboxStatus", question).await;
        let answer = answer.unwrap_or_else(|status| panic!("{status}"));
        let info: Value = serde_json::from_str(&answer.info["info"]).unwrap_or_default();
        info["pid"].as_u64().unwrap_or_default()
    }
}
