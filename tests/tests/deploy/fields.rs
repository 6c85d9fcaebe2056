//! The DaemonSet as it is written: what a cluster would do with it, held against the program.

use std::{collections::BTreeSet, fs, path::Path, process::Command, time::Duration};

use podwire_tests::{
    condition::eventually,
    daemonset::{Container, Propagation},
    lab::Lab,
    manifest,
};
use serde_json::Value;

use crate::private;

fn daemonset() -> Vec<Value> {
    manifest::file("kustomize/base/daemonset.yaml").unwrap()
}

fn agent() -> Container {
    Container::read(&daemonset(), "agent", "node-1").unwrap()
}

fn help(lab: &Lab, args: &[String]) -> String {
    manifest::output(Command::new(lab.binary("podwire-agent")).args(args).arg("--help")).unwrap()
}

/// The default of a flag, as `--help` has it.
fn default_of(help: &str, flag: &str) -> String {
    let after = help.split_once(&format!("--{flag} <")).unwrap_or_else(|| panic!("--{flag}: {help}")).1;
    after.split_once("[default: ").unwrap().1.split_once(']').unwrap().0.to_owned()
}

#[test]
fn the_agent_has_what_it_needs_and_kubernetes_allows_it() {
    let agent = agent();
    assert!(agent.privileged, "else Kubernetes refuses Bidirectional mounts");
    assert!(agent.read_only_root && agent.host_network && agent.host_pid);
    assert_eq!(agent.user, Some(0));
    assert_eq!(agent.command, ["/usr/bin/podwire-agent"]);
    assert!(agent.environment.contains(&("PODWIRE_NODE_NAME".into(), "node-1".into())));
    let netns = agent.mounts.iter().find(|mount| mount.container == Path::new("/run/netns")).unwrap();
    assert_eq!((netns.propagation, netns.read_only), (Propagation::Bidirectional, false));
    for mount in &agent.mounts {
        assert_eq!(mount.host, mount.container, "the same path outside and inside: errors name it");
    }
}

