//! What can happen to a node.

use std::process::Command;

use podwire_proto::v1::{
    CreateBridgeRequest, DeleteBridgeRequest, DeleteLinkRequest, DetachRequest, Link, LinkMode, Topology,
};
use podwire_tests::{
    elements::{ipam, lan, link, nic, plug, route, topology},
    lab::{Lab, agent::Agent},
    random::Random,
};
use tonic::{Code, Status};

use super::acknowledged::{Acknowledged, Figures};
use crate::ownership::attach;

const PODS: [&str; 4] = ["p0", "p1", "p2", "p3"];

/// A node, an agent, and what happened.
pub(super) struct History<'a> {
    lab: &'a Lab,
    agent: Option<Agent>,
    story: Vec<String>,
    acknowledged: Acknowledged,
}

impl<'a> History<'a> {
    pub(super) async fn new(lab: &'a Lab) -> Self {
        lab.pods(PODS);
        Self { lab, agent: Some(lab.agent().start().await), story: Vec::new(), acknowledged: Acknowledged::default() }
    }

    pub(super) fn agent(&mut self) -> &mut Agent {
        self.agent.as_mut().unwrap()
    }

    pub(super) async fn start(&mut self) {
        self.agent = Some(self.lab.agent().start().await);
    }

    /// What happened, for who looks for the reason of a failure.
    pub(super) fn story(&self) -> String {
        self.story.join("\n")
    }

    /// Compares what the agent tells with what it acknowledged last.
    pub(super) fn assert_acknowledged(&self, told: &[Topology]) {
        let story = || self.story();
        self.acknowledged.assert_told(told, story);
    }

    pub(super) fn figures(&self) -> Figures {
        self.acknowledged.figures()
    }

    /// Leaves nothing to the next one.
    pub(super) fn end(mut self) {
        self.agent().kill();
        self.lab.reboot();
        crate::recover::lose_state(self.lab);
    }

    /// Lets something happen.
    pub(super) async fn goes_on(&mut self, random: &mut Random) {
        match random.within(0..10) {
            0..3 => self.apply(random).await,
            3 => {
                let name = *random.pick(&["t0", "t1"]);
                self.say(format!("delete {name}"));
                let deleted = accepted(self.agent().delete(name).await);
                self.acknowledged.deleted(name, deleted.is_some());
            }
            4..6 => self.single_call(random).await,
            6 => self.pod(random),
            7 | 8 => self.damage(random),
            _ => {
                self.say("kill".to_owned());
                self.agent().kill();
                if random.once_in(2) {
                    self.damage(random);
                }
                self.start().await;
            }
        }
    }

    fn say(&mut self, what: String) {
        self.story.push(what);
    }

    async fn apply(&mut self, random: &mut Random) {
        let name = *random.pick(&["t0", "t1"]);
        let wanted = random_topology(name, random);
        self.say(format!("apply {} with {} links, {:?}", wanted.name, wanted.links.len(), wanted.bridges));
        let made = accepted(self.agent().apply(wanted).await);
        self.acknowledged.applied(made);
    }

    /// Of a topology of its own: one element comes or goes.
    async fn single_call(&mut self, random: &mut Random) {
        let (pod, far) = (*random.pick(&PODS), *random.pick(&PODS));
        let agent = self.agent.as_ref().unwrap();
        let acknowledged = &mut self.acknowledged;
        let what = random.within(0..6);
        match what {
            0 | 1 => {
                let create = CreateBridgeRequest { bridge: Some(lan("one", "10.8.0.0/24")), ..Default::default() };
                acknowledged.bridge(accepted(agent.bridges().create_bridge(create).await).is_some());
                let made = attach(agent, plug(&format!("at-{pod}"), nic(pod, "one"), "one")).await;
                acknowledged.attached(accepted(made).and_then(|made| made.attachment));
            }
            2 => {
                let name = format!("at-{pod}");
                let detach = DetachRequest { name: name.clone(), ..Default::default() };
                acknowledged.removed(&name, accepted(agent.attachments().detach(detach).await).is_some());
            }
            3 => {
                let delete = DeleteBridgeRequest { name: "one".into(), cascade: true, ..Default::default() };
                acknowledged.bridge_removed(accepted(agent.bridges().delete_bridge(delete).await).is_some());
            }
            4 if pod != far => {
                let wire = Link { ipam: ipam("10.9.0.0/24"), ..link("cable", nic(pod, "two"), nic(far, "two")) };
                let request = podwire_proto::v1::CreateLinkRequest { link: Some(wire), ..Default::default() };
                let made = agent.links().create_link(request).await;
                acknowledged.linked(accepted(made).and_then(|made| made.into_inner().link));
            }
            _ => {
                let delete = DeleteLinkRequest { name: "cable".into(), ..Default::default() };
                acknowledged.removed("cable", accepted(agent.links().delete_link(delete).await).is_some());
            }
        }
        self.say(format!("single call {what} with {pod} and {far}"));
    }

