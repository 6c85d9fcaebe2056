//! What is written down of calls.

use std::{fs, time::Instant};

use nix::mount::{MsFlags, mount};
use podwire_client::{Bridge, CaptureRequest, Client, WatchRequest};
use podwire_proto::v1::Topology;
use podwire_tests::{
    condition::{PATIENCE, eventually},
    elements::{link, nic, topology},
};
use serde_json::Value;
use tokio::time::timeout;

use super::{
    ADDRESS, Door,
    certificates::{self, Authority},
    rules,
};
use crate::private;

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

#[test]
fn each_change_and_each_refusal_is_one_line_and_nothing_else_is() {
    private(async |lab| {
        let path = lab.directory().join("audit.log");
        let to = path.display().to_string();
        let policy = rules([("a.example", "lessons", "read, write"), ("a.example", "more", "write")]);
        let door = Door::open_with(lab, &policy, |agent| agent.arg("--audit-log").arg(to)).await;
        let client = door.client("a.example").await;
        client.get_node().await.unwrap();
        client.list_topologies(None).await.unwrap();
        client.plan(topology("12")).await.unwrap();
        assert_eq!(lines(&path), [Value::Null; 0], "who only looks leaves no line");

        client.apply(topology("12")).await.unwrap();
        client.get_topology("others", "x").await.unwrap_err();
        client.create_bridge("lessons", "single", Bridge::new("lan")).await.unwrap();
        client.delete_topology("lessons", "12").await.unwrap();
        client.delete_bridge("lessons", "no-such", "lan").await.unwrap();
        client.renew_leases([("more", "x"), ("lessons", "12")]).await.unwrap();
        door.client("b.example").await.get_node().await.unwrap_err();
        Client::connect(door.agent.address()).await.unwrap().apply(topology("13")).await.unwrap();

        let all = lines(&path);
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let told: Vec<[String; 4]> =
            all.iter().map(|line| ["who", "call", "object", "result"].map(|key| text(line, key))).collect();
        let row = |who: &str, call: &str, object: &str, result: &str| {
            [who, &format!("podwire.v1.{call}"), object, result].map(str::to_owned)
        };
        assert_eq!(
            told,
            [
                row("a.example", "TopologyService/ApplyTopology", "lessons/12", "OK"),
                row("a.example", "TopologyService/GetTopology", "others", "PERMISSION_DENIED"),
                row("a.example", "BridgeService/CreateBridge", "lessons/single/lan", "OK"),
                row("a.example", "TopologyService/DeleteTopology", "lessons/12", "OK"),
                row("a.example", "BridgeService/DeleteBridge", "lessons/no-such/lan", "OK"),
                row("a.example", "TopologyService/RenewLeases", "lessons more", "OK"),
                row("b.example", "NodeService/GetNode", "", "PERMISSION_DENIED"),
                row("uid:0", "TopologyService/ApplyTopology", "lessons/13", "OK"),
            ]
        );
        let refused = &all[1];
        assert_eq!((text(refused, "reason"), text(refused, "kind")), ("POLICY".into(), "audit".into()));
        assert!(text(refused, "message").contains("others") && text(refused, "from").starts_with("127.0.0.1:"));
        assert!(text(&all[7], "from").starts_with("process "), "{}", all[7]);
        let log = door.agent.log();
        assert!(all.iter().all(|line| log.contains(&text(line, "id")) || text(line, "result") == "OK"), "{log}");
        assert!(all.windows(2).all(|pair| text(&pair[0], "time") <= text(&pair[1], "time")));
    });
}

#[test]
fn an_audit_that_cannot_be_written_is_seen() {
    private(async |lab| {
        let mut agent = lab.agent().arg("--audit-log").arg("/no/such/folder/audit.log").spawn();
        assert!(!agent.ended().await.success());
        assert!(agent.log().contains("--audit-log") && agent.log().contains("/no/such/folder"), "{}", agent.log());
        let agent = lab.agent().arg("--audit-log").arg("/dev/full").start().await;
        agent.apply(topology("12")).await.unwrap();
        let log = agent.log();
        assert!(log.contains("the audit cannot be written") && log.contains("lessons/12"), "{log}");
        assert!(log.contains("to=\"/dev/full\""), "{log}");
    });
}

