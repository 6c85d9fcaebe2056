//! `podwire-cni` behind a real containerd's `bridge`: interfaces that are there before a pod's first process.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::{Signal, kill};
use podwire_proto::v1::{State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    containerd::{Containerd, FIRST_PEER, Sandbox, Version},
    elements::{lan, nic, nic_at, plug, topology},
    lab::Lab,
    plugin::{self, call},
    private::measured,
};
use serde_json::{Value, json};

use crate::{agent, until, with_containerd};

pub(crate) const PLUGIN: &str = "podwire-cni";

/// `podwire-cni` as a DaemonSet runs it.
fn installer(lab: &Lab, containerd: &Containerd, verb: &str, more: &[&str]) -> Command {
    let [bin, conf] = containerd.cni_directories();
    let mut command = Command::new(lab.binary(PLUGIN));
    command.arg(verb).arg("--cni-bin-dir").arg(bin).arg("--cni-conf-dir").arg(conf).args(more);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Installs, and waits until containerd has read its configuration anew.
async fn install(lab: &Lab, containerd: &Containerd, away: &str) {
    let status = installer(lab, containerd, "install", &["--agent-away", away]).status().unwrap();
    assert!(status.success(), "{status}");
    chained(containerd, true).await;
    let list = list(containerd);
    assert!(list.contains(&format!(r#""agentAway":"{away}""#)), "{list}");
}

pub(crate) async fn chained(containerd: &Containerd, wanted: bool) {
    eventually("containerd has read its configuration", async || {
        let plugins = containerd.plugins().await.map_err(|status| status.to_string())?;
        holds(plugins.iter().any(|name| name == PLUGIN) == wanted, format!("{plugins:?}"))
    })
    .await;
}

pub(crate) fn list(containerd: &Containerd) -> String {
    let [_, conf] = containerd.cni_directories();
    fs::read_to_string(conf.join("10-pods.conflist")).unwrap()
}

/// `a` and a pod that answers to its first process.
fn lesson() -> Topology {
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        attachments: vec![
            plug("peer", nic_at("peer", "net1", &[&format!("{FIRST_PEER}/24")]), "lan"),
            plug("pa", nic("a", "net1"), "lan"),
        ],
        ..topology("12")
    }
}

/// What the first process of a sandbox saw, once it has.
pub(crate) async fn first_sight(containerd: &Containerd, id: &str) -> String {
    eventually("the first process has looked", async || {
        let seen = containerd.first_sight(id).await.map_err(|error| error.to_string())?;
        holds(seen.contains("packets received") || seen.contains("find device"), seen.clone()).map(|()| seen)
    })
    .await
}

/// The first process had `net1`, and was answered.
pub(crate) async fn was_there_first(containerd: &Containerd, id: &str) {
    let seen = first_sight(containerd, id).await;
    assert!(seen.contains("inet 10.0.0.") && seen.contains("1 packets received"), "{seen}");
}

/// How the runtime would call the plugin for a sandbox: its own configuration, and the result that it keeps.
async fn by_hand(containerd: &Containerd, id: &str, pod: &str) -> (plugin::Sandbox, Value) {
    let list: Value = serde_json::from_str(&list(containerd)).unwrap();
    let mut config = list["plugins"].as_array().unwrap().last().unwrap().clone();
    config["cniVersion"] = list["cniVersion"].clone();
    config["name"] = list["name"].clone();
    let kept = fs::read_dir("/var/lib/cni/results").unwrap().map(|entry| entry.unwrap().path());
    let kept = kept.filter(|path| path.to_string_lossy().contains(id) && path.to_string_lossy().ends_with("eth0"));
    let kept: Vec<_> = kept.collect();
    let kept: Value = serde_json::from_str(&fs::read_to_string(&kept[0]).unwrap()).unwrap();
    config["prevResult"] = kept["result"].clone();
    (plugin::Sandbox::new(id, pod, &containerd.netns(id).await), config)
}

fn before_its_first_process(version: Version) {
    with_containerd(version, async |lab, containerd| {
        install(lab, containerd, "closed").await;
        let mut first = agent(lab).await;
        first.apply(lesson()).await.unwrap();
        let peer = containerd.pod("peer").await;
        let id = containerd.pod("a").await;
        was_there_first(containerd, &id).await;
        until(&first, "12", State::Ready).await;

        let (result, addresses) = containerd.network(&id).await;
        assert!(result["Interfaces"]["net1"].is_object(), "{result}");
        assert!(result["Interfaces"]["net1"]["IPConfigs"].as_array().is_none_or(Vec::is_empty), "{result}");
        assert_eq!(addresses, [containerd.netns(&id).await.address("eth0").to_string()], "the pod's own and no other");

        let (sandbox, mut config) = by_hand(containerd, &id, "a").await;
        assert_eq!(plugin::names(&config["prevResult"]).last(), Some(&"net1"), "{config}");
        call(lab, "CHECK", Some(&sandbox), &config).ok();
        let (wrong, _) = by_hand(containerd, &peer, "peer").await;
        let wrong = plugin::Sandbox { args: sandbox.args.clone(), ..wrong };
        let (code, why) = call(lab, "CHECK", Some(&wrong), &config).error();
        assert!(code == 100 && why.contains("not the current one"), "{code} {why}");
        config["cniVersion"] = "1.1.0".into();
        call(lab, "STATUS", None, &config).ok();
        config["cni.dev/valid-attachments"] = json!([{"containerID": id, "ifname": "eth0"}]);
        let answer = call(lab, "GC", None, &config);
        assert!(answer.notes.contains(&peer) && !answer.notes.contains(&id), "{answer:?}");
        answer.ok();
        until(&first, "12", State::Ready).await;

        // What was announced is forgotten then: the runtime tells the next agent.
        first.kill();
        let (code, _) = call(lab, "CHECK", Some(&sandbox), &config).error();
        assert_eq!(code, 11, "`closed`, and the agent is away");
        let second = agent(lab).await;
        until(&second, "12", State::Ready).await;
        call(lab, "CHECK", Some(&sandbox), &config).ok();
        for _ in 0..2 {
            containerd.stop(&id).await.unwrap();
        }
        until(&second, "12", State::Pending).await;
    });
}

#[test]
fn the_first_process_has_its_interface_where_the_runtime_is_polled() {
    before_its_first_process(Version::System);
}

#[test]
fn the_first_process_has_its_interface_where_the_runtime_has_events() {
    before_its_first_process(Version::Events);
}

#[test]
fn the_first_process_has_its_interface_in_the_newest_containerd() {
    before_its_first_process(Version::Newest);
}

#[test]
fn a_pod_that_no_topology_asks_for_is_not_held_up() {
    with_containerd(Version::System, async |lab, containerd| {
        let agent = agent(lab).await;
        agent.apply(lesson()).await.unwrap();
        // A pod that waits for an agent waits each time; a busy machine is slow now and then.
        let quickest = async |round: u32| {
            let mut times = Vec::new();
            for number in 0..5 {
                let started = Instant::now();
                let id = containerd.pod(&format!("other-{round}-{number}")).await;
                times.push(started.elapsed());
                containerd.remove(&id).await.unwrap();
            }
            *times.iter().min().unwrap()
        };
        let without = quickest(0).await;
        install(lab, containerd, "closed").await;
        let with = quickest(1).await;
        measured(&format!(
            "RunPodSandbox of a pod that nobody asks for: {without:?} without podwire-cni, {with:?} with"
        ));
        assert!(with < without + Duration::from_secs(5), "{without:?} {with:?}");
    });
}

#[test]
fn a_new_sandbox_keeps_its_interface_when_the_old_one_is_stopped() {
    with_containerd(Version::System, async |lab, containerd| {
        install(lab, containerd, "closed").await;
        let agent = agent(lab).await;
        agent.apply(lesson()).await.unwrap();
        containerd.pod("peer").await;
        let old = containerd.pod("a").await;
        was_there_first(containerd, &old).await;
        let new = containerd.run(Sandbox::of("a").attempt(1)).await.unwrap();
        was_there_first(containerd, &new).await;
        let netns = containerd.netns(&new).await;
        let index = netns.link("net1")["ifindex"].clone();
        assert_eq!(containerd.netns(&old).await.interfaces(), ["eth0"], "the interface has moved");
        for _ in 0..2 {
            containerd.stop(&old).await.unwrap();
        }
        containerd.remove(&old).await.unwrap();
        let (sandbox, config) = by_hand(containerd, &new, "a").await;
        call(lab, "CHECK", Some(&sandbox), &config).ok();
        netns.ping(FIRST_PEER.parse().unwrap());
        assert_eq!(netns.link("net1")["ifindex"], index, "it is the same one");
        until(&agent, "12", State::Ready).await;
    });
}

#[test]
fn while_the_agent_is_away_pods_start_as_configured() {
    with_containerd(Version::System, async |lab, containerd| {
        install(lab, containerd, "open").await;
        let mut first = agent(lab).await;
        first.apply(lesson()).await.unwrap();
        containerd.pod("peer").await;
        first.kill();
        let id = containerd.pod("a").await;
        let seen = first_sight(containerd, &id).await;
        assert!(!seen.contains("inet"), "{seen}");
        let mut second = agent(lab).await;
        until(&second, "12", State::Ready).await;
        containerd.netns(&id).await.ping(FIRST_PEER.parse().unwrap());

        install(lab, containerd, "closed").await;
        second.kill();
        // Of a pod that is there nothing changes, and it can go.
        containerd.remove(&id).await.unwrap();
        let refused = containerd.run(Sandbox::of("a").attempt(1)).await.unwrap_err();
        assert!(refused.message().contains(PLUGIN) || refused.message().contains("agent.sock"), "{refused}");
        let third = agent(lab).await;
        let id = containerd.run(Sandbox::of("a").attempt(2)).await.unwrap();
        was_there_first(containerd, &id).await;
        until(&third, "12", State::Ready).await;
    });
}

/// An installer that runs, and is killed with its test.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn a_list_that_is_written_anew_while_pods_start_gets_its_entry_back() {
    with_containerd(Version::System, async |lab, containerd| {
        let cluster = list(containerd);
        let [bin, conf] = containerd.cni_directories();
        let mut watching = Watching(installer(lab, containerd, "install", &["--watch"]).spawn().unwrap());
        chained(containerd, true).await;
        let agent = agent(lab).await;
        agent.apply(lesson()).await.unwrap();
        containerd.pod("peer").await;
        for attempt in 0..5 {
            let beside = conf.join("temporary");
            fs::write(&beside, &cluster).unwrap();
            fs::rename(&beside, conf.join("10-pods.conflist")).unwrap();
            // Whichever list it meets: it starts, and has its interface in the end.
            let id = containerd.run(Sandbox::of("a").attempt(attempt)).await.unwrap();
            until(&agent, "12", State::Ready).await;
            containerd.netns(&id).await.ping(FIRST_PEER.parse().unwrap());
            containerd.remove(&id).await.unwrap();
            eventually("the entry is back", async || holds(list(containerd).contains(PLUGIN), list(containerd))).await;
        }
        chained(containerd, true).await;
        let id = containerd.run(Sandbox::of("a").attempt(5)).await.unwrap();
        was_there_first(containerd, &id).await;

        let pid = nix::unistd::Pid::from_raw(i32::try_from(watching.0.id()).unwrap());
        kill(pid, Signal::SIGTERM).unwrap();
        let ended = eventually("it ends", async || watching.0.try_wait().unwrap().ok_or("it runs")).await;
        assert!(ended.success(), "{ended}");
        let status = installer(lab, containerd, "uninstall", &[]).status().unwrap();
        assert!(status.success(), "{status}");
        assert_eq!(list(containerd), cluster);
        assert!(!bin.join(PLUGIN).exists());
        chained(containerd, false).await;
        // Of a pod that was there before: its wire stays, and it can go.
        containerd.netns(&id).await.ping(FIRST_PEER.parse().unwrap());
        containerd.remove(&id).await.unwrap();
        until(&agent, "12", State::Pending).await;
        containerd.run(Sandbox::of("a").attempt(6)).await.unwrap();
        until(&agent, "12", State::Ready).await;
    });
}