    /// A pod restarts, goes, or comes.
    fn pod(&mut self, random: &mut Random) {
        let pod = *random.pick(&PODS);
        if self.lab.namespaces().iter().any(|name| name == pod) {
            self.say(format!("pod {pod} goes"));
            self.lab.ip(&format!("netns del {pod}"));
            if random.once_in(3) {
                return;
            }
        }
        self.say(format!("pod {pod} comes"));
        self.lab.pod(pod);
    }

    /// An interface keeps a link-local address that it got while its far end was there: where that is gone a new one has none.
    pub(super) fn all_pods_are_there(&self) {
        let there = self.lab.namespaces();
        PODS.iter().filter(|pod| !there.iter().any(|name| name == *pod)).for_each(|pod| drop(self.lab.pod(pod)));
    }

    /// Somebody changes something by hand. What he names may be gone already.
    fn damage(&mut self, random: &mut Random) {
        let spaces = self.lab.namespaces();
        let Some(space) = (!spaces.is_empty()).then(|| random.pick(&spaces).clone()) else { return };
        let panel = space.starts_with("podwire.");
        let devices = podwire_tests::netns::inside(&space, || Ok(())).map(|()| names(&space)).unwrap_or_default();
        let Some(device) = (!devices.is_empty()).then(|| random.pick(&devices).clone()) else { return };
        let number = random.within(0..1000);
        let line = match random.within(0..if panel { 8 } else { 4 }) {
            0 => format!("ip -n {space} link del {device}"),
            1 => format!("ip -n {space} link set {device} mtu {}", 1300 + number % 100),
            2 if !panel => format!("ip -n {space} address flush dev {device} scope global"),
            3 if !panel => format!("ip -n {space} link set {device} address 02:00:00:00:00:{:02x}", number % 256),
            2 | 3 => format!("ip -n {space} link set {device} nomaster"),
            4 => format!("ip -n {space} link set {device} down"),
            5 => format!("tc -n {space} qdisc del dev {device} clsact"),
            6 => format!("ip -n {space} link add stray{number} type bridge"),
            _ => format!("bridge -n {space} link set dev {device} hairpin on isolated on"),
        };
        let words: Vec<&str> = line.split(' ').collect();
        let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
        self.say(format!("{line}: {}", output.status));
    }
}

/// Devices of a namespace, which may be on its way out.
fn names(space: &str) -> Vec<String> {
    let output = Command::new("ip").args(["-n", space, "-o", "link", "show"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let names = text.lines().filter_map(|line| Some(line.split(": ").nth(1)?.split('@').next()?.to_owned()));
    names.filter(|name| name != "lo").collect()
}

/// What was done, unless it was refused for a reason that there may be.
fn accepted<T>(answer: Result<T, Status>) -> Option<T> {
    answer
        .inspect_err(|status| {
            let may_be = [Code::AlreadyExists, Code::Aborted, Code::FailedPrecondition, Code::NotFound];
            assert!(may_be.contains(&status.code()), "{status}");
        })
        .ok()
}

/// Links of both modes, a bridge, routes.
fn random_topology(name: &str, random: &mut Random) -> Topology {
    let mut wanted = topology(name);
    wanted.namespace = "lessons".into();
    for (at, pair) in PODS.windows(2).enumerate() {
        if random.once_in(2) {
            continue;
        }
        let (mode, kind) = if random.once_in(3) { (LinkMode::Direct, 'd') } else { (LinkMode::Stitched, 'w') };
        let what = format!("{kind}{at}{name}");
        let mut far = nic(pair[1], &format!("{what}b"));
        if random.once_in(2) {
            // A destination of its own for each topology: of two that want one, the later is refused, and rightly so.
            let own = name.bytes().map(u32::from).sum::<u32>() % 250;
            far.routes = vec![route(&format!("10.{}.{own}.0/24", 70 + at), "", 50)];
        }
        let mut wire = Link { ipam: ipam(&format!("10.1.{at}.0/29")), ..link(&what, nic(pair[0], &what), far) };
        wire.mode = mode.into();
        wanted.links.push(wire);
    }
    if !random.once_in(3) {
        wanted.bridges.push(lan("lan", "10.0.0.0/24"));
        for pod in PODS {
            if !random.once_in(3) {
                wanted.attachments.push(plug(&format!("at-{pod}"), nic(pod, &format!("l{name}")), "lan"));
            }
        }
    }
    wanted
}
