//! Panels and bridges that are used again.

use std::{fs, os::unix::fs::MetadataExt};

use podwire_proto::v1::{Impairment, L2Profile, Rate, State, Topology, Uplink};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{lan, link, nic, nic_at, plug, state, topology},
    lab::{Lab, agent::Agent},
};

use crate::private;

const PARKED: &str = "podwire_parked.";

/// Two LANs and a wire between two pods.
fn lesson(name: &str) -> Topology {
    let mut hub = lan("hub", "10.0.1.0/24");
    hub.set_l2_profile(L2Profile::Hub);
    Topology {
        bridges: vec![hub, lan("lan", "10.0.2.0/24")],
        links: vec![link("w", nic_at("a", "w", &["10.7.0.1/24"]), nic_at("b", "w", &["10.7.0.2/24"]))],
        attachments: ["hub", "lan"]
            .into_iter()
            .flat_map(|lan| ["a", "b"].map(|pod| plug(&format!("{pod}-{lan}"), nic(pod, lan), lan)))
            .collect(),
        ..topology(name)
    }
}

async fn parking(lab: &Lab) -> Agent {
    lab.agent().with("--parked-panels", "2").start().await
}

/// Waits until there are so many parked panels and no other ones.
async fn parked(lab: &Lab, count: usize) -> Vec<String> {
    eventually("panels are parked", async || {
        let panels = lab.panels();
        let all = panels.len() == count && panels.iter().all(|name| name.starts_with(PARKED));
        holds(all, format!("{panels:?}")).map(|()| panels)
    })
    .await
}

fn inode(namespace: &str) -> u64 {
    fs::metadata(format!("/run/netns/{namespace}")).unwrap().ino()
}

#[test]
fn a_parked_panel_is_used_again_as_if_it_were_new() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = parking(lab).await;
        agent.apply(lesson("first")).await.unwrap();
        agent.delete("first").await.unwrap();
        let kept = parked(lab, 1).await;
        let links = lab.links(&kept[0]);
        let others: Vec<_> = links.iter().filter(|link| link["ifname"] != "lo").collect();
        assert_eq!(others.len(), 2, "{links:?}");
        for bridge in others {
            assert_eq!(bridge["altnames"], serde_json::Value::Null, "{bridge}");
        }
        assert_eq!(lab.ports(&kept[0]), Vec::<serde_json::Value>::new());
        let was = inode(&kept[0]);
        let made = agent.apply(lesson("second")).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        eventually("its old name goes", async || {
            let panels = lab.panels();
            holds(panels == ["podwire.lessons.second"], format!("{panels:?}"))
        })
        .await;
        assert_eq!(inode("podwire.lessons.second"), was);
        assert_eq!(lab.link_names("podwire.lessons.second").len(), 2 + 4 + 2);
        for name in ["hub", "lan", "w"] {
            a.ping(b.address(name));
        }
        let plan = agent.apply(lesson("second")).await.unwrap();
        assert_eq!(state(&plan), State::Ready);
    });
}

#[test]
fn nothing_of_an_uplink_and_an_impairment_is_left_in_a_parked_panel() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        lab.ip("link add br0 type bridge");
        lab.ip("link set br0 up");
        let agent = lab.agent().with("--parked-panels", "2").arg("--node-device").arg("br0").start().await;
        let mut first = lesson("first");
        first.bridges[1].uplink = Some(Uplink { parent: "br0".to_owned(), bridge_port: true, ..Uplink::default() });
        let rate = Some(Rate { bits_per_second: 1_000_000, burst_bytes: 30_000, queue_bytes: 30_000 });
        first.links[0].a_to_b = Some(Impairment { rate, ..Impairment::default() });
        agent.apply(first).await.unwrap();
        agent.delete("first").await.unwrap();
        let kept = parked(lab, 1).await;
        assert_eq!(lab.link_names(&kept[0]).len(), 2, "its bridges");
        assert!(lab.links("").iter().all(|link| link["master"] != "br0"), "the node's bridge has no port of ours");
        let was = inode(&kept[0]);
        let setting = "sysctl -n net.ipv6.conf.all.disable_ipv6";
        lab.ip(&format!("netns exec {} sysctl -q -w net.ipv6.conf.all.disable_ipv6=0", kept[0]));
        agent.apply(lesson("second")).await.unwrap();
        let panel = "podwire.lessons.second";
        assert_eq!(inode(panel), was);
        let queues = lab.run(&format!("tc -n {panel} qdisc show"));
        assert!(!queues.contains("tbf"), "{queues}");
        for name in ["hub", "lan", "w"] {
            a.ping(b.address(name));
        }
        agent.apply(Topology { links: vec![], ..lesson("second") }).await.unwrap();
        assert_eq!(lab.ip(&format!("netns exec {panel} {setting}")).trim(), "1", "each change silences the panel");
        let ports = lab.ports(panel);
        for port in &ports {
            lab.ip(&format!("-n {panel} link set {} nomaster", port["ifname"].as_str().unwrap()));
        }
        eventually("what was a parked panel is heard", async || {
            let now = lab.ports(panel).len();
            holds(now == ports.len(), format!("{now} of {} ports have a bridge", ports.len()))
        })
        .await;
        a.ping(b.address("lan"));
    });
}

