//! TLS with an agent, and what is said where it does not come about.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod agent;
mod certificates;

use std::time::Duration;

use podwire_client::{Client, ConnectError, Tls};

use agent::Agent;
use certificates::{Authority, Files, Pair};
use tempfile::TempDir;

fn files_of(ca: &Authority, pair: &Pair) -> Files<TempDir> {
    Files::new(tempfile::tempdir().unwrap(), ca, pair)
}

async fn connect(target: &str, tls: Tls) -> Result<Client, ConnectError> {
    Client::builder().tls(tls).connect_timeout(Duration::from_secs(30)).connect(target).await
}

#[tokio::test]
async fn the_agent_is_who_the_target_or_the_settings_say() {
    let ca = Authority::new();
    let id = "spiffe://cluster.local/ns/podwire-system/sa/podwire-agent";
    let files = files_of(&ca, &ca.issue(&["sched.example"]));
    for (names, server_name, good) in [
        (vec!["127.0.0.1"], None, true),
        (vec!["agents.example"], None, false),
        (vec!["agents.example"], Some("agents.example"), true),
        (vec!["*.agents.example"], Some("a.agents.example"), true),
        (vec!["others.example"], Some("agents.example"), false),
        (vec![id], Some(id), true),
        (vec![id, "agents.example"], Some(id), true),
        (vec![id, "spiffe://cluster.local/other"], Some(id), false),
        (vec!["spiffe://cluster.local/other"], Some(id), false),
        (vec![id], None, false),
    ] {
        let agent = Agent::start(&ca.issue(&names), &ca).await;
        let tls = match server_name {
            Some(name) => files.tls().server_name(name),
            None => files.tls(),
        };
        match connect(&agent.target, tls).await {
            Ok(client) => {
                assert!(good, "{names:?} {server_name:?}");
                client.get_node().await.unwrap();
            }
            Err(error) => {
                assert!(!good, "{names:?} {server_name:?}: {error}");
                assert!(matches!(error, ConnectError::Untrusted { .. }), "{error:?}");
                assert!(error.to_string().contains("--tls-server-name"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn who_is_refused_hears_it_when_connecting_and_why() {
    let (ca, other) = (Authority::new(), Authority::new());
    let agent = Agent::start(&ca.issue(&["127.0.0.1"]), &ca).await;
    for (pair, words) in
        [(other.issue(&["a"]), "not in the agent's --tls-client-ca"), (ca.expired("a"), "have it renewed")]
    {
        let error = connect(&agent.target, files_of(&ca, &pair).tls()).await.unwrap_err();
        assert!(matches!(error, ConnectError::CertificateRefused { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains("refused this client's certificate") && said.contains(words), "{said}");
    }
    let error = connect(&agent.target, files_of(&other, &ca.issue(&["a"])).tls()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Untrusted { .. }) && error.to_string().contains("--tls-ca"), "{error}");
}

#[tokio::test]
async fn files_that_are_of_no_use_are_named() {
    let ca = Authority::new();
    let agent = Agent::start(&ca.issue(&["127.0.0.1"]), &ca).await;
    let pair = ca.issue(&["a"]);
    for (file, text, words) in [
        ("tls.crt", "", "has no certificate"),
        ("tls.key", "", "has no private key"),
        ("tls.key", ca.issue(&["a"]).key.as_str(), "is not the key of the certificate"),
        ("ca.crt", "", "has no certificate"),
        ("ca.crt", &pair.cert[..pair.cert.len() / 2], "not whole PEM"),
    ] {
        let files = files_of(&ca, &pair);
        files.put(file, text);
        let error = connect(&agent.target, files.tls()).await.unwrap_err();
        assert!(matches!(error, ConnectError::TlsFile { .. }), "{error:?}");
        assert!(error.to_string().contains(file) && error.to_string().contains(words), "{error}");
    }
    let error = connect(&agent.target, files_of(&ca, &pair).tls().server_name("a b")).await.unwrap_err();
    assert!(error.to_string().contains("`a b`"), "{error}");
}

#[tokio::test]
async fn the_next_connection_has_the_files_as_they_are_then() {
    let (old, new) = (Authority::new(), Authority::new());
    let files = files_of(&old, &old.issue(&["a"]));
    let first = Agent::start(&old.issue(&["127.0.0.1"]), &old).await;
    let client = connect(&first.target, files.tls()).await.unwrap();
    client.get_node().await.unwrap();
    let address = first.stop().await;
    let second = Agent::start_at(address, &new.issue(&["127.0.0.1"]), &new).await;
    let untrusted = async {
        // The old connection may last a moment longer.
        loop {
            let failed = client.get_node().await.err();
            let why = failed.as_ref().and_then(podwire_client::Error::connect_error);
            if matches!(why, Some(ConnectError::Untrusted { .. })) {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), untrusted).await.expect("another authority is not trusted");
    files.replace(&new, &new.issue(&["a"]));
    client.get_node().await.unwrap();
    drop(second);
}

#[tokio::test]
async fn nothing_is_sent_where_it_would_not_be_encrypted() {
    let ca = Authority::new();
    let files = files_of(&ca, &ca.issue(&["a"]));
    let error = connect("tcp://127.0.0.1:1", files.tls()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Plaintext { .. }) && error.to_string().contains("tls://"), "{error}");
    let error = Client::connect("tls://127.0.0.1:1").await.unwrap_err();
    assert!(matches!(error, ConnectError::NoCertificate { .. }), "{error}");
}
