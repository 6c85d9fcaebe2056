//! The manifests as the tools render them: each overlay is whole, and the chart gives the same objects.

use std::{collections::BTreeMap, fs, path::Path};

use podwire_tests::{
    daemonset::{Container, HOST_IP, Propagation},
    manifest,
    private::skip,
};
use serde_json::Value;

/// Overlay, values of the chart, and the runtime's socket.
pub(crate) const OVERLAYS: [(&str, &[&str], &str); 6] = [
    ("containerd", &[], "/run/containerd/containerd.sock"),
    ("containerd-cni", &["cni.enabled=true"], "/run/containerd/containerd.sock"),
    ("k3s", &["runtime=k3s"], "/run/k3s/containerd/containerd.sock"),
    ("k3s-cni", &["runtime=k3s", "cni.enabled=true"], "/run/k3s/containerd/containerd.sock"),
    ("crio", &["runtime=crio"], "/run/crio/crio.sock"),
    ("crio-cni", &["runtime=crio", "cni.enabled=true"], "/run/crio/crio.sock"),
];

/// Component, the overlay that it is for, and values of the chart.
const COMPONENTS: [(&str, &str, &[&str]); 8] = [
    ("audit", "containerd", &["auditLog=/var/log/podwire/audit.log"]),
    ("cni", "containerd", &["cni.enabled=true"]),
    ("cni-removal", "crio-cni", &["runtime=crio", "cni.enabled=true", "cni.remove=true"]),
    ("metrics", "containerd", &["metrics.port=9464"]),
    ("pod-monitor", "containerd", &["metrics.port=9464", "metrics.podMonitor=true"]),
    ("scheduler", "containerd", &["scheduler.enabled=true"]),
    ("tcp", "containerd", &["insecurePlaintextTcp.port=7411"]),
    ("tls", "containerd", &["tls.secretName=podwire-agent-tls"]),
];

/// What kustomize makes of an overlay.
pub(crate) fn overlay(name: &str) -> Option<Vec<Value>> {
    let rendered = manifest::kustomize(&format!("kustomize/overlays/{name}")).unwrap();
    if rendered.is_none() {
        skip("neither kustomize nor kubectl is on the PATH");
    }
    rendered
}

/// An overlay with one component more.
fn with_component(overlay: &str, name: &str) -> Option<Vec<Value>> {
    let component = format!("kustomize/components/{name}");
    let rendered = manifest::kustomize_with(&format!("kustomize/overlays/{overlay}"), &[&component]).unwrap();
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

fn assert_the_chart_renders(expected: &[Value], name: &str, values: &[&str]) {
    let values: Vec<&str> = values.iter().copied().chain(["namespace.create=true"]).collect();
    let Some(found) = chart(&values) else { return };
    let (expected, found) = (normal(expected), normal(&found));
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{name}");
    for (object, expected) in &expected {
        assert_eq!(found[object], *expected, "{name}: {object}");
    }
}

#[test]
fn the_chart_renders_what_kustomize_does() {
    for (name, values, _) in OVERLAYS {
        let Some(expected) = overlay(name) else { return };
        assert_the_chart_renders(&expected, name, values);
    }
}

#[test]
fn the_chart_has_a_value_for_each_component() {
    for (component, base, values) in COMPONENTS {
        let Some(expected) = with_component(base, component) else { return };
        assert_ne!(normal(&expected), normal(&overlay(base).unwrap()), "{component} changes something");
        assert_the_chart_renders(&expected, component, values);
    }
    let folder = fs::read_dir(manifest::folder().join("kustomize/components")).unwrap();
    let mut there: Vec<String> = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    there.sort_unstable();
    assert_eq!(there, COMPONENTS.map(|(component, ..)| component), "each is compared here");
}

#[test]
fn a_port_is_opened_beside_the_socket_where_that_is_asked_for_and_nowhere_else() {
    let listens = |documents: &[Value]| -> Vec<(String, String)> {
        let environment = Container::read(documents, "agent", "node-1").unwrap().environment;
        let names = ["PODWIRE_LISTEN", "PODWIRE_INSECURE_PLAINTEXT_TCP"];
        environment.into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect()
    };
    let open = |port: u16| {
        let sockets = format!("unix:///run/podwire/agent.sock,tcp://[{HOST_IP}]:{port}");
        vec![("PODWIRE_LISTEN".to_owned(), sockets), ("PODWIRE_INSECURE_PLAINTEXT_TCP".to_owned(), "true".to_owned())]
    };
    let Some(rendered) = with_component("containerd", "tcp") else { return };
    assert_eq!(listens(&rendered), open(7411));
    assert_eq!(listens(&with_component("containerd", "scheduler").unwrap()), []);
    let Some(rendered) = chart(&["insecurePlaintextTcp.port=7000"]) else { return };
    assert_eq!(listens(&rendered), open(7000));
    assert_eq!(listens(&chart(&[]).unwrap()), []);
    let both = manifest::helm(&["insecurePlaintextTcp.port=7000", "tls.secretName=a"]).unwrap_err();
    assert!(format!("{both:#}").contains("either encrypted or not"), "{both:#}");
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
        "auditLog=-",
        "seccomp=enforce",
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
        ("PODWIRE_AUDIT_LOG", "-"),
        ("PODWIRE_SECCOMP", "enforce"),
    ] {
        assert!(agent.environment.contains(&(name.into(), value.into())), "{name}: {agent:?}");
    }
    assert!(agent.mounts.iter().any(|mount| mount.host == Path::new("/var/run/other")));
    let update = &manifest::of_kind(&documents, "DaemonSet").unwrap()["spec"]["updateStrategy"]["rollingUpdate"];
    assert_eq!(update["maxUnavailable"], 3);
}

#[test]
fn the_settings_of_the_chart_reach_the_plugin() {
    let values = ["cni.enabled=true", "cni.agentAway=closed", "cni.timeout=5s", "cni.binDir=/b", "cni.confDir=/c"];
    let Some(documents) = chart(&values) else { return };
    let installer = Container::read(&documents, "cni-installer", "n").unwrap();
    for word in ["install", "--agent-away=closed", "--timeout=5s"] {
        assert!(installer.command.iter().any(|each| each == word), "{word}: {:?}", installer.command);
    }
    for directory in ["/b", "/c"] {
        assert!(installer.mounts.iter().any(|mount| mount.host == Path::new(directory)), "{:?}", installer.mounts);
    }
}

#[test]
fn the_chart_refuses_values_that_it_does_not_know() {
    for wrong in [
        "runtime=docker",
        "auditLog=audit.log",
        "seccomp=kill",
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
        "cni.agentAway=perhaps",
        "cni.timeout=20",
        "cni.timeout=241s",
        "scheduler.enabled=1",
        "insecurePlaintextTcp.port=65536",
        "insecurePlaintextTcp.enabled=true",
        "tls.port=0",
        "metrics.port=-1",
        "metrics.enabled=true",
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
