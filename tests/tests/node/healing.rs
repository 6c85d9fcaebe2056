//! What somebody changes by hand is put right when it is heard of, without any call and without a timer.

use std::time::{Duration, Instant};

use podwire_proto::v1::{State, Topology};
use podwire_tests::{
    condition::{eventually, holds, within},
    elements::{interfaces, lan, link, nic, nic_at, plug, route, state, topology},
    lab::{Lab, agent::Agent},
};

use crate::private;

const PANEL: &str = "podwire.lessons.12";

/// A link, a bridge with two pods, addresses of both families, a route.
fn lesson() -> Topology {
    let mut far = nic_at("b", "net1", &["10.7.0.2/30"]);
    far.routes = vec![route("10.77.0.0/16", "10.7.0.1", 7)];
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        links: vec![link("w", nic_at("a", "net1", &["10.7.0.1/30", "fd07::1/64"]), far)],
        attachments: vec![plug("pa", nic("a", "net2"), "lan"), plug("pb", nic("b", "net2"), "lan")],
        ..topology("12")
    }
}

async fn comes_to(agent: &Agent, wanted: State) -> Topology {
    eventually("the state", async || {
        let now = agent.get("12").await.map_err(|status| status.to_string())?;
        if state(&now) == wanted { Ok(now) } else { Err(format!("{:?}", now.status)) }
    })
    .await
}

/// Does damage and waits until the kernel is as before. The sweep comes after 30 s, which is more than the patience.
fn is_put_right(damage: &'static [&'static str]) {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(lesson()).await.unwrap();
        let before = lab.snapshot().without_indexes();
        for line in damage {
            lab.run(line);
            eventually(line, async || {
                let now = lab.snapshot().without_indexes();
                holds(now == before, before.difference(&now))
            })
            .await;
        }
        comes_to(&agent, State::Ready).await;
    });
}

#[test]
fn a_device_that_somebody_removed_comes_back() {
    is_put_right(&[
        "ip -n a link del net1",
        "ip -n b link del net2",
        "ip -n podwire.lessons.12 link del a.net1",
        "ip -n podwire.lessons.12 link del lan",
    ]);
}

#[test]
fn a_panel_that_somebody_removed_comes_back() {
    is_put_right(&["ip netns del podwire.lessons.12"]);
}

#[test]
fn what_somebody_changed_inside_a_pod_is_put_right() {
    is_put_right(&[
        "ip -n a address del 10.7.0.1/30 dev net1",
        "ip -n a address del fd07::1/64 dev net1",
        "ip -n b route del 10.77.0.0/16 metric 7",
        "ip -n a link set net1 mtu 1400",
        "ip -n a link set net2 address 02:00:00:00:00:99",
        "ip -n a link property del dev net1 altname podwire.lessons.12.w.a",
    ]);
}

#[test]
fn what_somebody_changed_in_a_panel_is_put_right() {
    is_put_right(&[
        "ip -n podwire.lessons.12 link set a.net1 down",
        "ip -n podwire.lessons.12 link set a.net2 nomaster",
        "ip -n podwire.lessons.12 link set lan down",
        "ip -n podwire.lessons.12 link set lan type bridge stp_state 1",
        "tc -n podwire.lessons.12 qdisc del dev b.net1 clsact",
        "tc -n podwire.lessons.12 filter del dev a.net1 ingress",
        "bridge -n podwire.lessons.12 link set dev b.net2 hairpin on",
        "ip -n podwire.lessons.12 link add tap7 type bridge",
    ]);
}

#[test]
fn a_device_of_a_stranger_in_a_panel_is_removed_and_reported() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(lesson()).await.unwrap();
        let mut events = crate::watch::watch(&agent, "").await;
        crate::watch::until(&mut events, |event| event.topology.is_none()).await;
        lab.ip(&format!("-n {PANEL} link add spy type veth peer name spy2"));
        let told = crate::watch::until(&mut events, |event| event.cause.contains("spy")).await;
        assert!(told.cause.contains("somebody else") && told.cause.contains("remove"), "{}", told.cause);
        eventually("the stranger is gone", async || {
            let names = lab.link_names(PANEL);
            holds(!names.iter().any(|name| name.starts_with("spy")), names.join(" "))
        })
        .await;
    });
}

/// Whether both ends see carrier.
fn carriers(lab: &Lab) -> [bool; 2] {
    ["a", "b"].map(|pod| {
        let links = lab.links(pod);
        let net1 = links.iter().find(|link| link["ifname"] == "net1").unwrap();
        let flags = net1["flags"].as_array().unwrap();
        flags.iter().any(|flag| flag == "LOWER_UP") && flags.iter().any(|flag| flag == "UP")
    })
}

