//! Real routers in pods: FRR's OSPF over links that `podwire apply` makes.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use podwire_tests::{
    condition::{eventually, holds, within},
    lab::Lab,
    private::measured,
};

use crate::{
    daemon::{Daemon, is_missing, said},
    private,
};

/// Where Debian's package frr has its programs.
const FRR: &str = "/usr/lib/frr";

/// How long the routers may take to agree: they start on a busy machine.
const AGREEMENT: Duration = Duration::from_secs(60);

const ROUTERS: [&str; 3] = ["r1", "r2", "r3"];

const TRIANGLE: &str = "\
namespace: lessons
name: triangle
links:
- name: r1-r2
  a: {pod: r1, name: net1, addresses: [10.1.12.1/30]}
  b: {pod: r2, name: net1, addresses: [10.1.12.2/30]}
- name: r2-r3
  a: {pod: r2, name: net2, addresses: [10.1.23.1/30]}
  b: {pod: r3, name: net1, addresses: [10.1.23.2/30]}
- name: r3-r1
  a: {pod: r3, name: net2, addresses: [10.1.31.1/30]}
  b: {pod: r1, name: net2, addresses: [10.1.31.2/30]}
";

/// FRR's configuration: all interfaces in one area, with the shortest timers.
fn configuration(router: &str, number: usize) -> String {
    let interface = |name: &str| {
        format!(
            "interface {name}\n ip ospf area 0\n ip ospf network point-to-point\n ip ospf hello-interval 1\n ip ospf \
             dead-interval 4\n ip ospf retransmit-interval 1\n"
        )
    };
    format!(
        "hostname {router}\n{}{}interface lo\n ip ospf area 0\nrouter ospf\n ospf router-id 10.255.0.{number}\n timers \
         throttle spf 0 50 500\n",
        interface("net1"),
        interface("net2")
    )
}

fn start(daemon: &str, router: &str, folder: &str) -> Daemon {
    let file = |end: &str| format!("{folder}/{daemon}.{end}");
    // Without a TCP port of its own, and in the foreground.
    let (configuration, pid, log) = (file("conf"), file("pid"), format!("file:{}", file("log")));
    let arguments = ["-N", router, "-P", "0", "-f", &configuration, "-i", &pid, "--log", &log];
    Daemon::start(router, &format!("{FRR}/{daemon}"), &arguments)
}

/// Starts a router in its pod.
async fn route(lab: &Lab, router: &str, number: usize) -> [Daemon; 2] {
    let folder = format!("/run/frr/{router}");
    let made = Command::new("install").args(["-d", "-o", "frr", "-g", "frr", "/run/frr", &folder]).status().unwrap();
    assert!(made.success(), "{made}");
    fs::write(format!("{folder}/zebra.conf"), format!("hostname {router}\nip forwarding\n")).unwrap();
    fs::write(format!("{folder}/ospfd.conf"), configuration(router, number)).unwrap();
    lab.ip(&format!("-n {router} link set lo up"));
    lab.ip(&format!("-n {router} address add 10.255.0.{number}/32 dev lo"));
    let zebra = start("zebra", router, &folder);
    // Who does not find it asks again after 10 s.
    let socket = format!("{folder}/zserv.api");
    eventually("zebra listens", async || holds(Path::new(&socket).exists(), &socket)).await;
    [zebra, start("ospfd", router, &folder)]
}

/// What a router's shell says.
fn ask(router: &str, question: &str) -> String {
    said("vtysh", &["-N", router, "-c", question])
}

/// Waits until a router has so many neighbours in state Full.
async fn full(router: &str, neighbours: usize) {
    within(AGREEMENT, &format!("{router} has {neighbours} neighbours in Full"), async || {
        let said = ask(router, "show ip ospf neighbor");
        holds(said.matches("Full/").count() == neighbours && said.lines().count() >= neighbours, said)
    })
    .await;
}

#[test]
fn three_routers_of_frr_reach_full_and_route_around_a_link_that_is_pulled() {
    if is_missing("frr", &["/usr/lib/frr/zebra", "/usr/lib/frr/ospfd", "/usr/bin/vtysh"]) {
        return;
    }
    private(async |lab| {
        let [r1, ..] = lab.pods(ROUTERS);
        let _agent = lab.agent().start().await;
        let file = lab.directory().join("triangle.yaml");
        fs::write(&file, TRIANGLE).unwrap();
        let file = file.display().to_string();
        lab.podwire_ok(&["apply", "--yes", "-f", &file]);
        let begun = Instant::now();
        let mut daemons = Vec::new();
        for (index, router) in ROUTERS.into_iter().enumerate() {
            daemons.push(route(lab, router, index + 1).await);
        }
        for router in ROUTERS {
            full(router, 2).await;
        }
        measured(&format!(
            "three routers of FRR: all six adjacencies are Full {:?} after their start",
            begun.elapsed()
        ));
        let next_hop = |wanted: &'static str| async move {
            within(AGREEMENT, &format!("r1 reaches r2 by {wanted}"), async || {
                let said = ask("r1", "show ip route 10.255.0.2/32");
                holds(said.contains(wanted), said)
            })
            .await;
        };
        next_hop("via net1").await;
        eventually("r1 reaches r2", async || holds(r1.reaches("10.255.0.2".parse().unwrap()), "no answer")).await;

        // The link is part of the topology no more: its neighbours see their carrier go with it.
        let (begin, end) = (TRIANGLE.find("- name: r1-r2").unwrap(), TRIANGLE.find("- name: r2-r3").unwrap());
        let without = format!("{}{}", &TRIANGLE[..begin], &TRIANGLE[end..]);
        fs::write(&file, without).unwrap();
        lab.podwire_ok(&["apply", "--yes", "-f", &file]);
        next_hop("via net2").await;
        eventually("r1 reaches r2 over r3", async || holds(r1.reaches("10.255.0.2".parse().unwrap()), "no answer"))
            .await;
        fs::write(&file, TRIANGLE).unwrap();
        lab.podwire_ok(&["apply", "--yes", "-f", &file]);
        full("r1", 2).await;
        next_hop("via net1").await;
    });
}
