//! Runs CNI plugins as the specification says: by environment and standard input.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::lab::{Lab, pod::Pod};

/// A sandbox, and what the plugin is told of it.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// `CNI_CONTAINERID`.
    pub id: String,
    /// `CNI_NETNS`; empty: it is not set.
    pub netns: String,
    /// `CNI_ARGS`.
    pub args: String,
}

impl Sandbox {
    /// The network namespace `netns` as a sandbox of the pod `lessons/pod`.
    pub fn new(id: &str, pod: &str, netns: &Pod) -> Self {
        let args =
            format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=lessons;K8S_POD_NAME={pod};K8S_POD_INFRA_CONTAINER_ID={id}");
        Self { id: id.to_owned(), netns: format!("/run/netns/{}", netns.name()), args }
    }

    /// The same with a UID of the pod.
    pub fn uid(mut self, uid: &str) -> Self {
        self.args.extend([";K8S_POD_UID=", uid]);
        self
    }
}

/// What the plugin answered.
#[derive(Debug)]
pub struct Answer {
    /// Whether it exited with 0.
    pub success: bool,
    /// Standard output; null: nothing.
    pub said: Value,
    /// Standard error.
    pub notes: String,
    /// From its start to its end.
    pub took: Duration,
}

impl Answer {
    /// The result of a call that succeeded.
    ///
    /// # Panics
    ///
    /// It did not.
    pub fn ok(self) -> Value {
        assert!(self.success, "{self:?}");
        self.said
    }

    /// The code and the words of a call that failed.
    ///
    /// # Panics
    ///
    /// It did not.
    pub fn error(self) -> (u64, String) {
        assert!(!self.success, "{self:?}");
        // As libcni shows it.
        let text = |name: &str| self.said[name].as_str().unwrap_or_default();
        (self.said["code"].as_u64().unwrap_or_default(), format!("{}; {}", text("msg"), text("details")))
    }
}

/// Runs a plugin.
///
/// # Panics
///
/// It cannot be run, or says what is no JSON.
pub fn call_at(program: &str, command: &str, sandbox: Option<&Sandbox>, input: &Value) -> Answer {
    let started = Instant::now();
    let mut process = Command::new(program);
    process.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    process.env("CNI_COMMAND", command).env("CNI_PATH", "/usr/lib/cni");
    if let Some(sandbox) = sandbox {
        process.env("CNI_CONTAINERID", &sandbox.id).env("CNI_IFNAME", "eth0").env("CNI_ARGS", &sandbox.args);
        if !sandbox.netns.is_empty() {
            process.env("CNI_NETNS", &sandbox.netns);
        }
    }
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().unwrap_or_else(|error| panic!("run {program}: {error}"));
    if let Some(mut stdin) = child.stdin.take() {
        // One that answers without reading closes the pipe.
        let _ = stdin.write_all(input.to_string().as_bytes());
    }
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("wait for {program}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout);
    let said = match text.as_ref() {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|error| panic!("{program} said no JSON: {error}: {text}")),
    };
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    Answer { success: output.status.success(), said, notes, took: started.elapsed() }
}

/// Runs podwire's plugin.
///
/// # Panics
///
/// As [`call_at`].
pub fn call(lab: &Lab, command: &str, sandbox: Option<&Sandbox>, input: &Value) -> Answer {
    call_at(&lab.binary("podwire-cni").display().to_string(), command, sandbox, input)
}

/// Names of the interfaces of a result.
pub fn names(result: &Value) -> Vec<&str> {
    let interfaces = result["interfaces"].as_array().map_or(&[][..], Vec::as_slice);
    interfaces.iter().filter_map(|each| each["name"].as_str()).collect()
}
