//! What a kubelet reads in the DaemonSet: with it a test starts the agent on a container runtime exactly as a cluster does.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::manifest;

/// The address of the node.
pub const HOST_IP: &str = "127.0.0.1";

/// A container of the agent's pod, and what it has of the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are those of the manifest")]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Its image.
    pub image: String,
    /// The program with its arguments.
    pub command: Vec<String>,
    /// The environment, in order.
    pub environment: Vec<(String, String)>,
    /// The mounts, in order.
    pub mounts: Vec<Mount>,
    /// Whether it is privileged.
    pub privileged: bool,
    /// Whether its root file system is read-only.
    pub read_only_root: bool,
    /// The capabilities that it gives up by name.
    pub drop_capabilities: Vec<String>,
    /// The user that it runs as, if that is said.
    pub user: Option<u64>,
    /// The probes that it has, by the names of their fields.
    pub probes: Vec<Probe>,
    /// Whether the pod has the node's network namespace.
    pub host_network: bool,
    /// Whether the pod has the node's process ids.
    pub host_pid: bool,
    /// How long it has to leave.
    pub grace: Duration,
}

/// A directory of the node in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Its path on the node.
    pub host: PathBuf,
    /// Its path in the container.
    pub container: PathBuf,
    /// Whether it is made where it is not there (`DirectoryOrCreate`).
    pub create: bool,
    /// How mounts in it propagate.
    pub propagation: Propagation,
    /// Whether it is read-only.
    pub read_only: bool,
}

/// `mountPropagation`, with the kernel's word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// `None`: private.
    None,
    /// `HostToContainer`: slave.
    HostToContainer,
    /// `Bidirectional`: shared.
    Bidirectional,
}

/// A command by which a kubelet learns how the container is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// `startupProbe`, `readinessProbe` or `livenessProbe`.
    pub field: &'static str,
    /// The command.
    pub command: Vec<String>,
    /// How long the command may take.
    pub timeout: Duration,
    /// How long it may fail in a row.
    pub patience: Duration,
}

impl Container {
    /// The container `name` of the DaemonSet among `documents`, on the node `node`, whose address is [`HOST_IP`].
    ///
    /// # Errors
    ///
    /// There is no such DaemonSet or container, or it has something that cannot be read here: a mount of something else than
    /// a directory of the node, a variable from somewhere else than the node's name.
    pub fn read(documents: &[Value], name: &str, node: &str) -> Result<Self> {
        let pod = &manifest::of_kind(documents, "DaemonSet")?["spec"]["template"]["spec"];
        let mut containers = list(&pod["containers"]).iter();
        let container = containers.find(|each| each["name"] == name).with_context(|| format!("no container {name}"))?;
        let security = &container["securityContext"];
        let probes = ["startupProbe", "readinessProbe", "livenessProbe"].into_iter();
        Ok(Self {
            name: name.to_owned(),
            image: text(&container["image"])?,
            command: list(&container["command"])
                .iter()
                .chain(list(&container["args"]))
                .map(text)
                .collect::<Result<_>>()?,
            environment: environment(list(&container["env"]), node)?,
            mounts: list(&container["volumeMounts"]).iter().map(|each| mount(each, pod)).collect::<Result<_>>()?,
            privileged: security["privileged"] == true,
            read_only_root: security["readOnlyRootFilesystem"] == true,
            drop_capabilities: list(&security["capabilities"]["drop"]).iter().map(text).collect::<Result<_>>()?,
            user: security["runAsUser"].as_u64(),
            probes: probes.filter_map(|field| probe(field, &container[field]).transpose()).collect::<Result<_>>()?,
            host_network: pod["hostNetwork"] == true,
            host_pid: pod["hostPID"] == true,
            grace: seconds(&pod["terminationGracePeriodSeconds"], 30),
        })
    }
}

/// As kubelet does it: `$(NAME)` stands for the value of a variable above.
fn environment(variables: &[Value], node: &str) -> Result<Vec<(String, String)>> {
    let mut environment: Vec<(String, String)> = Vec::new();
    for variable in variables {
        let name = text(&variable["name"])?;
        let source = &variable["valueFrom"];
        let value = match (&variable["value"], source["fieldRef"]["fieldPath"].as_str()) {
            (Value::String(value), _) => environment
                .iter()
                .fold(value.clone(), |value, (name, other)| value.replace(&format!("$({name})"), other)),
            (_, Some("spec.nodeName")) => node.to_owned(),
            (_, Some("status.hostIP")) => HOST_IP.to_owned(),
            _ => bail!("the variable {name} has a source that is not known here: {source}"),
        };
        environment.push((name, value));
    }
    Ok(environment)
}

