//! Behind the CNI project's own plugins, as a runtime chains them.

use std::path::Path;

use podwire_tests::private::skip;
use serde_json::{Value, json};

use crate::private;

use super::{Sandbox, call, call_at, names, pair, running};

const BRIDGE: &str = "/usr/lib/cni/bridge";

#[test]
fn it_stands_behind_bridge_and_host_local() {
    if !Path::new(BRIDGE).exists() {
        skip(&format!("no {BRIDGE} (Debian's package containernetworking-plugins)"));
        return;
    }
    private(async |lab| {
        let [a, b] = lab.pods(["sandbox-a", "sandbox-b"]);
        let agent = running(lab).await;
        agent.apply(pair()).await.unwrap();
        // With a MAC of its own: else it follows its lowest port, and the plugin's own CHECK finds another than at ADD.
        lab.ip("link add cni0 address 02:00:00:00:00:01 type bridge");
        let leases = lab.directory().join("leases");
        let cluster = json!({
            "cniVersion": "1.0.0", "name": "cluster", "type": "bridge", "bridge": "cni0",
            "ipam": {"type": "host-local", "subnet": "10.88.0.0/16", "dataDir": leases},
        });
        let behind = |previous: &Value| json!({"cniVersion": "1.0.0", "name": "cluster", "type": "podwire-cni", "prevResult": previous});
        let mut results = Vec::new();
        for (id, pod, netns) in [("1", "a", &a), ("2", "b", &b)] {
            let sandbox = Sandbox::new(id, pod, netns);
            let first = call_at(BRIDGE, "ADD", Some(&sandbox), &cluster).ok();
            let answer = call(lab, "ADD", Some(&sandbox), &behind(&first));
            let last = answer.ok();
            // The pod's own address is still that of eth0.
            let index = last["ips"][0]["interface"].as_u64().unwrap();
            assert_eq!(last["interfaces"][usize::try_from(index).unwrap()]["name"], "eth0", "{last}");
            assert_eq!(names(&last).last(), Some(&"net1"), "{last}");
            assert_eq!(last["ips"], first["ips"]);
            results.push((sandbox, last));
        }
        a.ping(b.address("net1"));
        a.ping(b.address("eth0"));
        for (sandbox, last) in &results {
            call(lab, "CHECK", Some(sandbox), &behind(last)).ok();
            let mut before = cluster.clone();
            before["prevResult"] = last.clone();
            call_at(BRIDGE, "CHECK", Some(sandbox), &before).ok();
        }
        for (sandbox, last) in results.iter().rev() {
            call(lab, "DEL", Some(sandbox), &behind(last)).ok();
            call_at(BRIDGE, "DEL", Some(sandbox), &cluster).ok();
        }
    });
}
