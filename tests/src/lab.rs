//! What a test has at hand in its private kernel.

pub mod agent;
pub mod pod;
mod reboot;
pub mod snapshot;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{binaries, lab::agent::AgentBuilder, lab::pod::Pod, netns};

/// A private kernel with nothing in it but the loopback.
#[derive(Debug, Clone)]
pub struct Lab(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    binaries: PathBuf,
    directory: PathBuf,
    counter: AtomicU32,
}

impl Lab {
    /// The lab of this process, which runs in a private kernel.
    ///
    /// # Errors
    ///
    /// The binaries are not there.
    pub fn new() -> Result<Self> {
        let directory = PathBuf::from("/run/lab");
        fs::create_dir_all(&directory).context("make a folder in /run")?;
        let binaries = binaries::directory()?.to_path_buf();
        Ok(Self(Arc::new(Inner { binaries, directory, counter: AtomicU32::new(0) })))
    }

    /// A folder for files of the test. It dies with the private kernel.
    pub fn directory(&self) -> &Path {
        &self.0.directory
    }

    /// One of our binaries.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.0.binaries.join(name)
    }

    /// A number that no other call gets.
    pub(crate) fn number(&self) -> u32 {
        self.0.counter.fetch_add(1, Ordering::Relaxed)
    }

    /// The real agent, to be started.
    pub fn agent(&self) -> AgentBuilder {
        AgentBuilder::new(self)
    }

    /// Makes a pod: a named network namespace with its loopback up.
    pub fn pod(&self, name: &str) -> Pod {
        self.ip(&format!("netns add {name}"));
        self.ip(&format!("-n {name} link set lo up"));
        Pod::new(self, name)
    }

    /// Makes several pods.
    pub fn pods<const N: usize>(&self, names: [&str; N]) -> [Pod; N] {
        names.map(|name| self.pod(name))
    }

    /// Runs the real command and returns what it said.
    ///
    /// # Panics
    ///
    /// It cannot be run.
    pub fn podwire(&self, args: &[&str]) -> Output {
        let mut command = Command::new(self.binary("podwire"));
        command.args(args).env_remove("PODWIRE_AGENT").stdin(std::process::Stdio::null());
        command.output().unwrap_or_else(|error| panic!("run podwire: {error}"))
    }

    /// Runs the real command, which must succeed, and returns its standard output.
    ///
    /// # Panics
    ///
    /// It fails.
    pub fn podwire_ok(&self, args: &[&str]) -> String {
        let output = self.podwire(args);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "podwire {args:?}: {}\n{said}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        said
    }

    /// Runs a tool of iproute2 as it would be typed: `bridge -n panel link set …`.
    ///
    /// # Panics
    ///
    /// It fails; says what it said.
    #[track_caller]
    pub fn run(&self, line: &str) -> String {
        let (program, args) = line.split_once(' ').unwrap_or((line, ""));
        run(program, args).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Runs `ip` with arguments split at white space, which must succeed, and returns its output.
    ///
    /// # Panics
    ///
    /// It fails.
    pub fn ip(&self, args: &str) -> String {
        run("ip", args).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Runs `ip -j -d` and returns what it printed.
    ///
    /// # Panics
    ///
    /// It fails, or prints no JSON.
    pub fn ip_json(&self, args: &str) -> Value {
        json("ip", &format!("-j -d {args}")).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The links of a named network namespace, or of the node with an empty name, by index.
    ///
    /// # Panics
    ///
    /// There is no such namespace.
    pub fn links(&self, namespace: &str) -> Vec<Value> {
        links_of(namespace).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// The names of the links of a named network namespace, by index, without the loopback.
    pub fn link_names(&self, namespace: &str) -> Vec<String> {
        let names = self.links(namespace).into_iter().filter_map(|link| link["ifname"].as_str().map(str::to_owned));
        names.filter(|name| name != "lo").collect()
    }

    /// The bridge ports of a named network namespace, as `bridge -j -d link` shows them.
    pub fn ports(&self, namespace: &str) -> Vec<Value> {
        let shown = json("bridge", &format!("{}-j -d link show", flag(namespace)));
        let shown = shown.unwrap_or_else(|error| panic!("{error:#}"));
        // A bridge itself is listed too where it has VLANs; a port has a master.
        shown.as_array().into_iter().flatten().filter(|port| port["master"].is_string()).cloned().collect()
    }

    /// The named network namespaces, sorted.
    pub fn namespaces(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(netns::DIRECTORY)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// The panels: the named network namespaces that the agent made for topologies, those on their way out included.
    pub fn panels(&self) -> Vec<String> {
        self.namespaces().into_iter().filter(|name| name.starts_with("podwire")).collect()
    }

    /// What the kernel shows, for a person who looks for the reason of a failure.
    pub fn report(&self) -> String {
        let mut report = String::from("\n--- what the kernel showed ---\n");
        let mut show = |program: &str, args: &str| {
            let said = run(program, args).unwrap_or_else(|error| format!("{error:#}\n"));
            if !said.trim().is_empty() {
                report.extend(["$ ", program, " ", args, "\n", &said]);
            }
        };
        show("ip", "netns list");
        for name in std::iter::once(String::new()).chain(self.namespaces()) {
            let at = flag(&name);
            show("ip", &format!("{at}-d -br address"));
            show("ip", &format!("{at}-d link"));
            show("bridge", &format!("{at}-d link"));
            show("ip", &format!("{at}route"));
        }
        for entry in fs::read_dir(&self.0.directory).into_iter().flatten().flatten() {
            if entry.path().extension().is_some_and(|extension| extension == "log") {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let tail = lines[lines.len().saturating_sub(80)..].join("\n");
                report.extend(["--- ", &entry.path().display().to_string(), " ---\n", &tail, "\n"]);
            }
        }
        report
    }
}

/// The links of a named network namespace, or of the node with an empty name, by index.
pub(crate) fn links_of(namespace: &str) -> Result<Vec<Value>> {
    let mut links = match json("ip", &format!("-j -d {}link show", flag(namespace)))? {
        Value::Array(links) => links,
        other => bail!("not a list: {other}"),
    };
    links.sort_by_key(|link| link["ifindex"].as_u64());
    Ok(links)
}

/// `-n NAME ` for the tools of iproute2; empty for the node's own namespace.
pub(crate) fn flag(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!("-n {namespace} ") }
}

/// Runs a program with arguments split at white space.
pub(crate) fn run(program: &str, args: &str) -> Result<String> {
    let output = Command::new(program)
        .args(args.split_whitespace())
        .env("PATH", search_path())
        .output()
        .with_context(|| format!("run `{program}` (Debian's package iproute2)"))?;
    if !output.status.success() {
        bail!("{program} {args}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs a program that prints JSON. Nothing at all is an empty list.
pub(crate) fn json(program: &str, args: &str) -> Result<Value> {
    let said = run(program, args)?;
    let text = if said.trim().is_empty() { "[]" } else { &said };
    serde_json::from_str(text).with_context(|| format!("{program} {args}: {said}"))
}

/// The caller's, and where iproute2 lives for those who are not root.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", env::var("PATH").unwrap_or_default())
}
