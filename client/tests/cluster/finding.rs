//! The agent that is found is the right one, and its connection is kept while it is.

use podwire_client::{Cluster, ClusterError};
use serde_json::json;

use crate::{
    agent::Agent,
    api::{Api, agent_pod, pod},
};

#[tokio::test]
async fn the_agent_of_a_pod_is_that_of_its_node() {
    let (one, two) = (Agent::start("node-1").await, Agent::start("node-2").await);
    let mut pods = vec![pod("bb1", "node-1"), pod("bb2", "node-2")];
    for (name, node, agent) in [("podwire-agent-a", "node-1", &one), ("podwire-agent-b", "node-2", &two)] {
        let mut pod = agent_pod(name, node);
        pod["metadata"]["annotations"] = json!({"example.org/address": agent.address.to_string()});
        pods.push(pod);
    }
    // Matches by its labels, in another namespace.
    let mut stranger = agent_pod("podwire-agent-c", "node-2");
    stranger["metadata"]["namespace"] = json!("lessons");
    pods.push(stranger);
    let api = Api::start(pods).await;
    let settings = Cluster::builder().address(|agent| {
        let address = agent.annotations.get("example.org/address")?;
        Some(address.parse::<std::net::SocketAddr>().ok()?.into())
    });
    let cluster = api.cluster(settings);

    for (pod, node) in [("bb1", "node-1"), ("bb2", "node-2")] {
        assert_eq!(cluster.node_of("lessons", pod).await.unwrap(), node);
        let agent = cluster.agent_for("lessons", pod).await.unwrap();
        assert_eq!(agent.get_node().await.unwrap().node_name, node);
    }
    assert_eq!(cluster.address_on("node-2").await.unwrap(), two.address.into());
    assert_eq!((one.connections(), two.connections()), (1, 1));
}

#[tokio::test]
async fn two_questions_find_an_agent() {
    let agent = Agent::start("node-1").await;
    let api = Api::start([pod("bb1", "node-1"), agent_pod("podwire-agent-a", "node-1")]).await;
    let cluster = api.cluster(Cluster::builder().port(agent.address.port()));
    cluster.agent_for("lessons", "bb1").await.unwrap();
    let list = "/api/v1/namespaces/podwire-system/pods?&labelSelector=app.kubernetes.io/name=podwire-agent\
                &fieldSelector=spec.nodeName=node-1";
    let asked: Vec<String> = api.asked().iter().map(|path| sorted(path)).collect();
    assert_eq!(asked, [sorted("/api/v1/namespaces/lessons/pods/bb1"), sorted(list)]);
}

/// The order of a query means nothing.
fn sorted(target: &str) -> String {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut parts: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
    parts.sort_unstable();
    format!("{path}?{}", parts.join("&"))
}

#[tokio::test]
async fn a_connection_lasts_as_long_as_the_pod_of_its_agent() {
    let agent = Agent::start("node-1").await;
    let api = Api::start([agent_pod("podwire-agent-a", "node-1")]).await;
    let cluster = api.cluster(Cluster::builder().port(agent.address.port()));
    let connections = async || {
        cluster.clone().agent_on("node-1").await.unwrap().get_node().await.unwrap();
        agent.connections()
    };
    assert_eq!((connections().await, connections().await), (1, 1));

    // The same name and address: another UID is another agent.
    let mut next = agent_pod("podwire-agent-a", "node-1");
    next["metadata"]["uid"] = json!("uid-other");
    api.set([next.clone()]);
    assert_eq!((connections().await, connections().await), (2, 2));

    api.set([]);
    assert!(matches!(cluster.agent_on("node-1").await, Err(ClusterError::NoAgent { .. })));
    api.set([next]);
    assert_eq!(connections().await, 3);
}

#[tokio::test]
async fn an_agent_that_leaves_gives_way_to_the_next() {
    let mut leaving = agent_pod("podwire-agent-a", "node-1");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-03T00:00:00Z");
    leaving["metadata"]["creationTimestamp"] = json!("2026-01-03T00:00:00Z");
    leaving["status"]["hostIP"] = json!("10.0.0.1");
    let mut older = agent_pod("podwire-agent-b", "node-1");
    older["status"]["hostIP"] = json!("10.0.0.2");
    let mut younger = agent_pod("podwire-agent-c", "node-1");
    younger["metadata"]["creationTimestamp"] = json!("2026-01-02T00:00:00Z");
    younger["status"]["hostIP"] = json!("fd00::3");
    let api = Api::start([leaving, younger, older]).await;
    let cluster = api.cluster(Cluster::builder());
    assert_eq!(cluster.address_on("node-1").await.unwrap().to_string(), "tcp://[fd00::3]:7411");
}
