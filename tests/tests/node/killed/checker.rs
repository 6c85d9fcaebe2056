//! Compares what was acknowledged with the kernel, as `ip` shows it. Knows nothing of how the agent works.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
};

use podwire_proto::v1::{Interface, LinkMode, State, Topology, interface::Owner};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{interfaces, state},
    lab::{Lab, agent::Agent, pod::Pod},
};
use tonic::Code;

use super::load::{Known, Load, Request};

/// What a test has seen.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) rounds: u64,
    pub(super) acknowledged: u64,
    pub(super) flying: u64,
    interfaces: u64,
    pings: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, acknowledged, flying, interfaces, pings } = self;
        write!(
            f,
            "{rounds} kills, {acknowledged} calls acknowledged, {flying} without an answer, {interfaces} interfaces and \
             {pings} pings checked"
        )
    }
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resources {
    descriptors: usize,
    anonymous_kib: u64,
}

impl Resources {
    pub(super) fn of(agent: &Agent) -> Self {
        let pid = agent.pid();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        let anonymous_kib = line.trim().trim_end_matches(" kB").parse().unwrap();
        Self { descriptors, anonymous_kib }
    }

    /// No descriptor more but for a connection, no memory that grows with what was.
    pub(super) fn assert_like(&self, fresh: &Self) {
        assert!(self.descriptors <= fresh.descriptors + 4, "descriptors leak: {fresh}, then {self}");
        assert!(self.anonymous_kib <= fresh.anonymous_kib + 16 * 1024, "memory leaks: {fresh}, then {self}");
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} descriptors and {} KiB", self.descriptors, self.anonymous_kib)
    }
}

impl Load {
    /// What was acknowledged is there. What was under way was carried out or not, but not by halves. Nothing else is there.
    pub(super) async fn check(&mut self, lab: &Lab, agent: &Agent, figures: &mut Figures) {
        let mut there = Vec::new();
        for (name, known) in &mut self.known {
            there.extend(settle(name, known, agent).await);
        }
        // One without any element needs none.
        there.retain(|topology| !topology.bridges.is_empty() || !topology.links.is_empty());
        let panels: BTreeSet<String> = there.iter().map(|t| format!("podwire.{}.{}", t.namespace, t.name)).collect();
        eventually("the panels are those of the topologies", async || {
            let now: BTreeSet<String> = lab.panels().into_iter().collect();
            holds(now == panels, format!("{now:?} and not {panels:?}"))
        })
        .await;
        let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for topology in &there {
            for interface in interfaces(topology) {
                wanted.entry(pod_of(interface)).or_default().insert(as_ip_shows(interface));
                figures.interfaces += 1;
            }
            panel_is_right(lab, topology);
        }
        for pod in lab.namespaces().iter().filter(|name| !name.starts_with("podwire")) {
            let seen: BTreeSet<String> = seen_in(lab, pod);
            assert_eq!(wanted.get(pod).cloned().unwrap_or_default(), seen, "in pod {pod}");
        }
        assert!(lab.link_names("").is_empty(), "in the node's own namespace: {:?}", lab.link_names(""));
        for link in there.iter().flat_map(|topology| &topology.links) {
            let (a, b) = (link.a.as_ref().unwrap(), link.far_end.as_ref().unwrap());
            let podwire_proto::v1::link::FarEnd::B(b) = b;
            Pod::new(lab, &pod_of(a)).ping(Pod::new(lab, &pod_of(b)).address(&b.name));
            figures.pings += 1;
        }
    }
}