#[test]
fn bridges_that_wait_in_a_panel_are_used_by_a_later_change_and_disturb_nobody() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = parking(lab).await;
        agent.apply(lesson("first")).await.unwrap();
        agent.delete("first").await.unwrap();
        parked(lab, 1).await;
        let only = Topology { bridges: vec![], attachments: vec![], ..lesson("second") };
        agent.apply(only).await.unwrap();
        let before = lab.link_names("podwire.lessons.second");
        assert_eq!(before.len(), 2 + 2, "{before:?}");
        let made = agent.apply(lesson("second")).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        let after = lab.link_names("podwire.lessons.second");
        assert_eq!(after.len(), 2 + 4 + 2, "{after:?}");
        for name in ["hub", "lan", "w"] {
            a.ping(b.address(name));
        }
    });
}

#[test]
fn no_more_panels_are_parked_than_there_is_room_for() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = parking(lab).await;
        for (number, name) in ["one", "two", "three"].into_iter().enumerate() {
            let mut own = Topology { links: vec![], ..lesson(name) };
            for interface in own.attachments.iter_mut().filter_map(|each| each.interface.as_mut()) {
                interface.name = format!("{}{number}", interface.name);
            }
            agent.apply(own).await.unwrap();
        }
        for name in ["one", "two", "three"] {
            agent.delete(name).await.unwrap();
        }
        parked(lab, 2).await;
    });
}

#[test]
fn a_parked_panel_that_somebody_changed_is_not_used() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = parking(lab).await;
        for change in
            ["link add stranger type bridge", "link set BRIDGE type bridge forward_delay 900", "link set BRIDGE down"]
        {
            agent.apply(lesson("first")).await.unwrap();
            agent.delete("first").await.unwrap();
            let kept = parked(lab, 1).await;
            let was = inode(&kept[0]);
            let change = change.replace("BRIDGE", &lab.link_names(&kept[0])[0]);
            lab.ip(&format!("-n {} {change}", kept[0]));
            let made = agent.apply(lesson("second")).await.unwrap();
            assert_eq!(state(&made), State::Ready, "{change}");
            assert_ne!(inode("podwire.lessons.second"), was, "{change}");
            agent.delete("second").await.unwrap();
            eventually("it is taken down, or as new again", async || {
                let panels = lab.panels();
                holds(panels.iter().all(|name| name.starts_with(PARKED)), format!("{panels:?}"))
            })
            .await;
        }
    });
}

#[test]
fn parked_panels_outlive_a_crash_and_go_with_the_agent() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut agent = parking(lab).await;
        agent.apply(lesson("first")).await.unwrap();
        agent.delete("first").await.unwrap();
        let kept = parked(lab, 1).await;
        let was = inode(&kept[0]);
        agent.kill();
        let mut agent = parking(lab).await;
        eventually("it is used again", async || {
            agent.apply(lesson("second")).await.map_err(|status| status.to_string())?;
            let same = inode("podwire.lessons.second") == was;
            agent.delete("second").await.map_err(|status| status.to_string())?;
            holds(same, "another panel")
        })
        .await;
        eventually("all are parked", async || {
            let panels = lab.panels();
            holds(panels.iter().all(|name| name.starts_with(PARKED)), format!("{panels:?}"))
        })
        .await;
        agent.terminate().await;
        assert_eq!(lab.panels(), Vec::<String>::new());
    });
}

#[test]
fn purge_takes_parked_panels_too() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let builder = || lab.agent().with("--parked-panels", "2");
        let mut agent = builder().start().await;
        agent.apply(lesson("first")).await.unwrap();
        agent.delete("first").await.unwrap();
        let kept = parked(lab, 1).await;
        agent.kill();
        let preview = builder().run("purge", &[]);
        let said = String::from_utf8_lossy(&preview.stdout);
        assert!(said.contains(&kept[0]), "{said}");
        let output = builder().run("purge", &["--yes"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(lab.panels(), Vec::<String>::new());
    });
}
