//! Certificates that are renewed, and connections that grow old.

use std::time::Duration;

use podwire_client::{Client, WatchRequest};
use podwire_proto::v1::TopologyEvent;
use podwire_tests::{
    condition::{PATIENCE, eventually},
    elements::topology,
};
use tokio::time::timeout;

use super::{
    ADDRESS, Door,
    certificates::{Authority, Files},
    rules,
};
use crate::private;

#[test]
fn new_certificates_are_taken_without_cutting_a_watch_and_bad_ones_are_refused() {
    private(async |lab| {
        let door = Door::open(lab, &rules([("a.example", "*", "read, write")])).await;
        let old = door.client("a.example").await;
        let mut watch = old.watch(WatchRequest::all()).await.unwrap();
        assert_eq!(watch.next().await.unwrap().unwrap().event(), TopologyEvent::Synced);

        door.files.put("ca.crt", "");
        eventually("the empty file is refused", async || {
            let log = door.agent.log();
            anyhow::ensure!(log.contains("new certificates are refused") && log.contains("--tls-client-ca"), "{log}");
            Ok(())
        })
        .await;
        door.client("a.example").await.get_node().await.unwrap();

        let new = Authority::new();
        door.files.replace(&new, &new.issue(&["127.0.0.1"]));
        let files = Files::new(lab.directory().join("new"), &new, &new.issue(&["a.example"]));
        let renewed = eventually("the new ones are taken", async || {
            anyhow::Ok(Client::builder().tls(files.tls()).connect(format!("tls://{ADDRESS}")).await?)
        })
        .await;
        renewed.apply(topology("12")).await.unwrap();
        let event = timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(event.topology.unwrap().name, "12", "the watch of before goes on");
        old.get_node().await.unwrap();
        let error =
            Client::builder().tls(door.tls(&["a.example"])).connect(format!("tls://{ADDRESS}")).await.unwrap_err();
        assert!(error.to_string().contains("not trusted"), "{error}");
    });
}

#[test]
fn an_old_connection_sends_its_watch_to_a_new_one_and_loses_nothing() {
    private(async |lab| {
        let policy = rules([("a.example", "*", "read, write")]);
        let door = Door::open_with(lab, &policy, |agent| agent.arg("--max-connection-age").arg("2")).await;
        let client = door.client("a.example").await;
        let mut watch = client.watch(WatchRequest::all()).await.unwrap();
        let (mut seen, mut connections) = (0, 1);
        while connections < 4 {
            client.apply(topology(&format!("t{seen}"))).await.unwrap();
            let wanted = format!("t{seen}");
            // Until this one is seen, by however many connections.
            loop {
                match timeout(PATIENCE, watch.next()).await.expect("the watch says something") {
                    Some(Ok(event)) if event.topology.as_ref().is_some_and(|it| it.name == wanted) => break,
                    Some(Ok(_)) => {}
                    Some(Err(error)) => {
                        assert!(error.is_unavailable() && error.reason() == Some("CONNECTION_AGE"), "{error}");
                        let request = WatchRequest::all().resume(watch.resume_token());
                        watch = client.watch(request).await.unwrap();
                        connections += 1;
                    }
                    None => panic!("the watch ended as if the agent had left"),
                }
            }
            seen += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("{seen} changes by {connections} connections");
    });
}