#[test]
fn carrier_crosses_a_stitched_link_in_every_order_of_down_and_up() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(lesson()).await.unwrap();
        let pods = [&a, &b];
        // Every order in which two ends can go down and come up again.
        for order in [[0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1]] {
            let mut up = [true, true];
            for end in order {
                up[end] = !up[end];
                pods[end].ip(&format!("link set net1 {}", if up[end] { "up" } else { "down" }));
                let wanted = up.iter().all(|up| *up);
                let seen = format!("order {order:?}, now {up:?}");
                eventually(&seen, async || {
                    let now = carriers(lab);
                    // Of one that is down nothing is to be seen; the other one has no carrier then.
                    holds(now == [wanted, wanted], format!("{now:?}"))
                })
                .await;
            }
            a.ping(b.address("net1"));
        }
        assert_eq!(
            state(&comes_to(&agent, State::Ready).await),
            State::Ready,
            "a NIC that is down is its pod's affair"
        );
    });
}

#[test]
fn the_other_end_keeps_its_nic_while_its_neighbour_restarts_and_sees_the_carrier() {
    private(async |lab| {
        let [a, _] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let made = agent.apply(lesson()).await.unwrap();
        let before = a.link("net1");
        let b_before = lab.snapshot().without_indexes();
        for _ in 0..5 {
            lab.ip("netns del b");
            eventually("no carrier", async || holds(!carriers_of(lab, "a"), "it has carrier")).await;
            lab.pod("b");
            eventually("carrier again", async || holds(carriers_of(lab, "a"), "no carrier")).await;
            eventually("all as before", async || {
                let now = lab.snapshot().without_indexes();
                holds(now == b_before, b_before.difference(&now))
            })
            .await;
        }
        let after = a.link("net1");
        assert_eq!((&before["ifindex"], &before["address"]), (&after["ifindex"], &after["address"]));
        let now = comes_to(&agent, State::Ready).await;
        let same = |topology: &Topology| -> Vec<_> {
            interfaces(topology).map(|i| (i.name.clone(), i.mac.clone(), i.addresses.clone())).collect()
        };
        assert_eq!(same(&made), same(&now));
    });
}

fn carriers_of(lab: &Lab, pod: &str) -> bool {
    let links = lab.links(pod);
    let net1 = links.iter().find(|link| link["ifname"] == "net1");
    net1.is_some_and(|net1| net1["flags"].as_array().unwrap().iter().any(|flag| flag == "LOWER_UP"))
}

#[test]
fn a_fight_is_recognised_paused_and_forgotten() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(lesson()).await.unwrap();
        // Somebody removes the address whenever it is there.
        let degraded = within(Duration::from_secs(60), "DEGRADED", async || {
            if a.addresses("net1").contains(&"10.7.0.1/30".to_owned()) {
                a.ip("address del 10.7.0.1/30 dev net1");
            }
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            let fought = interfaces(&now).any(|each| each.status.as_ref().unwrap().reason.contains("keeps changing"));
            if fought { Ok(now) } else { Err(format!("{:?}", now.status)) }
        })
        .await;
        let fought = interfaces(&degraded).find(|each| each.name == "net1").unwrap().status.clone().unwrap();
        assert_eq!(fought.state(), State::Degraded);
        assert!(
            fought.reason.contains("somebody keeps changing it") && fought.reason.contains("10.7.0.1"),
            "{}",
            fought.reason
        );
        let others = interfaces(&degraded).filter(|each| each.name != "net1");
        for other in others {
            assert_eq!(other.status.as_ref().unwrap().state(), State::Ready, "the others are not concerned");
        }
        // The others are put right at once while it is left alone.
        b.ip("link set net2 mtu 1300");
        eventually("the others are healed", async || {
            let mtu = b.link("net2")["mtu"].clone();
            holds(mtu == 1500, mtu.to_string())
        })
        .await;
        // He gives up: it is put right and after a while READY again.
        within(Duration::from_secs(90), "READY", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(state(&now) == State::Ready, format!("{:?}", now.status))
        })
        .await;
        assert!(a.addresses("net1").contains(&"10.7.0.1/30".to_owned()));
    });
}

#[test]
fn a_pod_that_changes_its_own_things_all_the_time_does_not_keep_the_agent_busy() {
    private(async |lab| {
        let [a, _] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(lesson()).await.unwrap();
        a.ip("link add own type veth peer name far");
        let used = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", agent.pid())).unwrap();
            let fields: Vec<u64> = stat.rsplit(')').next().unwrap().split(' ').filter_map(|f| f.parse().ok()).collect();
            // utime and stime (proc_pid_stat(5)), in ticks of 10 ms.
            Duration::from_millis((fields[10] + fields[11]) * 10)
        };
        let (began, before) = (Instant::now(), used());
        let mut changes = 0;
        while began.elapsed() < Duration::from_secs(3) {
            a.ip("link set own alias x");
            a.ip("link set own alias y");
            changes += 2;
        }
        let share = used().saturating_sub(before).as_secs_f64() / began.elapsed().as_secs_f64();
        println!("{changes} changes, the agent used {:.1} % of a core", share * 100.0);
        assert!(share < 0.25, "{:.1} % of a core", share * 100.0);
    });
}
