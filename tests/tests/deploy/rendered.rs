//! The manifests as the tools render them: each overlay is whole, and the chart gives the same objects.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use podwire_tests::{
    daemonset::{Container, Propagation},
    manifest,
    private::skip,
};
use serde_json::Value;

/// Overlay, values of the chart, and the runtime's socket.
const OVERLAYS: [(&str, &[&str], &str); 6] = [
    ("containerd", &[], "/run/containerd/containerd.sock"),
    ("containerd-cni", &["cni.enabled=true"], "/run/containerd/containerd.sock"),
    ("k3s", &["runtime=k3s"], "/run/k3s/containerd/containerd.sock"),
    ("k3s-cni", &["runtime=k3s", "cni.enabled=true"], "/run/k3s/containerd/containerd.sock"),
    ("crio", &["runtime=crio"], "/run/crio/crio.sock"),
    ("crio-cni", &["runtime=crio", "cni.enabled=true"], "/run/crio/crio.sock"),
];

/// What kustomize makes of an overlay.
fn overlay(name: &str) -> Option<Vec<Value>> {
    let rendered = manifest::kustomize(&format!("kustomize/overlays/{name}")).unwrap();
    if rendered.is_none() {
        skip("neither kustomize nor kubectl is on the PATH");
    }
    rendered
}

/// What helm makes of the chart.
fn chart(values: &[&str]) -> Option<Vec<Value>> {
    let rendered = manifest::helm(values).unwrap();
    if rendered.is_none() {
        skip("helm is not on the PATH");
    }
    rendered
}

/// By kind and name, with lists of named things in the order of their names: the order means nothing in them.
fn normal(documents: &[Value]) -> BTreeMap<String, Value> {
    fn sort(value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(sort),
            Value::Array(items) => {
                items.iter_mut().for_each(sort);
                if items.iter().all(|item| item["name"].is_string()) {
                    items.sort_by_key(|item| item["name"].as_str().map(str::to_owned));
                }
            }
            _ => {}
        }
    }
    let mut named = BTreeMap::new();
    for document in documents {
        let mut document = document.clone();
        sort(&mut document);
        named.insert(format!("{} {}", document["kind"], document["metadata"]["name"]), document);
    }
    named
}

#[test]
fn every_overlay_has_the_socket_of_its_runtime() {
    for (name, _, socket) in OVERLAYS {
        let Some(documents) = overlay(name) else { return };
        assert_eq!(documents.len(), 3, "{name}: namespace, account and agents");
        let agent = Container::read(&documents, "agent", "node-1").unwrap();
        assert!(agent.environment.contains(&("PODWIRE_CRI_SOCKET".into(), socket.into())), "{name}: {agent:?}");
        let folder = Path::new(socket).parent().unwrap();
        let mount = agent.mounts.iter().find(|mount| mount.container == folder).unwrap();
        // The folder, since the socket is a new file when the runtime restarts; slave, so that what is unmounted goes.
        assert_eq!((mount.host.as_path(), mount.create, mount.read_only), (folder, false, true), "{name}");
        assert_eq!(mount.propagation, Propagation::HostToContainer, "{name}");
        let base =
            Container::read(&manifest::file("kustomize/base/daemonset.yaml").unwrap(), "agent", "node-1").unwrap();
        for mount in &base.mounts {
            assert!(agent.mounts.contains(mount), "{name}: {mount:?}");
        }
        assert_eq!((agent.image, agent.probes), (base.image, base.probes), "{name}");
    }
}

#[test]
fn the_installer_of_the_plugin_has_the_directories_of_its_runtime_and_no_power() {
    for (name, _, _) in OVERLAYS {
        let Some(documents) = overlay(name) else { return };
        let installer = Container::read(&documents, "cni-installer", "node-1");
        if !name.ends_with("-cni") {
            assert!(installer.is_err(), "{name}: only where it is asked for");
            continue;
        }
        let installer = installer.unwrap();
        let agent = Container::read(&documents, "agent", "node-1").unwrap();
        assert_eq!(installer.image, agent.image);
        assert_eq!(installer.drop_capabilities, ["ALL"]);
        assert!(!installer.privileged && installer.read_only_root);
        assert_eq!(installer.command[..3], ["/usr/bin/podwire-cni", "install", "--watch"]);
        let (bin, conf) = if name == "k3s-cni" {
            ("/var/lib/rancher/k3s/data/cni", "/var/lib/rancher/k3s/agent/etc/cni/net.d")
        } else {
            ("/opt/cni/bin", "/etc/cni/net.d")
        };
        for (flag, host) in [("--cni-bin-dir", bin), ("--cni-conf-dir", conf)] {
            let value = installer.command.iter().find_map(|word| word.strip_prefix(&format!("{flag}=")));
            let mount = installer.mounts.iter().find(|mount| Some(mount.container.as_path()) == value.map(Path::new));
            assert_eq!(mount.unwrap().host, Path::new(host), "{name}: {flag}");
        }
    }
}

#[test]
fn the_chart_renders_what_kustomize_does() {
    for (name, values, _) in OVERLAYS {
        let Some(expected) = overlay(name) else { return };
        let values: Vec<&str> = values.iter().copied().chain(["namespace.create=true"]).collect();
        let Some(found) = chart(&values) else { return };
        let (expected, found) = (normal(&expected), normal(&found));
        assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{name}");
        for (object, expected) in &expected {
            assert_eq!(found[object], *expected, "{name}: {object}");
        }
    }
}

