use std::{sync::Arc, time::Instant};

use tonic::transport::{Channel, Endpoint as Address};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use super::*;
use crate::api::leaving;

fn health() -> (tonic_health::server::HealthReporter, Routes) {
    let (reporter, health) = tonic_health::server::health_reporter();
    (reporter, Routes::new(health))
}

fn layer() -> CallLayer {
    CallLayer::new(tokio::sync::watch::channel(Arc::default()).1)
}

async fn client(endpoint: &Endpoint) -> HealthClient<Channel> {
    let address = endpoint.to_string().replace("tcp://", "http://");
    HealthClient::new(Address::from_shared(address).unwrap().connect().await.unwrap())
}

#[tokio::test]
async fn calls_come_in_by_every_kind_of_socket() {
    let root = tempfile::tempdir().unwrap();
    let unix = Endpoint::Unix(root.path().join("agent.sock"));
    for endpoint in [unix, "tcp://127.0.0.1:0".parse().unwrap()] {
        let (_reporter, routes) = health();
        let listener = Listener::bind(&endpoint).await.unwrap();
        let bound = listener.endpoint();
        let (leave, leaving) = leaving();
        let server = tokio::spawn(listener.serve(routes, layer(), leaving));
        let answer = client(&bound).await.check(HealthCheckRequest::default()).await.unwrap();
        assert!(answer.metadata().contains_key("podwire-request-id"));
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
        leave.ask();
        server.await.unwrap().unwrap();
    }
    assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0, "nothing is left behind");
}

#[tokio::test]
async fn whoever_leaves_takes_no_new_calls_and_finishes_the_old_ones() {
    let root = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::Unix(root.path().join("agent.sock"));
    let (mut reporter, routes) = health();
    let listener = Listener::bind(&endpoint).await.unwrap();
    let (leave, leaving) = leaving();
    let server = tokio::spawn(listener.serve(routes, layer(), leaving));
    let mut watch = client(&endpoint).await.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    leave.ask();
    let started = Instant::now();
    while tokio::net::UnixStream::connect(root.path().join("agent.sock")).await.is_ok() {
        assert!(started.elapsed() < Duration::from_secs(10), "still accepting");
        tokio::task::yield_now().await;
    }
    assert!(!server.is_finished());
    reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    assert_eq!(watch.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    reporter.clear_service_status("").await;
    assert!(watch.message().await.unwrap().is_none());
    server.await.unwrap().unwrap();
}
