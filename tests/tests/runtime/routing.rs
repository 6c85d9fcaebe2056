//! Adjacencies of FRR over a link and over a bridge: they form, go down with the cable in the time the protocol says, and come
//! back.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use podwire_tests::{
    condition::{eventually, holds, within},
    elements::{attachment_cable, bridge, cable, link, nic_at, plug, topology},
    lab::{Lab, agent::Agent},
    private::measured,
};
use serde_json::Value;

use crate::{
    daemon::{Daemon, is_missing, said},
    private,
};

/// Where Debian's package frr has its programs.
const FRR: &str = "/usr/lib/frr";

/// How long the routers may take to agree: they start on a busy machine.
const AGREEMENT: Duration = Duration::from_secs(60);

/// How late a busy machine may be: less than the timers of [`LINK`].
const LATE: Duration = Duration::from_secs(20);

/// How long a hello may be held up by a busy machine, in seconds.
const HELD_UP: u64 = 5;

/// A wire between the routers, with the timers of its neighbours in seconds.
struct Wire {
    interface: &'static str,
    /// The address of r2.
    far: &'static str,
    /// OSPF's dead interval; hellos come each second.
    dead: u64,
    /// BGP's hold time; keepalives come each second.
    hold: u64,
}

/// Long timers: it is the carrier that takes the adjacencies down, not silence.
const LINK: Wire = Wire { interface: "net1", far: "10.1.0.2", dead: 30, hold: 30 };

/// Short ones: of a cable that is pulled at the far side of a switch nothing is to be seen but silence.
const BRIDGE: Wire = Wire { interface: "net2", far: "10.2.0.2", dead: 8, hold: 9 };

fn ospf() -> String {
    let interface = |wire: &Wire| {
        format!(
            "interface {}\n ip ospf area 0\n ip ospf hello-interval 1\n ip ospf dead-interval {}\n ip ospf \
             retransmit-interval 1\n",
            wire.interface, wire.dead
        )
    };
    // The link has two ends and nothing to elect.
    let link = interface(&LINK) + " ip ospf network point-to-point\n";
    link + &interface(&BRIDGE) + "router ospf\n timers throttle spf 0 50 500\n"
}

fn bgp(number: u8) -> String {
    let far = 3 - number;
    let neighbour = |(wire, net): (&Wire, u8)| {
        let peer = format!("10.{net}.0.{far}");
        format!(
            " neighbor {peer} remote-as 6500{far}\n neighbor {peer} timers 1 {}\n neighbor {peer} timers connect 1\n \
             neighbor {peer} advertisement-interval 0\n",
            wire.hold
        )
    };
    format!(
        "router bgp 6500{number}\n bgp router-id 10.255.0.{number}\n no bgp ebgp-requires-policy\n{}{}",
        neighbour((&LINK, 1)),
        neighbour((&BRIDGE, 2))
    )
}

/// Starts a router in its pod.
async fn route(lab: &Lab, router: &str, number: u8) -> Vec<Daemon> {
    let folder = format!("/run/frr/{router}");
    let made = Command::new("install").args(["-d", "-o", "frr", "-g", "frr", "/run/frr", &folder]).status().unwrap();
    assert!(made.success(), "{made}");
    lab.ip(&format!("-n {router} link set lo up"));
    lab.ip(&format!("-n {router} address add 10.255.0.{number}/32 dev lo"));
    let mut daemons = Vec::new();
    for (daemon, text) in [("zebra", "ip forwarding\n".to_owned()), ("ospfd", ospf()), ("bgpd", bgp(number))] {
        fs::write(format!("{folder}/{daemon}.conf"), format!("hostname {router}\n{text}")).unwrap();
        let file = |end: &str| format!("{folder}/{daemon}.{end}");
        let (configuration, pid, log) = (file("conf"), file("pid"), format!("file:{}", file("log")));
        // Without a TCP port for its shell.
        let arguments = ["-N", router, "-P", "0", "-f", &configuration, "-i", &pid, "--log", &log];
        daemons.push(Daemon::start(router, &format!("{FRR}/{daemon}"), &arguments));
        // Who does not find zebra asks again after 10 s.
        let socket = format!("{folder}/zserv.api");
        eventually("zebra listens", async || holds(Path::new(&socket).exists(), &socket)).await;
    }
    daemons
}

