//! What is written down of calls.

use std::fs;

use podwire_client::{Bridge, Client};
use podwire_tests::elements::topology;
use serde_json::Value;

use super::{Door, rules};
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
        let policy = rules([("a.example", "lessons", "read, write")]);
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
                row("b.example", "NodeService/GetNode", "", "PERMISSION_DENIED"),
                row("uid:0", "TopologyService/ApplyTopology", "lessons/13", "OK"),
            ]
        );
        let refused = &all[1];
        assert_eq!((text(refused, "reason"), text(refused, "kind")), ("POLICY".into(), "audit".into()));
        assert!(text(refused, "message").contains("others") && text(refused, "from").starts_with("127.0.0.1:"));
        assert!(text(&all[6], "from").starts_with("process "), "{}", all[6]);
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
    });
}