/// Which of the two it is: what was acknowledged last, or what was under way; waits until it is READY.
async fn settle(name: &str, known: &mut Known, agent: &Agent) -> Option<Topology> {
    let now = eventually(name, async || match agent.get(name).await {
        Ok(now) if state(&now) == State::Ready => Ok(Some(now)),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Ok(now) => Err(format!("{:?}", now.status)),
        Err(status) => Err(status.to_string()),
    })
    .await;
    let flying = known.flying.take();
    let carried_out = match (&now, &flying) {
        (Some(now), Some((generation, Request::Apply(_)))) => now.generation == *generation,
        (None, Some((_, Request::Delete(_)))) => known.acknowledged.is_some(),
        _ => false,
    };
    if carried_out {
        let (generation, request) = flying.unwrap();
        if let (Request::Apply(asked), Some(now)) = (&request, &now) {
            assert_eq!(names(asked), names(now), "{name}: carried out by halves");
        }
        known.generation = generation;
    } else {
        match (&now, &known.acknowledged) {
            (Some(now), Some(acknowledged)) => {
                assert_eq!(facts(acknowledged), facts(now), "{name}: acknowledged and now");
            }
            (None, None) => {}
            (now, acknowledged) => {
                panic!("{name}: acknowledged {acknowledged:#?}\nand now {now:#?}\nunder way {flying:#?}")
            }
        }
    }
    known.acknowledged.clone_from(&now);
    // An older scheduler is told that it is one, also after a delete and over any number of restarts.
    if known.generation > 1 {
        let mut old = podwire_tests::elements::topology(name);
        old.generation = known.generation - 1;
        let refused = agent.apply(old).await.expect_err("an older generation is fenced");
        assert_eq!(refused.code(), Code::Aborted, "{refused}");
    }
    now
}

fn pod_of(interface: &Interface) -> String {
    match &interface.owner {
        Some(Owner::Pod(pod)) => pod.clone(),
        other => panic!("{other:?}"),
    }
}

fn names(topology: &Topology) -> BTreeSet<(String, String)> {
    interfaces(topology).map(|interface| (pod_of(interface), interface.name.clone())).collect()
}

/// What a caller was told of each interface.
fn facts(topology: &Topology) -> (u64, BTreeSet<(String, String)>) {
    let all = interfaces(topology).map(|interface| (pod_of(interface), as_ip_shows(interface)));
    (topology.generation, all.collect())
}

fn as_ip_shows(interface: &Interface) -> String {
    let status = interface.status.as_ref().unwrap();
    let mut addresses = status.addresses.clone();
    addresses.sort();
    format!("{} {} {}", interface.name, interface.mac, addresses.join(" "))
}

fn seen_in(lab: &Lab, pod: &str) -> BTreeSet<String> {
    let shown = lab.ip_json(&format!("-n {pod} address show"));
    let links = shown.as_array().unwrap().iter().filter(|link| link["ifname"] != "lo");
    links
        .map(|link| {
            let global = link["addr_info"].as_array().unwrap().iter().filter(|address| address["scope"] == "global");
            let mut addresses: Vec<String> = global
                .map(|address| format!("{}/{}", address["local"].as_str().unwrap(), address["prefixlen"]))
                .collect();
            addresses.sort();
            format!(
                "{} {} {}",
                link["ifname"].as_str().unwrap(),
                link["address"].as_str().unwrap(),
                addresses.join(" ")
            )
        })
        .collect()
}

/// As many ports and bridges as the topology needs.
fn panel_is_right(lab: &Lab, topology: &Topology) {
    let mut links = lab.links(&format!("podwire.{}.{}", topology.namespace, topology.name));
    links.retain(|link| link["ifname"] != "lo");
    let of_kind = |kind: &str| links.iter().filter(|link| link["linkinfo"]["info_kind"] == kind).count();
    let stitched = topology.links.iter().filter(|link| link.mode() != LinkMode::Direct).count();
    assert_eq!(of_kind("veth"), 2 * stitched + topology.attachments.len(), "ports of {}", topology.name);
    assert_eq!(of_kind("bridge"), topology.bridges.len(), "bridges of {}", topology.name);
    assert_eq!(links.len(), of_kind("veth") + of_kind("bridge"), "strangers in {}", topology.name);
}