/// Whether r1 has r2 as its OSPF neighbour in Full, and as its BGP neighbour in Established.
fn adjacent(wire: &Wire) -> (bool, bool) {
    let ask = |question: &str| said("vtysh", &["-N", "r1", "-c", question]);
    let ospf = ask("show ip ospf neighbor");
    let full = ospf.lines().any(|line| line.contains("Full/") && line.contains(&format!("{}:", wire.interface)));
    let text = ask(&format!("show bgp neighbors {} json", wire.far));
    let bgp: Value = serde_json::from_str(&text).unwrap_or_default();
    (full, bgp[wire.far]["bgpState"] == "Established")
}

/// How long it takes until both are as expected, each by itself.
async fn until(wire: &Wire, expected: bool, patience: Duration) -> (Duration, Duration) {
    let begun = Instant::now();
    let (mut ospf, mut bgp) = (None, None);
    within(patience, &format!("adjacent over {}: {expected}", wire.interface), async || {
        let now = adjacent(wire);
        ospf = ospf.or((now.0 == expected).then(|| begun.elapsed()));
        bgp = bgp.or((now.1 == expected).then(|| begun.elapsed()));
        holds(now == (expected, expected), format!("OSPF Full, BGP Established: {now:?}"))
    })
    .await;
    (ospf.unwrap(), bgp.unwrap())
}

/// Pulls r2's cable of a wire, or plugs it.
async fn plugged(agent: &Agent, wire: &Wire, up: bool) {
    if wire.interface == LINK.interface {
        agent.links().update_link(cable("w1", up)).await.unwrap();
    } else {
        agent.attachments().update_attachment(attachment_cable("r2-lan", up)).await.unwrap();
    }
}

#[test]
fn ospf_and_bgp_go_down_with_the_cable_in_the_time_the_protocol_says_and_come_back() {
    if is_missing("frr", &["/usr/lib/frr/ospfd", "/usr/lib/frr/bgpd", "/usr/bin/vtysh"]) {
        return;
    }
    private(async |lab| {
        lab.pods(["r1", "r2"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        let at = |pod: &str, wire: &Wire, address: &str| nic_at(pod, wire.interface, &[address]);
        wanted.links = vec![link("w1", at("r1", &LINK, "10.1.0.1/24"), at("r2", &LINK, "10.1.0.2/24"))];
        wanted.bridges = vec![bridge("lan")];
        wanted.attachments = vec![
            plug("r1-lan", at("r1", &BRIDGE, "10.2.0.1/24"), "lan"),
            plug("r2-lan", at("r2", &BRIDGE, "10.2.0.2/24"), "lan"),
        ];
        agent.apply(wanted).await.unwrap();
        let mut daemons = route(lab, "r1", 1).await;
        daemons.extend(route(lab, "r2", 2).await);
        for wire in [&LINK, &BRIDGE] {
            let (ospf, bgp) = until(wire, true, AGREEMENT).await;
            measured(&format!("FRR over {}: Full after {ospf:?}, Established after {bgp:?}", wire.interface));
        }

        // Both ends of a link lose carrier, and need no timer.
        plugged(&agent, &LINK, false).await;
        let (ospf, bgp) = until(&LINK, false, LATE).await;
        measured(&format!("FRR, cable of a link pulled: OSPF down after {ospf:?}, BGP after {bgp:?}"));
        assert_eq!(adjacent(&BRIDGE), (true, true), "the other wire is not concerned");

        // r1's own cable is plugged: it waits for what does not come, a hello and a keepalive each second.
        plugged(&agent, &BRIDGE, false).await;
        let seconds = Duration::from_secs;
        let (ospf, bgp) = until(&BRIDGE, false, seconds(BRIDGE.dead.max(BRIDGE.hold)) + LATE).await;
        measured(&format!("FRR, far cable of a bridge pulled: OSPF down after {ospf:?}, BGP after {bgp:?}"));
        assert!(ospf >= seconds(BRIDGE.dead - HELD_UP), "not before the dead interval: {ospf:?}");
        assert!(bgp >= seconds(BRIDGE.hold - HELD_UP), "not before the hold time: {bgp:?}");

        for wire in [&LINK, &BRIDGE] {
            plugged(&agent, wire, true).await;
            let (ospf, bgp) = until(wire, true, AGREEMENT).await;
            measured(&format!("FRR, cable of {} back: Full {ospf:?}, Established {bgp:?} later", wire.interface));
        }
    });
}
