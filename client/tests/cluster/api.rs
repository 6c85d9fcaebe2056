//! An API server that knows pods: one by its name, and lists by labels and node.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use podwire_client::{Cluster, ClusterBuilder, kube};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What the server has.
#[derive(Default)]
struct State {
    pods: Vec<Value>,
    /// Answers this to everything.
    answer: Option<(u16, String)>,
    /// Takes questions and says nothing.
    silent: bool,
    asked: Vec<String>,
}

pub(crate) struct Api {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Api {
    pub(crate) async fn start(pods: impl IntoIterator<Item = Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { pods: pods.into_iter().collect(), ..State::default() }));
        let shared = state.clone();
        // Ends with the runtime of the test.
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state }
    }

    pub(crate) fn set(&self, pods: impl IntoIterator<Item = Value>) {
        self.state.lock().unwrap().pods = pods.into_iter().collect();
    }

    pub(crate) fn answer(&self, status: u16, body: impl Into<String>) {
        self.state.lock().unwrap().answer = Some((status, body.into()));
    }

    pub(crate) fn fall_silent(&self) {
        self.state.lock().unwrap().silent = true;
    }

    /// Paths and queries that were asked for, since the last time.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    pub(crate) fn cluster(&self, settings: ClusterBuilder) -> Cluster {
        settings.build(client(self.address))
    }
}

pub(crate) fn client(address: SocketAddr) -> kube::Client {
    let mut config = kube::Config::new(format!("http://{address}").parse().unwrap());
    // What the server refuses is to be seen at once.
    config.default_retry = false;
    kube::Client::try_from(config).unwrap()
}

/// A refusal as the API server writes it.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
        .to_string()
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => heard.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(heard).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    if state.lock().unwrap().silent {
        return std::future::pending().await;
    }
    let (code, body) = state.lock().unwrap().reply(&target);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {code} Answer\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
}

impl State {
    fn reply(&mut self, target: &str) -> (u16, String) {
        let target = target.replace("%2F", "/").replace("%3D", "=");
        self.asked.push(target.clone());
        if let Some(answer) = &self.answer {
            return answer.clone();
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let parts: Vec<&str> = path.trim_start_matches("/api/v1/namespaces/").split('/').collect();
        let here = |pod: &&Value| pod["metadata"]["namespace"] == parts[0];
        match parts[..] {
            [_, "pods", name] => match self.pods.iter().filter(here).find(|pod| pod["metadata"]["name"] == name) {
                Some(pod) => (200, pod.to_string()),
                None => (404, status(404, "NotFound", &format!("pods \"{name}\" not found"))),
            },
            [_, "pods"] => {
                let found: Vec<&Value> = self.pods.iter().filter(here).filter(|pod| selected(pod, query)).collect();
                (200, json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found}).to_string())
            }
            _ => (404, "404 page not found".to_owned()),
        }
    }
}

fn selected(pod: &Value, query: &str) -> bool {
    query.split('&').filter(|part| !part.is_empty()).all(|part| {
        let (selector, (key, value)) =
            part.split_once('=').map(|(s, rest)| (s, rest.split_once('=').unwrap())).unwrap();
        match (selector, key) {
            ("labelSelector", label) => pod["metadata"]["labels"][label] == value,
            ("fieldSelector", "spec.nodeName") => pod["spec"]["nodeName"] == value,
            _ => panic!("{part} is asked for"),
        }
    })
}

/// A pod of namespace `lessons`, on the node.
pub(crate) fn pod(name: &str, node: &str) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "lessons", "uid": format!("uid-{name}")},
        "spec": {"nodeName": node, "containers": []},
        "status": {"phase": "Running"},
    })
}

/// The ready pod of an agent of the node.
pub(crate) fn agent_pod(name: &str, node: &str) -> Value {
    json!({
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {
            "name": name, "namespace": "podwire-system", "uid": format!("uid-{name}"),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app.kubernetes.io/name": "podwire-agent"},
        },
        "spec": {"nodeName": node, "hostNetwork": true},
        "status": {
            "phase": "Running", "hostIP": "127.0.0.1",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
        },
    })
}
