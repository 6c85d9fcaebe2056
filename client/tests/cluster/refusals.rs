//! What is not found is said with what was seen and what to do.

use std::time::Duration;

use podwire_client::{Cluster, ClusterError, PodState};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api::{self, Api, agent_pod, pod, status};

#[tokio::test]
async fn pods_that_have_no_agent_are_refused_with_the_reason() {
    let with = |name: &str, pointer: &str, value: Value| {
        let mut pod = pod(name, "node-1");
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        pod.pointer_mut(parent).unwrap()[field] = value;
        pod
    };
    let mut unscheduled = with("waits", "/spec/nodeName", Value::Null);
    let said =
        json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes fit"}]);
    unscheduled["status"] = json!({"phase": "Pending", "conditions": said});
    let api = Api::start([
        unscheduled,
        with("leaves", "/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z")),
        with("done", "/status/phase", json!("Succeeded")),
        with("host", "/spec/hostNetwork", json!(true)),
        pod("lonely", "node-1"),
    ])
    .await;
    let cluster = api.cluster(Cluster::builder());
    for (pod, expected) in [
        ("none", "there is no pod lessons/none\nhint: "),
        (
            "waits",
            "pod lessons/waits is not on a node yet: PodScheduled is False: Unschedulable: 0/3 nodes fit\nhint: ask",
        ),
        ("leaves", "pod lessons/leaves on node node-1 cannot be wired: it is terminating\nhint: wait"),
        ("done", "cannot be wired: it has finished\nhint: create it anew"),
        ("host", "cannot be wired: it has hostNetwork, so its network namespace is the node's own\nhint: take"),
        ("lonely", "there is no agent on node node-1: no pod with labels app.kubernetes.io/name=podwire-agent in"),
    ] {
        let text = cluster.agent_for("lessons", pod).await.unwrap_err().to_string();
        assert!(text.contains(expected), "{pod}: {text}");
    }
    let error = cluster.agent_for("lessons", "host").await.unwrap_err();
    assert!(matches!(error, ClusterError::NotWirable { state: PodState::HostNetwork, .. }) && !error.is_retryable());
    assert_eq!(cluster.node_of("lessons", "leaves").await.unwrap(), "node-1", "its wires can still be taken away");
}

