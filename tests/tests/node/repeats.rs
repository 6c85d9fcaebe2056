//! Repeats are free: the same request again changes nothing, and sends the kernel nothing to tell others.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
};

use podwire_proto::v1::{Bridge, Ipam, Link, LinkMode, Subnet, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{ipam, lan, link, nic, plug, topology},
    lab::Lab,
};

use crate::private;

fn everything() -> Topology {
    let subnets = ["10.0.0.0/24", "fd00::/64"].map(|cidr| Subnet { cidr: cidr.into(), ..Subnet::default() });
    let both = Some(Ipam { subnets: subnets.to_vec(), routes: vec![] });
    let direct = Link { mode: LinkMode::Direct.into(), ..link("direct", nic("a", ""), nic("b", "")) };
    Topology {
        bridges: vec![Bridge { ipam: both, hairpin: true, ..lan("lan", "10.0.0.0/24") }],
        links: vec![Link { ipam: ipam("10.1.0.0/24"), ..link("wire", nic("a", ""), nic("b", "")) }, direct],
        attachments: vec![plug("pa", nic("a", ""), "lan"), plug("pb", nic("b", ""), "lan")],
        ..topology("12")
    }
}

/// `ip monitor` in a network namespace.
struct Monitor<'a> {
    lab: &'a Lab,
    namespace: String,
    file: String,
    process: Child,
    marks: u32,
}

impl<'a> Monitor<'a> {
    async fn start(lab: &'a Lab, namespace: &str) -> Self {
        let file = format!("{}/{namespace}.monitor", lab.directory().display());
        let process = Command::new("ip")
            .args(["-n", namespace, "monitor", "link", "address", "route", "netconf"])
            .stdout(File::options().create(true).append(true).open(&file).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut monitor = Self { lab, namespace: namespace.to_owned(), file, process, marks: 0 };
        monitor.mark().await;
        monitor
    }

    /// Makes a change by hand and waits until it is seen: everything before it has been seen too. Returns what was
    /// seen since the last mark.
    async fn mark(&mut self) -> String {
        self.marks += 1;
        let address = format!("127.0.1.{}", self.marks);
        eventually("the monitor sees the mark", async || {
            // Again and again: the monitor may not listen yet.
            self.lab.ip(&format!("-n {} address replace {address}/32 dev lo", self.namespace));
            let seen = fs::read_to_string(&self.file).unwrap_or_default();
            holds(seen.contains(&address), "not yet")
        })
        .await;
        let seen = fs::read_to_string(&self.file).unwrap();
        File::options().write(true).truncate(true).open(&self.file).unwrap();
        // Our own marks, and link-local addresses that have waited for a second whether somebody has them already.
        let ours = ["127.0.", "fe80::", "valid_lft"];
        let others = seen.lines().filter(|line| !ours.iter().any(|mark| line.contains(mark)));
        others.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Monitor<'_> {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn an_apply_that_is_repeated_changes_nothing_and_answers_the_same() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut first = agent.apply(everything()).await.unwrap();
        let before = lab.snapshot();
        let mut second = agent.apply(everything()).await.unwrap();
        before.assert_same(&lab.snapshot());
        // Carrier may have come only after the first answer.
        for answer in [&mut first, &mut second] {
            answer.status = None;
            for link in &mut answer.links {
                link.status = None;
            }
        }
        assert_eq!(first.bridges.len(), second.bridges.len());
        let names = |answer: &Topology| {
            let each = podwire_tests::elements::interfaces(answer);
            each.map(|each| (each.name.clone(), each.mac.clone(), each.status.as_ref().unwrap().addresses.clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&first), names(&second));
    });
}

#[test]
fn a_repeat_sends_no_notification_in_any_namespace() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(everything()).await.unwrap();
        let namespaces = ["a", "b", "podwire.lessons.12"];
        eventually("all carriers are settled", async || {
            let mut links = namespaces.iter().flat_map(|namespace| lab.links(namespace));
            let down = links.find(|link| link["ifname"] != "lo" && link["operstate"] != "UP");
            holds(down.is_none(), format!("{down:?}"))
        })
        .await;
        let mut monitors = Vec::new();
        for namespace in namespaces {
            monitors.push(Monitor::start(lab, namespace).await);
        }
        for monitor in &mut monitors {
            monitor.mark().await;
        }
        agent.apply(everything()).await.unwrap();
        for monitor in &mut monitors {
            let seen = monitor.mark().await;
            assert!(seen.trim().is_empty(), "in {}: {seen}", monitor.namespace);
        }
    });
}

#[test]
fn what_was_removed_leaves_no_trace_anywhere() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let before = lab.snapshot();
        for _ in 0..5 {
            agent.apply(everything()).await.unwrap();
            agent.delete("12").await.unwrap();
        }
        for place in ["a", "b", "the node"] {
            before.of(place).assert_same(&lab.snapshot().of(place));
        }
        eventually("no panel of it is left", async || holds(lab.panels().is_empty(), format!("{:?}", lab.panels())))
            .await;
    });
}

#[test]
fn a_second_apply_that_differs_touches_only_the_difference() {
    private(async |lab| {
        let [a, _] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(everything()).await.unwrap();
        let index = |name: &str| a.link(name)["ifindex"].clone();
        let names = a.interfaces();
        let before: Vec<_> = names.iter().map(|name| index(name)).collect();
        let mut wanted = everything();
        wanted.bridges.push(lan("second", "10.7.0.0/24"));
        wanted.attachments.push(plug("more", nic("a", "more"), "second"));
        agent.apply(wanted).await.unwrap();
        assert_eq!(before, names.iter().map(|name| index(name)).collect::<Vec<_>>());
        assert_eq!(a.interfaces().len(), names.len() + 1);
        agent.apply(everything()).await.unwrap();
        assert_eq!(a.interfaces(), names);
        assert_eq!(before, names.iter().map(|name| index(name)).collect::<Vec<_>>());
    });
}
