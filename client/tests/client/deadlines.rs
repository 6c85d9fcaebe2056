//! Deadlines: the agent's own, and the client's a little later.

use std::time::{Duration, Instant};

use podwire_client::{Client, DEFAULT_DEADLINE, GRACE, WatchRequest};
use tokio::net::UnixListener;

use crate::{
    agent::{Agent, GetNode, target},
    relay::Relay,
};

#[tokio::test]
async fn the_agent_is_told_the_deadline() {
    let agent = Agent::start(GetNode::Answer);
    let client = Client::connect(agent.target.clone()).await.unwrap();
    assert_eq!(client.deadline(), DEFAULT_DEADLINE);
    assert_eq!(client.get_node().await.unwrap().kernel, "10000000u");
    let quick = client.with_deadline(Duration::from_millis(1500));
    assert_eq!(quick.get_node().await.unwrap().kernel, "1500000u");
    let patient = Client::builder().deadline(Duration::MAX).connect(agent.target.clone()).await.unwrap();
    patient.get_node().await.unwrap();
}

#[tokio::test]
async fn a_watch_has_no_deadline() {
    let agent = Agent::start(GetNode::Answer);
    let client = Client::connect(agent.target.clone()).await.unwrap().with_deadline(Duration::from_millis(50));
    let mut watch = client.watch(WatchRequest::all().resume("7-")).await.unwrap();
    let first = watch.next().await.unwrap().unwrap();
    assert_eq!((first.cause.as_str(), watch.resume_token()), ("", "7-1"));
    let later = tokio::time::timeout(GRACE + Duration::from_millis(300), watch.next()).await;
    assert!(later.is_err(), "{later:?}");
}

#[tokio::test]
async fn a_handler_that_never_answers_is_a_deadline() {
    let agent = Agent::start(GetNode::Never);
    let client = Client::connect(agent.target.clone()).await.unwrap().with_deadline(Duration::from_millis(200));
    let begin = Instant::now();
    let error = client.get_node().await.unwrap_err();
    assert!(error.is_deadline(), "{error:?}");
    // A busy machine is late; a deadline that nobody heeds would never be over.
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(error.to_string().contains("did not answer within 200ms"), "{error}");
}

#[tokio::test]
async fn a_socket_that_never_answers_is_a_deadline_after_the_grace() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent.sock");
    // Connections wait in the backlog; nobody accepts them.
    let _listener = UnixListener::bind(&socket).unwrap();
    let client = Client::connect(target(&socket)).await.unwrap().with_deadline(Duration::from_millis(100));
    let begin = Instant::now();
    let error = client.get_node().await.unwrap_err();
    assert!(error.is_deadline() && error.is_retryable(), "{error:?}");
    assert!(begin.elapsed() >= Duration::from_millis(100) + GRACE, "{:?}", begin.elapsed());
    assert!(error.hint().unwrap().contains("repeats are free"), "{error}");
    // Opening a watch does not wait for ever either.
    assert!(client.watch(WatchRequest::all()).await.unwrap_err().is_deadline());
}

#[tokio::test]
async fn reasons_are_heard_when_they_arrive_after_the_deadline() {
    let (deadline, soon) = (Duration::from_millis(1500), Duration::from_millis(100));
    let agent = Agent::start(GetNode::Reasons(soon));
    // The agent speaks in time, and the wire is slow: it comes most of the grace before it would not be heard.
    let relay = Relay::start(&agent, deadline);
    let client = Client::connect(relay.target.clone()).await.unwrap();
    // What the two sides say to begin with is over then.
    client.get_node().await.unwrap_err();
    let client = client.with_deadline(deadline);
    let begin = Instant::now();
    let error = client.get_node().await.unwrap_err();
    assert!(begin.elapsed() > deadline, "{:?}", begin.elapsed());
    assert!(error.is_deadline(), "{error:?}");
    assert_eq!(error.to_string(), "not ready in time\n  bb1/net1: no such pod");
}