#[tokio::test]
async fn an_agent_that_is_not_ready_is_reported_with_its_conditions() {
    let mut agent = agent_pod("podwire-agent-a", "node-1");
    agent["status"]["conditions"] = json!([{
        "type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "unready: [agent]",
    }]);
    agent["status"]["containerStatuses"] =
        json!([{"name": "agent", "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}}]);
    let api = Api::start([agent]).await;
    let error = api.cluster(Cluster::builder()).agent_on("node-1").await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "the agent of node node-1 is not ready: pod podwire-system/podwire-agent-a: Ready is False: ContainersNotReady: \
         unready: [agent]; container agent waits: CrashLoopBackOff: back-off 10s\n\
         hint: ask again later; if it stays so, its log says why"
    );
}

#[tokio::test]
async fn an_agent_that_does_not_listen_is_reported_with_its_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let mut nowhere = agent_pod("podwire-agent-b", "node-2");
    nowhere["status"]["hostIP"] = json!("not an address");
    let api = Api::start([agent_pod("podwire-agent-a", "node-1"), nowhere]).await;
    let cluster = api.cluster(Cluster::builder().port(port));
    let text = cluster.agent_on("node-1").await.unwrap_err().to_string();
    assert!(text.contains(&format!("tcp://127.0.0.1:{port}")) && text.contains("PODWIRE_LISTEN"), "{text}");
    let text = cluster.agent_on("node-2").await.unwrap_err().to_string();
    assert!(text.starts_with("no address can be made of pod podwire-system/podwire-agent-b"), "{text}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let api = Api::start([]).await;
    let cluster = api.cluster(Cluster::builder());
    api.answer(403, status(403, "Forbidden", "pods is forbidden: User \"x\" cannot"));
    let text = cluster.node_of("lessons", "bb1").await.unwrap_err().to_string();
    assert!(text.contains("does not allow to get pods in namespace lessons: pods is forbidden: User"), "{text}");
    let text = cluster.agent_on("node-1").await.unwrap_err().to_string();
    assert!(text.contains("verb `list` on `pods`") && text.contains("namespace podwire-system"), "{text}");
    api.answer(401, status(401, "Unauthorized", "Unauthorized"));
    let text = cluster.agent_on("node-1").await.unwrap_err().to_string();
    assert!(text.starts_with("the Kubernetes API does not know who asks: Unauthorized"), "{text}");
    api.answer(404, "404 page not found");
    let text = cluster.agent_on("node-1").await.unwrap_err().to_string();
    assert!(text.contains("is it Kubernetes' API?"), "{text}");
    api.answer(500, status(500, "InternalError", "etcd is away"));
    let text = cluster.agent_on("node-1").await.unwrap_err().to_string();
    assert!(text.contains("from the Kubernetes API: etcd is away (HTTP status 500)"), "{text}");
}

#[tokio::test]
async fn an_api_server_that_is_away_or_silent_is_an_error() {
    let api = Api::start([]).await;
    api.fall_silent();
    let cluster = api.cluster(Cluster::builder().api_timeout(Duration::from_millis(200)));
    let text = cluster.agent_on("node-1").await.unwrap_err().to_string();
    assert!(text.contains("no answer within 200ms"), "{text}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Cluster::new(api::client(address)).node_of("lessons", "bb1").await.unwrap_err();
    assert!(error.to_string().contains("onnection refused") && error.is_retryable(), "{error}");
}

#[tokio::test]
async fn odd_answers_are_errors_and_nothing_worse() {
    let api = Api::start([]).await;
    let cluster = api.cluster(Cluster::builder());
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "7",
        "{\"items\": null}",
        "{\"items\": [null]}",
        "{\"items\": [{}]}",
        "{\"items\": {}}",
        "{\"spec\": 7}",
        "{\"spec\": {\"nodeName\": 7}}",
        "{\"spec\": {\"nodeName\": \"\"}, \"status\": null}",
        "{\"items\": [{\"spec\": {\"nodeName\": \"node-1\"}}]}",
        "{\"items\": [{\"spec\": {\"nodeName\": \"node-1\"}, \"status\": {\"conditions\": [{}], \"containerStatuses\": [{}]}}]}",
        "<html>",
    ] {
        for code in [200, 204, 302, 400, 404, 599] {
            api.answer(code, body);
            let asked = cluster.agent_for("lessons", "bb1").await.unwrap_err();
            let listed = cluster.agent_on("node-1").await.unwrap_err();
            for error in [asked.to_string(), listed.to_string()] {
                assert!(error.contains("\nhint: "), "{code} {body}: {error}");
            }
        }
    }
    // A node that no name can have is not asked for.
    api.answer(200, "{\"spec\": {\"nodeName\": \"a,b=c\"}}");
    api.asked();
    let text = cluster.agent_for("lessons", "bb1").await.unwrap_err().to_string();
    assert!(text.starts_with("`a,b=c` is not a name of a node"), "{text}");
    assert_eq!(api.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_name_is_never_asked_for() {
    let api = Api::start([]).await;
    let cluster = api.cluster(Cluster::builder());
    for (namespace, pod) in
        [("lessons", "../secrets/x"), ("..", "bb1"), ("", "bb1"), ("lessons", ""), ("lessons", "a?b")]
    {
        let error = cluster.agent_for(namespace, pod).await.unwrap_err();
        assert!(matches!(error, ClusterError::Name { .. }), "{error}");
    }
    assert!(matches!(cluster.agent_on("n,metadata.name=x").await, Err(ClusterError::Name { .. })));
    assert!(api.asked().is_empty());
}
