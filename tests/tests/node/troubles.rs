//! What a pod does to its own interfaces, and what others must not notice of it.

use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt, process::Command, time::Duration};

use nix::mount::{MsFlags, mount};
use podwire_proto::v1::{
    ApplyTopologyRequest, CreateBridgeRequest, CreateLinkRequest, GetTopologyRequest, LinkMode, PlanTopologyRequest,
    State, Topology,
};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, lan, link, nic, nic_at, plug, route, state, states, topology},
    lab::agent::refused,
    netns,
    verdict::reason,
};
use tonic::Code;

use crate::{obstacles::bind, ownership::attach, private};

fn one(pod: &str) -> Topology {
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        attachments: vec![plug("p", nic(pod, "net1"), "lan")],
        ..topology("12")
    }
}

fn none(names: &[String]) -> Result<(), String> {
    if names.is_empty() { Ok(()) } else { Err(format!("{names:?}")) }
}

#[test]
fn an_interface_that_its_pod_replaced_holds_up_nobody_else_of_its_topology() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let create = |name| CreateBridgeRequest { bridge: Some(bridge(name)), ..CreateBridgeRequest::default() };
        agent.bridges().create_bridge(create("x")).await.unwrap();
        attach(&agent, plug("pa", nic("a", "net1"), "x")).await.unwrap();
        a.ip("link add stranger type veth peer name far");
        a.usurp("net1", "stranger", false);
        agent.bridges().create_bridge(create("y")).await.expect("a bridge that nobody uses yet");
        attach(&agent, plug("pb", nic("b", "net1"), "y")).await.expect("a pod that did nothing");
        let get = GetTopologyRequest { namespace: "default".into(), name: "default".into() };
        let now = agent.topologies().get_topology(get).await.unwrap().into_inner().topology.unwrap();
        assert_eq!(states(&now), [("a/net1".into(), State::Failed), ("b/net1".into(), State::Ready)]);
        assert_eq!(b.interfaces(), ["net1"]);
        assert_eq!(a.interfaces(), ["far", "net1"], "what the pod made is the pod's");
    });
}

#[test]
fn what_a_failed_change_made_goes_even_where_something_else_cannot_be_put_back() {
    private(async |lab| {
        let [a, c, d] = lab.pods(["a", "c", "d"]);
        let agent = lab.agent().start().await;
        let create = CreateBridgeRequest { bridge: Some(bridge("x")), ..CreateBridgeRequest::default() };
        agent.bridges().create_bridge(create).await.unwrap();
        attach(&agent, plug("pa", nic("a", "net1"), "x")).await.unwrap();
        // The name is free to look at and taken to the kernel: the interface cannot be made again.
        a.ip("link add other type veth peer name far");
        a.usurp("net1", "other", true);
        let mut end = nic("c", "net1");
        end.routes = vec![route("10.9.0.0/16", "10.8.0.1", 0)];
        let wire = link("w", end, nic("d", "net1"));
        for mode in [LinkMode::Direct, LinkMode::Stitched] {
            let mut wire = wire.clone();
            wire.mode = mode.into();
            let request = CreateLinkRequest { link: Some(wire), ..CreateLinkRequest::default() };
            let status = refused(Box::pin(agent.links().create_link(request))).await;
            assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
            assert!(status.message().contains("10.9.0.0/16"), "names the step: {status}");
            assert!(c.interfaces().is_empty() && d.interfaces().is_empty(), "{:?}", (c.interfaces(), d.interfaces()));
        }
        assert_eq!(a.interfaces(), ["far", "other"]);
    });
}

#[test]
fn a_pod_that_comes_back_without_ipv6_has_its_wire_and_its_other_addresses() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let with = |pod, addresses: [&str; 2]| plug(pod, nic_at(pod, "net1", &addresses), "lan");
        let attachments = vec![with("a", ["10.0.0.1/24", "fd00::1/64"]), with("b", ["10.0.0.2/24", "fd00::2/64"])];
        let both = Topology { bridges: vec![bridge("lan")], attachments, ..topology("12") };
        let made = agent.apply(both).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        netns::remove("b").unwrap();
        netns::make("new").unwrap();
        let off = || Ok(fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1")?);
        netns::inside("new", off).unwrap();
        // Under its name only when IPv6 is off: the agent plugs what it sees at once.
        bind("/run/netns/new", "/run/netns/b");
        eventually("the interface is there and says what the pod refuses", async || {
            let now = agent.get("12").await.unwrap();
            let now = states(&now);
            holds(now.contains(&("b/net1".into(), State::Failed)), format!("{now:?}"))
        })
        .await;
        eventually("what the pod does not refuse works", async || {
            holds(b.link("net1")["operstate"] == "UP", format!("{}", b.link("net1")))
        })
        .await;
        a.ping(b.address("net1"));
    });
}

#[test]
fn a_device_whose_name_is_no_text_keeps_no_topology() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        agent.apply(one("a")).await.unwrap();
        let name = OsStr::from_bytes(b"\xff\xfe");
        let mut add = Command::new("ip");
        add.args(["-n", "podwire.lessons.12", "link", "add"]).arg(name).args(["type", "veth", "peer", "name", "q"]);
        assert!(add.status().unwrap().success());
        assert_eq!(state(&agent.get("12").await.unwrap()), State::Ready);
        agent.apply(one("a")).await.expect("an apply removes the stranger");
        let ports = lab.link_names("podwire.lessons.12");
        assert_eq!(ports.iter().filter(|name| *name != "lo").count(), 2, "a bridge and a port: {ports:?}");
        agent.delete("12").await.unwrap();
        eventually("the panel is gone", async || none(&lab.panels())).await;
    });
}

#[test]
fn plan_and_get_touch_nothing_even_where_a_panels_name_leads_elsewhere() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        fs::create_dir("/run/elsewhere").unwrap();
        mount(Some("none"), "/run/elsewhere", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        fs::write("/run/elsewhere/kept", "").unwrap();
        std::os::unix::fs::symlink("/run/elsewhere", "/run/netns/podwire.lessons.12").unwrap();
        let plan = PlanTopologyRequest { topology: Some(one("a")), ..PlanTopologyRequest::default() };
        let _ = agent.topologies().plan_topology(plan).await;
        let _ = refused(agent.apply(one("a"))).await;
        let _ = agent.delete("12").await;
        assert!(fs::exists("/run/elsewhere/kept").unwrap(), "the mount is still there");
    });
}

#[test]
fn a_waiter_is_told_when_another_apply_replaces_its_own() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        let waiting = agent.apply_until_ready(one("nobody"), Duration::from_secs(20));
        let replacing = async {
            eventually("the first is pending", async || agent.get("12").await).await;
            agent.apply(one("a")).await.unwrap();
        };
        let (waited, ()) = tokio::join!(refused(waiting), replacing);
        assert_eq!((waited.code(), reason(&waited).as_str()), (Code::Aborted, "SUPERSEDED"), "{waited}");
    });
}

#[test]
fn an_apply_that_waits_behind_a_delete_answers_for_itself() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        for _ in 0..10 {
            agent.apply(one("a")).await.unwrap();
            let request =
                ApplyTopologyRequest { topology: Some(one("a")), until_ready: true, ..ApplyTopologyRequest::default() };
            let (deleted, applied) = tokio::join!(agent.delete("12"), agent.apply_request(request));
            deleted.unwrap();
            assert_eq!(state(&applied.expect("whichever came first")), State::Ready);
        }
    });
}