#[test]
fn a_line_for_which_there_was_half_the_room_spoils_no_other_one() {
    private(async |lab| {
        let disk = lab.directory().join("disk");
        fs::create_dir(&disk).unwrap();
        mount(Some("tmpfs"), &disk, Some("tmpfs"), MsFlags::empty(), Some("size=8k")).unwrap();
        let path = disk.join("audit.log");
        let agent = lab.agent().arg("--audit-log").arg(path.display().to_string()).start().await;
        // Of its two pages the second one goes to somebody else: a line ends where the first page does.
        fs::write(disk.join("ballast"), "x").unwrap();
        let lost = || agent.log().matches("the audit cannot be written").count();
        while lost() < 3 {
            agent.apply(topology("12")).await.unwrap();
        }
        let lost = lost();
        fs::remove_file(disk.join("ballast")).unwrap();
        agent.apply(topology("13")).await.unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (whole, torn): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| serde_json::from_str::<Value>(line).is_ok());
        let [gap, last] = &whole[whole.len() - 2..] else { panic!("{text}") };
        assert!(gap.contains(&format!("\"lost\":{lost}")) && last.contains("lessons/13"), "{text}");
        assert_eq!(torn.len(), 1, "the half of a line stands alone: {text}");
        assert!(!text.contains("\n\n"), "{text}");
    });
}

#[test]
fn a_right_that_is_taken_from_a_stream_is_a_line() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let path = lab.directory().join("audit.log");
        let to = path.display().to_string();
        let policy = rules([("a.example", "lessons", "read, write, capture")]);
        let door = Door::open_with(lab, &policy, |agent| agent.arg("--audit-log").arg(to)).await;
        let client = door.client("a.example").await;
        let wire = Topology { links: vec![link("w", nic("a", "net1"), nic("b", "net1"))], ..topology("12") };
        client.apply(wire).until_ready().await.unwrap();
        let mut film = client.capture(CaptureRequest::link("lessons", "12", "w")).await.unwrap();
        let mut watch = client.watch(WatchRequest::namespace("lessons")).await.unwrap();
        let mut all = client.watch(WatchRequest::all()).await.unwrap();
        for _ in 0..2 {
            timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
            timeout(PATIENCE, all.next()).await.unwrap().unwrap().unwrap();
        }
        timeout(PATIENCE, film.next()).await.unwrap().unwrap().unwrap();
        let before = lines(&path);
        let began = before.iter().find(|line| line["call"] == "podwire.v1.CaptureService/Capture").unwrap().clone();
        assert_eq!(began["result"], "OK");

        door.change_policy(&rules([("a.example", "elsewhere", "read")])).await;
        let mut told = eventually("three lines more", async || {
            let more = lines(&path).split_off(before.len());
            anyhow::ensure!(more.len() >= 3, "{more:?}");
            Ok(more)
        })
        .await;
        told.sort_by_key(|line| (line["call"].to_string(), line["result"].to_string()));
        let row = |line: &Value| ["who", "call", "object", "result", "reason"].map(|key| line[key].clone());
        let expected = [
            ("CaptureService/Capture", "lessons", "PERMISSION_DENIED", "POLICY"),
            ("TopologyService/WatchTopologies", "", "OUT_OF_RANGE", "POLICY_CHANGED"),
            ("TopologyService/WatchTopologies", "lessons", "PERMISSION_DENIED", "POLICY"),
        ];
        for (line, (call, object, result, reason)) in told.iter().zip(expected) {
            let call = format!("podwire.v1.{call}");
            assert_eq!(row(line), ["a.example", &call, object, result, reason].map(Value::from), "{told:?}");
        }
        assert_eq!(told.len(), 3, "each once: {told:?}");
        assert_eq!(told[0]["id"], began["id"], "the id of its beginning");
    });
}

#[test]
fn strangers_are_written_down_now_and_then_however_many_they_are() {
    private(async |lab| {
        let path = lab.directory().join("audit.log");
        let to = path.display().to_string();
        let door = Door::open_with(lab, "rules: []", |agent| agent.arg("--audit-log").arg(to)).await;
        let started = Instant::now();
        let foreign = Authority::new();
        let files =
            certificates::files(lab.directory().join("foreign"), &door.authority, &foreign.issue(&["a.example"]));
        for _ in 0..20 {
            let client = Client::builder().tls(files.tls()).connect(format!("tls://{ADDRESS}")).await;
            if let Ok(client) = client {
                client.get_node().await.expect_err("a foreign authority");
            }
        }
        let all = eventually("a line", async || {
            let all = lines(&path);
            anyhow::ensure!(!all.is_empty(), "none yet");
            Ok(all)
        })
        .await;
        let most = 1 + started.elapsed().as_secs() / 10;
        assert!(all.len() as u64 <= most, "{} lines for 20 strangers in {:?}", all.len(), started.elapsed());
        let first = &all[0];
        let fields = ["call", "result", "reason", "who", "id"].map(|key| first[key].as_str().unwrap());
        assert_eq!(fields, ["TLS", "UNAUTHENTICATED", "TLS_HANDSHAKE", "", ""]);
        assert!(first["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{first}");
        assert!(!first["message"].as_str().unwrap().is_empty() && first.get("more").is_none(), "{first}");
    });
}
