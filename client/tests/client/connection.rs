//! Reaching an agent, and losing it.

use std::{error::Error as _, time::Duration};

use podwire_client::{Client, ConnectError, WatchRequest};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, UnixListener},
};

use crate::{
    agent::{Agent, GetNode, target},
    relay::Relay,
};

#[tokio::test]
async fn a_missing_socket_is_reported_with_the_default_one() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("none.sock");
    let error = Client::connect(target(&socket)).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoSocket { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(socket.to_str().unwrap()), "{text}");
    let hint = "is the agent running? it listens on unix:///run/podwire/agent.sock by default";
    assert!(text.ends_with(hint), "{text}");
    assert!(error.source().is_none(), "all is said");
}

#[tokio::test]
async fn the_socket_of_a_dead_agent_is_reported_as_such() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    drop(UnixListener::bind(&socket).unwrap());
    let error = Client::connect(target(&socket)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("its agent is gone"), "{error}");
}

#[tokio::test]
async fn a_tcp_port_without_an_agent_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::connect(format!("tcp://{address}")).await.unwrap_err();
    assert!(matches!(error, ConnectError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("--listen"), "{error}");
}

#[tokio::test]
async fn a_target_that_is_none_is_a_connect_error() {
    let error = Client::connect("agent.sock").await.unwrap_err();
    assert!(matches!(error, ConnectError::Target(_)), "{error:?}");
}

#[tokio::test]
async fn an_agent_that_hangs_up_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Past the preface: the request has left by then.
            let mut heard = [0; 128];
            let _ = stream.read_exact(&mut heard).await;
        }
    });
    let client = Client::connect(target(&socket)).await.unwrap();
    let error = client.get_node().await.unwrap_err();
    assert!(error.is_unavailable() && error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains(socket.to_str().unwrap()), "{error}");
}

#[tokio::test]
async fn a_client_finds_an_agent_that_restarted() {
    let agent = Agent::start(GetNode::Answer);
    let client = Client::connect(agent.target.clone()).await.unwrap();
    client.get_node().await.unwrap();

    let directory = agent.stop().await;
    let error = client.get_node().await.unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(error.to_string().contains("there is no such socket\nhint: is the agent running?"), "{error}");
    assert!(matches!(error.connect_error(), Some(ConnectError::NoSocket { .. })));

    let agent = Agent::start_in(directory, GetNode::Answer);
    client.get_node().await.unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn a_watch_ends_with_an_error_when_its_wire_is_cut() {
    let agent = Agent::start(GetNode::Answer);
    let relay = Relay::start(&agent, Duration::ZERO);
    let client = Client::connect(relay.target.clone()).await.unwrap();
    let mut watch = client.watch(WatchRequest::all()).await.unwrap();
    watch.next().await.unwrap().unwrap();

    relay.cut().await;
    let error = watch.next().await.unwrap().unwrap_err();
    assert!(error.is_unavailable(), "{error:?}");
    assert!(error.to_string().contains("hung up"), "{error}");
    assert!(error.source().is_some() && error.connect_error().is_none());
    assert_eq!(watch.resume_token(), "1");
    assert!(watch.next().await.is_none());
}
