//! The manifests as kubectl takes them, where it is on this machine. Where it is not, nothing is skipped under CI: the other
//! tests read the same manifests.

use std::{
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use podwire_tests::manifest;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use crate::rendered::{OVERLAYS, overlay};

fn kubectl() -> Option<PathBuf> {
    let kubectl = manifest::tool("kubectl");
    if kubectl.is_none() {
        eprintln!("kubectl is not on the PATH: nothing was compared");
    }
    kubectl
}

/// Runs a command with `input` on its standard input.
fn fed(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
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

/// `kubectl set … --local` reads a workload into its own types and writes it again, without what is in no type.
#[test]
fn it_knows_every_field_of_our_workloads() {
    let Some(kubectl) = kubectl() else { return };
    let pods = manifest::file("lesson/pods.yaml").unwrap();
    let daemonsets = OVERLAYS.map(|(name, _, _)| overlay(name).unwrap());
    let daemonsets = daemonsets.iter().map(|documents| manifest::of_kind(documents, "DaemonSet").unwrap());
    for ours in daemonsets.chain(&pods) {
        let mut command = Command::new(&kubectl);
        command.args(["set", "env", "--local", "-f", "-", "-o", "json", "PODWIRE_TEST=1"]);
        let output = fed(&mut command, &ours.to_string());
        assert!(output.status.success(), "{output:?}");
        assert_kept(ours, &serde_json::from_slice(&output.stdout).unwrap(), "");
    }
}

/// The kinds that a cluster has, as it tells them: group, version, kind, plural, whether in a namespace.
const KINDS: [(&str, &str, &str, &str, bool); 7] = [
    ("", "v1", "Namespace", "namespaces", false),
    ("", "v1", "ServiceAccount", "serviceaccounts", true),
    ("", "v1", "Pod", "pods", true),
    ("apps", "v1", "DaemonSet", "daemonsets", true),
    ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true),
    ("rbac.authorization.k8s.io", "v1", "Role", "roles", true),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false),
];

/// What an API server with those kinds and no objects answers to a GET.
fn answer(path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let resources = |group: &str, version: &str| {
        let found = KINDS.iter().filter(|kind| (kind.0, kind.1) == (group, version));
        let resources: Vec<Value> = found
            .map(|(_, _, kind, name, namespaced)| {
                json!({"name": name, "singularName": "", "kind": kind, "namespaced": namespaced,
                    "verbs": ["create", "get", "list", "patch"]})
            })
            .collect();
        let version = format!("{group}/{version}");
        let version = version.trim_start_matches('/');
        json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
    };
    match parts[..] {
        ["version"] => Some(json!({"major": "1", "minor": "32", "gitVersion": "v1.32.0"})),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        ["apis"] => {
            let mut groups: Vec<(&str, &str)> = KINDS[3..].iter().map(|kind| (kind.0, kind.1)).collect();
            groups.dedup();
            let groups = groups.iter().map(|(group, version)| {
                let version = json!({"groupVersion": format!("{group}/{version}"), "version": version});
                json!({"name": group, "versions": [version], "preferredVersion": version})
            });
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>()}))
        }
        ["api", version] => Some(resources("", version)),
        ["apis", group, version] => Some(resources(group, version)),
        _ => None,
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        heard.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&heard);
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let missing = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404});
    let (code, body) = match answer(path) {
        Some(body) if method == "GET" => (200, body),
        _ => (404, missing),
    };
    let body = body.to_string();
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await
}

/// The commands of the documentation, with a dry run: kubectl asks a cluster what kinds there are, and compares nothing
/// more where that has no description of them.
#[test]
fn it_takes_what_the_documentation_applies() {
    let Some(kubectl) = kubectl() else { return };
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    // Where it keeps what it learnt.
    let home = TempDir::new().unwrap();
    let apply = |flag: &str, path: &str| {
        let mut command = Command::new(&kubectl);
        command.env("HOME", home.path()).env("KUBECONFIG", "/dev/null").args(["--server", &server, "apply"]);
        command.args(["--dry-run=client", "--validate=false", flag]).arg(manifest::folder().join(path));
        fed(&mut command, "")
    };
    let overlays = OVERLAYS.map(|(name, _, _)| format!("kustomize/overlays/{name}"));
    let paths = overlays.iter().map(|path| ("-k", path.as_str()));
    for (flag, path) in paths.chain([("-k", "lesson"), ("-f", "kustomize/components/scheduler/rights.yaml")]) {
        let output = apply(flag, path);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        let documents = match flag {
            "-k" => manifest::kustomize(path).unwrap().unwrap(),
            _ => manifest::file(path).unwrap(),
        };
        for document in &documents {
            let (kind, group) =
                KINDS.iter().find(|kind| document["kind"] == kind.2).map(|kind| (kind.2, kind.0)).unwrap();
            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
            let name = document["metadata"]["name"].as_str().unwrap();
            let line = format!("{}{group}/{name} created (dry run)", kind.to_lowercase());
            assert!(said.lines().any(|each| each == line), "{path}: {line}: {said}");
        }
        assert_eq!(said.lines().count(), documents.len(), "{path}: {said}");
    }
    let output = apply("-f", "lesson/topology.yaml");
    assert!(!output.status.success(), "a topology is nothing of Kubernetes': {output:?}");
}
