//! Certificates that are renewed, and connections that grow old.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use podwire_client::{CaptureRequest, Client, WatchRequest};
use podwire_proto::v1::{Topology, TopologyEvent};
use podwire_tests::{
    condition::{PATIENCE, eventually},
    elements::{link, nic, topology},
    lab::agent::AgentBuilder,
};
use tokio::time::timeout;
use tonic::Code;

use super::{
    ADDRESS, Door,
    certificates::{self, Authority},
    end_of, rules,
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
        let files = certificates::files(lab.directory().join("new"), &new, &new.issue(&["a.example"]));
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
fn whose_certificate_is_revoked_does_not_get_in_from_then_on() {
    private(async |lab| {
        let crl = lab.directory().join("agent-tls").join("ca.crl");
        let (authority, other) = (Authority::new(), Authority::new());
        super::write(&crl, &authority.revoked(&[7]));
        let path = crl.display().to_string();
        let agent = |agent: AgentBuilder| agent.arg("--tls-client-crl").arg(path);
        let door = Door::open_by(lab, authority, &rules([("a.example", "*", "read")]), agent).await;
        let files = |number: u64| {
            let directory = lab.directory().join(format!("numbered-{number}"));
            certificates::files(directory, &door.authority, &door.authority.numbered("a.example", number))
        };
        let comes = async |number: u64| {
            let client = Client::builder().tls(files(number).tls()).connect(format!("tls://{ADDRESS}")).await;
            match client {
                Ok(client) => client.get_node().await.map(|_| client).map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        };
        let refused = async |number: u64| {
            let error = comes(number).await.expect_err("it is revoked");
            assert!(error.contains("refused this client's certificate") && error.contains("has revoked it"), "{error}");
        };
        refused(7).await;
        let inside = comes(8).await.unwrap();

        // What is no list takes nothing away.
        super::write(&crl, "");
        eventually("the empty file is refused", async || {
            let log = door.agent.log();
            anyhow::ensure!(log.contains("has no revocation list") && log.contains("--tls-client-crl"), "{log}");
            Ok(())
        })
        .await;
        refused(7).await;

        super::write(&crl, &door.authority.revoked(&[8]));
        eventually("the new list holds", async || {
            anyhow::ensure!(comes(8).await.is_err(), "it still gets in");
            Ok(())
        })
        .await;
        refused(8).await;
        comes(7).await.unwrap();
        inside.get_node().await.expect("a connection that is there lasts until it is too old");

        // Another authority has revoked nothing here.
        super::write(&crl, &other.revoked(&[7]));
        eventually("nobody is revoked", async || comes(8).await).await;
        comes(7).await.unwrap();
    });
}

#[test]
fn a_capture_ends_with_its_callers_certificate_and_says_so() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let path = lab.directory().join("audit.log");
        let to = path.display().to_string();
        let policy = rules([("a.example", "lessons", "capture"), ("w.example", "*", "read, write")]);
        let door = Door::open_with(lab, &policy, |agent| agent.arg("--audit-log").arg(to)).await;
        let wire = Topology { links: vec![link("w", nic("a", "net1"), nic("b", "net1"))], ..topology("12") };
        door.client("w.example").await.apply(wire).until_ready().await.unwrap();
        let end = SystemTime::now() + Duration::from_secs(8);
        let files = certificates::files(
            lab.directory().join("brief"),
            &door.authority,
            &door.authority.until("a.example", end),
        );
        let client = Client::builder().tls(files.tls()).connect(format!("tls://{ADDRESS}")).await.unwrap();
        let mut film = client.capture(CaptureRequest::link("lessons", "12", "w")).await.unwrap();
        let error = end_of(&mut film).await;
        assert_eq!((error.code(), error.reason()), (Code::Unauthenticated, Some("CERTIFICATE_EXPIRED")), "{error}");
        assert!(SystemTime::now() + Duration::from_secs(2) > end, "not long before its time");
        let audit = fs::read_to_string(path).unwrap();
        assert!(audit.lines().last().unwrap().contains("CERTIFICATE_EXPIRED"), "{audit}");
    });
}

#[test]
fn an_old_connection_sends_its_watch_to_a_new_one_and_loses_nothing() {
    private(async |lab| {
        let policy = rules([("a.example", "*", "read, write")]);
        let door = Door::open_with(lab, &policy, |agent| agent.arg("--max-connection-age").arg("2")).await;
        let client = door.client("a.example").await;
        let mut watch = client.watch(WatchRequest::all()).await.unwrap();
        let (mut seen, mut connections, mut unsent) = (0, 1, 0);
        while connections < 4 {
            // One that comes as its connection says farewell is not sent, and may be repeated.
            while let Err(error) = client.apply(topology(&format!("t{seen}"))).await {
                unsent += 1;
                assert!(error.is_unavailable() && unsent <= connections, "{unsent} by {connections}: {error}");
            }
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