#[test]
fn with_tls_the_chart_renders_what_kustomize_does_too() {
    let Some(expected) = overlay("containerd-tls") else { return };
    let Some(found) = chart(&["namespace.create=true", "tls.secretName=podwire-agent-tls"]) else { return };
    assert_eq!(normal(&expected), normal(&found));
    let pod = &manifest::of_kind(&found, "DaemonSet").unwrap()["spec"]["template"]["spec"];
    let variables = pod["containers"][0]["env"].as_array().unwrap();
    let at = |name: &str| variables.iter().position(|variable| variable["name"] == name).unwrap();
    assert!(at("HOST_IP") < at("PODWIRE_LISTEN"), "a variable is known to those behind it");
}

#[test]
fn the_settings_of_the_chart_reach_the_agent() {
    let values = [
        "image.repository=registry.example/podwire",
        "image.tag=v9",
        "drainTimeout=60",
        "nodeDevices={eth1,eth2}",
        "logLevel=debug",
        "criSocket=/var/run/other/cri.sock",
        "maxUnavailable=3",
    ];
    let Some(documents) = chart(&values) else { return };
    assert_eq!(documents.len(), 2, "the namespace is not the chart's unless it is asked for");
    let agent = Container::read(&documents, "agent", "n").unwrap();
    assert_eq!(agent.image, "registry.example/podwire:v9");
    assert_eq!(agent.grace.as_secs(), 80);
    for (name, value) in [
        ("PODWIRE_DRAIN_TIMEOUT", "60"),
        ("PODWIRE_NODE_DEVICE", "eth1,eth2"),
        ("PODWIRE_LOG_LEVEL", "debug"),
        ("PODWIRE_CRI_SOCKET", "/var/run/other/cri.sock"),
    ] {
        assert!(agent.environment.contains(&(name.into(), value.into())), "{name}: {agent:?}");
    }
    assert!(agent.mounts.iter().any(|mount| mount.host == Path::new("/var/run/other")));
    let update = &manifest::of_kind(&documents, "DaemonSet").unwrap()["spec"]["updateStrategy"]["rollingUpdate"];
    assert_eq!(update["maxUnavailable"], 3);
}

#[test]
fn the_chart_refuses_values_that_it_does_not_know() {
    for wrong in [
        "runtime=docker",
        "drainTimeout=-1",
        "drainTimeout=soon",
        "maxUnavailable=0",
        "maxUnavailable=0%",
        // Its folder would be /run, with everybody's things in it.
        "criSocket=/run/cri.sock",
        "criSocket=unix:///run/containerd/containerd.sock",
        "nodeDevices={br%d}",
        "logFormat=xml",
        "image.pullpolicy=Always",
        "cni.enabled=yes",
        "tls.port=0",
        "tls.secretName=A",
        "privileged=false",
    ] {
        match manifest::helm(&[wrong]) {
            Ok(None) => return skip("helm is not on the PATH"),
            Ok(Some(_)) => panic!("{wrong} was taken"),
            Err(error) => assert!(format!("{error:#}").contains("schema"), "{wrong}: {error:#}"),
        }
    }
}

/// The values that are documented and those that the schema knows are the same, at every depth that the schema describes.
#[test]
fn the_schema_of_the_chart_knows_exactly_its_values() {
    fn compare(values: &Value, schema: &Value, path: &str) {
        let Some(known) = schema["properties"].as_object() else { return };
        assert_eq!(schema["additionalProperties"], false, "{path}");
        let values = values.as_object().unwrap();
        let keys: Vec<&String> = known.keys().filter(|key| *key != "global").collect();
        assert_eq!(values.keys().collect::<Vec<_>>(), keys, "{path}");
        for key in keys {
            compare(&values[key], &known[key], &format!("{path}.{key}"));
        }
    }
    let values = manifest::file("helm/podwire/values.yaml").unwrap();
    let schema = fs::read_to_string(manifest::folder().join("helm/podwire/values.schema.json")).unwrap();
    compare(&values[0], &serde_json::from_str(&schema).unwrap(), "");
    let chart = &manifest::file("helm/podwire/Chart.yaml").unwrap()[0];
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!((&chart["version"], &chart["appVersion"]), (&version.into(), &version.into()));
}

/// Everything in `ours` is in `theirs`.
fn assert_kept(ours: &Value, theirs: &Value, path: &str) {
    match ours {
        Value::Object(fields) => {
            for (name, ours) in fields {
                assert_kept(ours, &theirs[name], &format!("{path}.{name}"));
            }
        }
        Value::Array(items) => {
            for (index, ours) in items.iter().enumerate() {
                assert_kept(ours, &theirs[index], &format!("{path}[{index}]"));
            }
        }
        // A type of its own leaves out what is empty and false.
        Value::Bool(false) if theirs.is_null() => {}
        ours => assert_eq!(ours, theirs, "{path}: kubectl does not know it, or takes it for something else"),
    }
}

/// `kubectl apply --dry-run=client` asks a cluster what kinds there are. `kubectl set … --local` needs none: it reads a
/// workload into its own types and writes it again, without what is in no type.
#[test]
fn kubectl_knows_every_field_where_it_is_there() {
    let Some(kubectl) = manifest::tool("kubectl") else {
        eprintln!("kubectl is not on the PATH: nothing was compared");
        return;
    };
    let pods = manifest::file("lesson/pods.yaml").unwrap();
    let daemonsets = OVERLAYS.map(|(name, _, _)| overlay(name).unwrap());
    let daemonsets = daemonsets.iter().map(|documents| manifest::of_kind(documents, "DaemonSet").unwrap());
    for ours in daemonsets.chain(&pods) {
        let mut command = Command::new(&kubectl);
        command.args(["set", "env", "--local", "-f", "-", "-o", "json", "PODWIRE_TEST=1"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(ours.to_string().as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_kept(ours, &serde_json::from_slice(&output.stdout).unwrap(), "");
    }
}
