//! The example of a lesson: what its NetworkPolicy lets through, and that its wires fit its pods.

use podwire_proto::v1::State;
use podwire_tests::{
    elements::{interfaces, state},
    lab::Lab,
    manifest,
};
use serde_json::{Value, json};

use crate::private;

fn lesson(file: &str) -> Vec<Value> {
    manifest::file(&format!("lesson/{file}")).unwrap()
}

fn namespace() -> Value {
    lesson("namespace.yaml")[0]["metadata"]["name"].clone()
}

#[test]
fn the_policy_keeps_the_lesson_within_its_namespace_and_lets_dns_through() {
    let policy = &lesson("network-policy.yaml")[0];
    assert_eq!((&policy["apiVersion"], &policy["kind"]), (&json!("networking.k8s.io/v1"), &json!("NetworkPolicy")));
    assert_eq!(policy["metadata"]["namespace"], namespace());
    let spec = &policy["spec"];
    assert_eq!(spec["podSelector"], json!({}), "all pods");
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]), "what is not let through is not");
    // A podSelector without a namespaceSelector selects in the policy's own namespace.
    let own = json!({"podSelector": {}});
    assert_eq!(spec["ingress"], json!([{"from": [own]}]));
    let dns = json!({
        "to": [{
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    });
    assert_eq!(spec["egress"], json!([{"to": [own]}, dns]));
}

#[test]
fn its_pods_wait_for_exactly_the_interfaces_that_its_topology_gives_them() {
    private(async |lab: &Lab| {
        let pods = lesson("pods.yaml");
        for pod in &pods {
            assert_eq!(pod["metadata"]["namespace"], namespace());
            lab.pod(pod["metadata"]["name"].as_str().unwrap());
        }
        let agent = lab.agent().start().await;
        let file = manifest::folder().join("lesson/topology.yaml");
        lab.podwire_ok(&["apply", "--yes", "-f", file.to_str().unwrap()]);
        let request = podwire_proto::v1::GetTopologyRequest {
            namespace: namespace().as_str().unwrap().into(),
            name: "lesson".into(),
        };
        let topology = agent.topologies().get_topology(request).await.unwrap().into_inner().topology.unwrap();
        assert_eq!(state(&topology), State::Ready);
        assert_eq!(interfaces(&topology).count(), 5);
        for pod in &pods {
            let name = pod["metadata"]["name"].as_str().unwrap();
            let init = &pod["spec"]["initContainers"][0];
            let command: Vec<&str> = init["command"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert_eq!(command[..3], ["/usr/bin/podwire", "wait", "--for"]);
            assert_eq!(command[3].split(',').collect::<Vec<_>>(), lab.link_names(name), "{name}");
            assert_eq!(init["securityContext"]["capabilities"]["drop"], json!(["ALL"]));
            assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
        }
    });
}
