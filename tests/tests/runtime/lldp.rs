//! Debian's lldpd in pods: who sees whom.

use std::{
    collections::BTreeMap,
    fs,
    time::{Duration, Instant},
};

use podwire_proto::v1::L2Profile;
use podwire_tests::{
    condition::{eventually, holds, within},
    elements::{bridge, cable, link, nic, plug, topology},
    private::measured,
};
use serde_json::Value;

use crate::{
    daemon::{Daemon, done, is_missing, said},
    private,
};

/// Seconds between two announcements; the neighbour is believed in for four of them (lldpd's `tx-hold`).
const INTERVAL: u64 = 1;

/// Starts lldpd in a pod under the pod's name.
async fn announce(pod: &str) -> Daemon {
    let (socket, file) = (socket(pod), format!("/run/lldpd/{pod}.conf"));
    let words =
        [&format!("system hostname {pod}"), "lldp portidsubtype ifname", &format!("lldp tx-interval {INTERVAL}")];
    fs::write(&file, words.map(|words| format!("configure {words}\n")).concat()).unwrap();
    // It reads that file by its own client, and is silent before.
    let daemon = Daemon::start(pod, "/usr/sbin/lldpd", &["-d", "-u", &socket, "-O", &file]);
    eventually("lldpd answers", async || done("/usr/sbin/lldpcli", &["-u", &socket, "show", "chassis"])).await;
    daemon
}

fn socket(pod: &str) -> String {
    format!("/run/lldpd/{pod}.sock")
}

/// Whom a pod sees on which interface: `{"net1": ["b net1"]}`.
fn neighbours(pod: &str) -> BTreeMap<String, Vec<String>> {
    let text = said("/usr/sbin/lldpcli", &["-u", &socket(pod), "-f", "json0", "show", "neighbors"]);
    let shown: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for interface in shown["lldp"][0]["interface"].as_array().into_iter().flatten() {
        let name = interface["name"].as_str().unwrap().to_owned();
        let chassis = interface["chassis"][0]["name"][0]["value"].as_str().unwrap_or("?");
        let port = interface["port"][0]["id"][0]["value"].as_str().unwrap_or("?");
        seen.entry(name).or_default().push(format!("{chassis} {port}"));
    }
    seen
}

async fn sees(pod: &str, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(own, far)| ((*own).to_owned(), vec![(*far).to_owned()])).collect();
    within(Duration::from_secs(60), &format!("{pod} sees {expected:?}"), async || {
        let seen = neighbours(pod);
        holds(seen == expected, format!("{seen:?}"))
    })
    .await;
}

#[test]
fn lldp_neighbours_are_seen_over_a_link_and_a_transparent_bridge_and_nobody_else() {
    if is_missing("lldpd", &["/usr/sbin/lldpd", "/usr/sbin/lldpcli"]) {
        return;
    }
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.links = vec![link("w1", nic("a", "net1"), nic("b", "net1"))];
        wanted.bridges = vec![bridge("clear"), bridge("plain")];
        wanted.bridges[1].l2_profile = L2Profile::Standard.into();
        for pod in ["a", "b"] {
            wanted.attachments.push(plug(&format!("{pod}-clear"), nic(pod, "net2"), "clear"));
            wanted.attachments.push(plug(&format!("{pod}-plain"), nic(pod, "net3"), "plain"));
        }
        agent.apply(wanted).await.unwrap();
        fs::create_dir_all("/run/lldpd").unwrap();
        let begun = Instant::now();
        let _daemons = [announce("a").await, announce("b").await];
        // Nobody on net3: a STANDARD bridge keeps LLDP to itself. And nobody of the node on any of them.
        sees("a", &[("net1", "b net1"), ("net2", "b net2")]).await;
        sees("b", &[("net1", "a net1"), ("net2", "a net2")]).await;
        measured(&format!("lldpd: both neighbours are seen {:?} after its start", begun.elapsed()));
        let mut request = cable("w1", false);
        agent.links().update_link(request.clone()).await.unwrap();
        sees("a", &[("net2", "b net2")]).await;
        sees("b", &[("net2", "a net2")]).await;
        request.up = Some(true);
        agent.links().update_link(request).await.unwrap();
        sees("a", &[("net1", "b net1"), ("net2", "b net2")]).await;
    });
}