fn mount(mount: &Value, pod: &Value) -> Result<Mount> {
    let name = text(&mount["name"])?;
    let volume = list(&pod["volumes"]).iter().find(|volume| volume["name"] == name.as_str());
    let host = &volume.with_context(|| format!("no volume {name}"))?["hostPath"];
    let create = match host["type"].as_str() {
        Some("DirectoryOrCreate") => true,
        Some("Directory") => false,
        other => bail!("the volume {name} is not a directory of the node: {other:?}"),
    };
    let propagation = match mount["mountPropagation"].as_str() {
        None | Some("None") => Propagation::None,
        Some("HostToContainer") => Propagation::HostToContainer,
        Some("Bidirectional") => Propagation::Bidirectional,
        Some(other) => bail!("the mount {name} has a propagation that Kubernetes does not know: {other}"),
    };
    Ok(Mount {
        host: text(&host["path"])?.into(),
        container: text(&mount["mountPath"])?.into(),
        create,
        propagation,
        read_only: mount["readOnly"] == true,
    })
}

fn probe(field: &'static str, probe: &Value) -> Result<Option<Probe>> {
    if probe.is_null() {
        return Ok(None);
    }
    let command: Vec<String> = list(&probe["exec"]["command"]).iter().map(text).collect::<Result<_>>()?;
    if command.is_empty() {
        bail!("{field} is no exec probe");
    }
    // The defaults are those of the API reference of Kubernetes.
    let timeout = seconds(&probe["timeoutSeconds"], 1);
    let failures = u32::try_from(probe["failureThreshold"].as_u64().unwrap_or(3))?;
    Ok(Some(Probe { field, command, timeout, patience: seconds(&probe["periodSeconds"], 10) * failures }))
}

fn seconds(value: &Value, default: u64) -> Duration {
    Duration::from_secs(value.as_u64().unwrap_or(default))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> Result<String> {
    value.as_str().map(str::to_owned).with_context(|| format!("not a text: {value}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::*;

    const SMALL: &str = r#"
kind: DaemonSet
spec:
  template:
    spec:
      hostPID: true
      terminationGracePeriodSeconds: 7
      containers:
      - name: one
        image: i:1
        command: [/a, b]
        args: [c]
        env:
        - {name: X, value: "1"}
        - {name: V, value: "$(X)$(NODE)"}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: Z, value: "$(NODE):$(X)"}
        securityContext: {privileged: true, runAsUser: 0, capabilities: {drop: [ALL]}}
        livenessProbe: {exec: {command: [/a, live]}, periodSeconds: 5}
        volumeMounts:
        - {name: v, mountPath: /in, mountPropagation: Bidirectional}
        - {name: w, mountPath: /w, readOnly: true}
      volumes:
      - {name: v, hostPath: {path: /out, type: DirectoryOrCreate}}
      - {name: w, hostPath: {path: /w, type: Directory}}
"#;

    fn read(yaml: &str) -> Result<Container> {
        Container::read(&manifest::documents(yaml)?, "one", "n1")
    }

    #[test]
    fn everything_that_a_runtime_needs_is_read() {
        let found = read(SMALL).unwrap();
        let v = Mount {
            host: "/out".into(),
            container: "/in".into(),
            create: true,
            propagation: Propagation::Bidirectional,
            read_only: false,
        };
        let w = Mount {
            host: "/w".into(),
            container: "/w".into(),
            create: false,
            propagation: Propagation::None,
            read_only: true,
        };
        let live = Probe {
            field: "livenessProbe",
            command: vec!["/a".into(), "live".into()],
            timeout: Duration::from_secs(1),
            patience: Duration::from_secs(15),
        };
        let expected = Container {
            name: "one".into(),
            image: "i:1".into(),
            command: vec!["/a".into(), "b".into(), "c".into()],
            environment: [("X", "1"), ("V", "1$(NODE)"), ("NODE", "n1"), ("Z", "n1:1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            mounts: vec![v, w],
            privileged: true,
            read_only_root: false,
            drop_capabilities: vec!["ALL".into()],
            user: Some(0),
            probes: vec![live],
            host_network: false,
            host_pid: true,
            grace: Duration::from_secs(7),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn what_cannot_be_read_is_not_passed_over() {
        for (there, instead) in [
            ("name: one", "name: two"),
            ("kind: DaemonSet", "kind: Deployment"),
            ("Bidirectional", "Both"),
            ("type: Directory}", "type: Socket}"),
            ("spec.nodeName", "spec.hostname"),
            ("exec: {command: [/a, live]}", "grpc: {port: 1}"),
            ("{name: v, hostPath", "{name: u, hostPath"),
        ] {
            let broken = SMALL.replace(there, instead);
            assert_ne!(broken, SMALL);
            assert!(read(&broken).is_err(), "{instead}");
        }
    }
}