#[test]
fn the_pod_is_one_of_the_nodes_own_parts_and_has_no_rights_in_the_cluster() {
    let documents = daemonset();
    let spec = &manifest::of_kind(&documents, "DaemonSet").unwrap()["spec"];
    let pod = &spec["template"]["spec"];
    assert_eq!(pod["priorityClassName"], "system-node-critical");
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(pod["tolerations"], serde_json::json!([{"operator": "Exists"}]));
    let terms = &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    let away = serde_json::json!({"key": "podwire/agent", "operator": "NotIn", "values": ["away"]});
    assert_eq!(terms[0]["matchExpressions"][0], away, "as docs/operations.md has it for work on the state of a node");
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(spec["updateStrategy"]["type"], "RollingUpdate");
    assert_eq!(spec["updateStrategy"]["rollingUpdate"]["maxSurge"], 0, "two agents on a node cannot be");
    assert_eq!(spec["selector"]["matchLabels"].as_object().unwrap().len(), 1);
    assert_eq!(
        spec["selector"]["matchLabels"]["app.kubernetes.io/name"],
        spec["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
    );
    let resources = &pod["containers"][0]["resources"];
    assert!(resources["requests"]["cpu"].is_string() && resources["requests"]["memory"].is_string());
    assert!(resources["limits"].is_null(), "an agent that dies of its limit is away in a burst of pods");
    let account = manifest::file("kustomize/base/serviceaccount.yaml").unwrap();
    assert_eq!(account[0]["metadata"]["name"], pod["serviceAccountName"]);
    assert_eq!(account[0]["automountServiceAccountToken"], false);
    let namespace = manifest::file("kustomize/base/namespace.yaml").unwrap();
    assert_eq!(namespace[0]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "privileged");
}

/// The names of all variables that the manifests set, those of overlays and of the chart included.
fn settings() -> BTreeSet<String> {
    let folder = manifest::folder();
    let overlays = ["containerd", "k3s", "crio"].map(|name| format!("kustomize/overlays/{name}/runtime.yaml"));
    let others = [
        "kustomize/base/daemonset.yaml",
        "kustomize/components/tcp/listen.yaml",
        "kustomize/components/tls/agent.yaml",
        "helm/podwire/templates/daemonset.yaml",
    ];
    let others = others.map(str::to_owned);
    let text = |path: &String| fs::read_to_string(folder.join(path)).unwrap();
    let texts: Vec<String> = overlays.iter().chain(&others).map(text).collect();
    let names =
        texts.iter().flat_map(|text| text.lines().filter_map(|line| line.trim().strip_prefix("- name: PODWIRE_")));
    names.map(|name| format!("PODWIRE_{name}")).collect()
}

#[test]
fn every_setting_in_the_manifests_is_one_of_the_program() {
    private(async |lab| {
        let help = help(lab, &[]);
        let settings = settings();
        assert!(settings.len() >= 12, "{settings:?}");
        for name in settings {
            assert!(help.contains(&format!("[env: {name}=")), "{name}: {help}");
        }
    });
}

/// Whether a program of ours takes the arguments of a command. An unknown one is refused before --help is seen.
fn takes(lab: &Lab, command: &[String]) -> bool {
    let program = lab.binary(Path::new(&command[0]).file_name().unwrap().to_str().unwrap());
    let taken = || Command::new(&program).args(&command[1..]).arg("--help").output().unwrap().status.success();
    program.is_file() && taken()
}

#[test]
fn every_other_command_in_the_manifests_is_one_of_our_programs() {
    private(async |lab| {
        let installer = manifest::file("kustomize/components/cni/installer.yaml").unwrap();
        let mut commands = vec![Container::read(&installer, "cni-installer", "node-1").unwrap().command];
        let removal = &manifest::file("kustomize/components/cni-removal/uninstall.yaml").unwrap()[0];
        let removal = removal["spec"]["template"]["spec"]["containers"][0]["command"].as_array().unwrap();
        commands.push(removal.iter().map(|word| word.as_str().unwrap().to_owned()).collect());
        for pod in manifest::file("lesson/pods.yaml").unwrap() {
            let command = pod["spec"]["initContainers"][0]["command"].as_array().unwrap().clone();
            commands.push(command.iter().map(|word| word.as_str().unwrap().to_owned()).collect());
        }
        for command in commands {
            assert!(takes(lab, &command), "{command:?}");
        }
        assert!(takes(lab, &["/usr/bin/podwire", "show"].map(str::to_owned)));
        assert!(!takes(lab, &["/usr/bin/podwire", "show", "--no-such-flag"].map(str::to_owned)));
    });
}

#[test]
fn every_directory_that_the_program_writes_to_is_one_of_the_node() {
    private(async |lab| {
        let help = help(lab, &[]);
        let socket = default_of(&help, "listen");
        let socket = Path::new(socket.strip_prefix("unix://").unwrap()).parent().unwrap();
        let (netns, state) = (default_of(&help, "netns-dir"), default_of(&help, "state-dir"));
        for directory in [socket, Path::new(&netns), Path::new(&state)] {
            let agent = agent();
            let mount = agent.mounts.iter().find(|mount| mount.container == directory);
            let mount = mount.unwrap_or_else(|| panic!("{} is not mounted", directory.display()));
            assert!(mount.create && !mount.read_only, "{mount:?}");
        }
    });
}

#[test]
fn the_pod_has_longer_to_leave_than_calls_under_way_have() {
    private(async |lab| {
        let agent = agent();
        let drain = |text: &str| Duration::from_secs(text.parse().unwrap());
        let (_, set) = agent.environment.iter().find(|(name, _)| name == "PODWIRE_DRAIN_TIMEOUT").unwrap();
        let default = default_of(&help(lab, &[]), "drain-timeout");
        for drain in [drain(set), drain(&default)] {
            assert!(agent.grace >= drain + Duration::from_secs(10), "{:?} for {drain:?}", agent.grace);
        }
    });
}

#[test]
fn every_probe_is_a_command_of_the_program_that_finds_a_running_agent_well() {
    private(async |lab| {
        let container = agent();
        let fields: Vec<&str> = container.probes.iter().map(|probe| probe.field).collect();
        assert_eq!(fields, ["startupProbe", "readinessProbe", "livenessProbe"]);
        // As in the pod: by the environment of the manifest.
        let mut agent = lab.agent().with("--node-name", "lab");
        for (name, value) in &container.environment {
            agent = agent.env(name, value);
        }
        let agent = agent.start().await;
        for probe in &container.probes {
            let (program, args) = probe.command.split_first().unwrap();
            assert_eq!(*program, container.command[0]);
            // An unknown flag would be refused before --help is seen.
            help(lab, args);
            assert!(probe.timeout > Duration::from_secs(1), "the command gives itself 0.8 s");
            let run = || {
                let mut command = Command::new(lab.binary("podwire-agent"));
                command.args(args).envs(container.environment.iter().map(|(name, value)| (name, value)));
                manifest::output(&mut command)
            };
            eventually(probe.field, async || run()).await;
        }
        let liveness = container.probes.last().unwrap();
        assert!(liveness.command.contains(&"--live".to_owned()), "{liveness:?}");
        assert!(liveness.patience > container.grace, "a slow node is no reason to start the agent anew");
        assert!(agent.log().starts_with('{'), "JSON, as the manifest has it: {}", agent.log());
    });
}
