//! Impairments that every kernel can do, and what is refused.

use std::{ops::Range, time::Duration};

use podwire_proto::v1::{
    self, Capability, Counters, GetLinkRequest, GetNodeRequest, Impairment, Interface, Link, LinkMode, Rate, Topology,
    UpdateAttachmentRequest, UpdateLinkRequest, impairment::LossModel,
};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, ipam, link, nic, plug, state, topology},
    lab::agent::{Agent, refused},
    volley::{Volley, middle, span},
};
use tonic::Code;
use tonic_types::StatusExt;

use crate::private;

pub(crate) fn wire() -> Link {
    Link { ipam: ipam("10.1.0.0/24"), ..link("w1", nic("a", "net1"), nic("b", "net1")) }
}

pub(crate) fn one_wire(a_to_b: Impairment) -> Topology {
    let mut wanted = topology("12");
    wanted.links.push(Link { a_to_b: Some(a_to_b), ..wire() });
    wanted
}

pub(crate) fn update(a_to_b: Option<Impairment>) -> UpdateLinkRequest {
    let (namespace, topology, name) = ("lessons".into(), "12".into(), "w1".into());
    UpdateLinkRequest { namespace, topology, name, a_to_b, ..UpdateLinkRequest::default() }
}

pub(crate) async fn direction(agent: &Agent) -> Impairment {
    let request = GetLinkRequest { namespace: "lessons".into(), topology: "12".into(), name: "w1".into() };
    let link = agent.links().get_link(request).await.unwrap().into_inner().link.unwrap();
    link.a_to_b_status.and_then(|status| status.impairment).unwrap_or_default()
}

/// Faster than any rate here, and slow enough for the buffers of a packet socket without root.
const FAST: Duration = Duration::from_micros(300);

/// How many of 200 frames of 1500 bytes pass at 1 Mbit/s with room for ten in the queue: 16, or more where a busy machine takes
/// longer than 60 ms to send them, and never all.
const PASS: Range<usize> = 10..150;

fn at(bits_per_second: u64, burst_bytes: u32, queue_bytes: u32) -> Impairment {
    Impairment { rate: Some(Rate { bits_per_second, burst_bytes, queue_bytes }), ..Impairment::default() }
}

async fn capability(agent: &Agent, name: &str) -> Capability {
    let node = agent.node().get_node(GetNodeRequest {}).await.unwrap().into_inner();
    node.capabilities.into_iter().find(|capability| capability.name == name).unwrap()
}

#[test]
fn a_rate_is_what_passes_and_the_kernel_says_so() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let made = agent.apply(one_wire(at(8_000_000, 30_000, 2_000_000))).await.unwrap();
        assert_eq!(state(&made), v1::State::Ready);
        let seen = direction(&agent).await;
        assert_eq!(seen, at(8_000_000, 30_000, 2_000_000), "read back: the burst is 30 ms, whole ticks");
        assert_eq!(made.links[0].b_to_a_status.unwrap().impairment, None, "the other way is free");
        // 1 Mbyte/s: 800 frames of 1500 bytes take 1.2 s less the 20 that pass at once.
        let volley = Volley { frames: 800, bytes: 1500, gap: FAST, patience: Duration::from_secs(2) };
        let mut rates = Vec::new();
        // A machine that is too busy to send makes a wire slower and never faster. So the best of five.
        let fits = (0..5).any(|_| {
            let came = volley.run(&a.tap("net1"), &b.tap("net1")).unwrap();
            assert_eq!(came.len(), 800, "none is lost");
            let rate = 780.0 * 1500.0 / span(&came);
            rates.push(rate);
            assert!(rate < 1_050_000.0, "{rate} bytes/s");
            rate > 930_000.0
        });
        assert!(fits, "{rates:?} bytes/s");
        let came = volley.run(&b.tap("net1"), &a.tap("net1")).unwrap();
        assert_eq!(came.len(), 800);
        let (late, _) = middle(&came);
        assert!(late < 50.0, "the other way has no queue, where half of them would wait for 0.4 s: {late} ms");
    });
}

#[test]
fn a_rate_drops_what_its_queue_does_not_hold() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one_wire(at(1_000_000, 1518, 15_180))).await.unwrap();
        let volley = Volley { frames: 200, bytes: 1500, gap: FAST, patience: Duration::from_secs(1) };
        let came = volley.run(&a.tap("net1"), &b.tap("net1")).unwrap();
        assert!(PASS.contains(&came.len()), "{} came", came.len());
        let request = GetLinkRequest { namespace: "lessons".into(), topology: "12".into(), name: "w1".into() };
        let link = agent.links().get_link(request).await.unwrap().into_inner().link.unwrap();
        let Counters { frames_in, frames_out, bytes_out, dropped, errors, .. } =
            link.a_to_b_status.unwrap().counters.unwrap();
        // The pods speak a little by themselves.
        let passed = u64::try_from(came.len()).unwrap();
        assert!((200..220).contains(&frames_in), "{frames_in}");
        assert!((passed..passed + 20).contains(&frames_out), "{frames_out} of {passed}");
        assert!(bytes_out >= passed * 1500 && errors == 0, "{bytes_out}");
        assert!((200 - passed - 5..=200 - passed + 20).contains(&dropped), "{dropped}");
        let top = lab.podwire_ok(&["top", "12", "-n", "lessons", "--count", "2", "--interval", "100ms"]);
        assert!(top.contains("a/net1") && top.contains("1 Mbit/s"), "{top}");
        let counters = lab.podwire_ok(&["get", "links", "-n", "lessons", "-t", "12", "-o", "json"]);
        assert!(counters.contains("frames_in"), "{counters}");
    });
}

#[test]
fn a_rate_changes_live_and_goes_live() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.links.push(wire());
        agent.apply(wanted).await.unwrap();
        let index = a.link("net1")["ifindex"].clone();
        for rate in [at(1_000_000, 0, 0), at(2_000_000, 4000, 50_000), at(3_000_000_000, 0, 0)] {
            let answer = agent.links().update_link(update(Some(rate))).await.unwrap().into_inner();
            let link = answer.link.unwrap();
            assert_eq!(link.a_to_b, Some(rate), "what was asked");
            let bits = |it: &Option<Impairment>| it.as_ref().and_then(|it| it.rate).unwrap().bits_per_second;
            let seen = link.a_to_b_status.unwrap().impairment;
            assert_eq!(bits(&seen), bits(&link.a_to_b));
            assert_eq!(seen, Some(direction(&agent).await));
        }
        agent.links().update_link(update(None)).await.unwrap();
        assert_ne!(direction(&agent).await, Impairment::default(), "what is not named stays");
        agent.links().update_link(update(Some(Impairment::default()))).await.unwrap();
        assert_eq!(direction(&agent).await, Impairment::default());
        a.ping(b.address("net1"));
        assert_eq!(a.link("net1")["ifindex"], index, "nothing of it is seen in the pod");
        let [panel] = lab.panels().try_into().unwrap();
        let left = lab.run(&format!("tc -n {panel} qdisc show"));
        assert!(!left.contains("tbf"), "{left}");
    });
}

#[test]
fn an_impairment_that_somebody_takes_away_comes_back() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        let wanted = one_wire(at(1_000_000, 0, 0));
        agent.apply(wanted.clone()).await.unwrap();
        let [panel] = lab.panels().try_into().unwrap();
        let shown = || lab.run(&format!("tc -n {panel} qdisc show"));
        let before = shown();
        let port = before.lines().find(|line| line.contains("tbf")).unwrap().split(' ').nth(4).unwrap().to_owned();
        for damage in [
            "del dev PORT root",
            "replace dev PORT root pfifo limit 7",
            "replace dev PORT root tbf rate 9kbit burst 9k limit 9k",
        ] {
            lab.run(&format!("tc -n {panel} qdisc {}", damage.replace("PORT", &port)));
            eventually("the rate is back", async || holds(shown() == before, shown())).await;
        }
        // And with a pod that starts again, and with an agent.
        lab.ip("netns del b");
        lab.pod("b");
        eventually("the new port has it too", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(state(&now) == v1::State::Ready && shown().contains("tbf"), shown())
        })
        .await;
        let here = shown();
        agent.kill();
        let agent = lab.agent().start().await;
        agent.apply(wanted).await.unwrap();
        assert_eq!(shown(), here);
        assert_eq!(direction(&agent).await.rate.unwrap().bits_per_second, 1_000_000);
    });
}

#[test]
fn an_agent_that_starts_again_makes_impairments_and_checksums_by_itself() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        let b = Interface { tx_checksum: v1::Toggle::Off.into(), ..nic("b", "net1") };
        let mut wanted = topology("12");
        wanted.links.push(Link { a_to_b: Some(at(1_000_000, 0, 0)), ..link("w1", nic("a", "net1"), b) });
        agent.apply(wanted).await.unwrap();
        let [panel] = lab.panels().try_into().unwrap();
        let port = "b.net1";
        let ethtool = |args: &str| lab.run(&format!("ip netns exec {panel} ethtool {args}"));
        let made = || {
            let queue = lab.run(&format!("tc -n {panel} qdisc show dev {port}"));
            [queue.contains("tbf"), ethtool(&format!("-k {port}")).contains("tx-checksum-ip-generic: off")]
        };
        assert_eq!(made(), [true; 2]);
        agent.kill();
        lab.run(&format!("tc -n {panel} qdisc del dev {port} root"));
        ethtool(&format!("-K {port} tx-checksum-ip-generic on"));
        assert_eq!(made(), [false; 2]);
        let mut agent = lab.agent().start().await;
        eventually("what was stored is there again", async || holds(made() == [true; 2], format!("{:?}", made())))
            .await;
        // As after a reboot: the panel and the pods are gone, the state is there.
        agent.kill();
        for namespace in [panel.as_str(), "a", "b"] {
            lab.ip(&format!("netns del {namespace}"));
        }
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        eventually("all of it is made anew", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(state(&now) == v1::State::Ready, format!("{now:?}"))
        })
        .await;
        assert_eq!(made(), [true; 2]);
        assert_eq!(direction(&agent).await.rate.unwrap().bits_per_second, 1_000_000);
    });
}

#[test]
fn a_port_of_a_bridge_is_slowed_too() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges.push(bridge("lan1"));
        wanted.attachments.extend([plug("a1", nic("a", "net1"), "lan1"), plug("b1", nic("b", "net1"), "lan1")]);
        agent.apply(wanted).await.unwrap();
        let request = UpdateAttachmentRequest {
            namespace: "lessons".into(),
            topology: "12".into(),
            name: "b1".into(),
            to_interface: Some(at(1_000_000, 1518, 15_180)),
            ..UpdateAttachmentRequest::default()
        };
        let answer = agent.attachments().update_attachment(request).await.unwrap().into_inner();
        let seen = answer.attachment.unwrap().to_interface_status.unwrap().impairment;
        assert_eq!(seen, Some(at(1_000_000, 1518, 15_180)));
        let volley = Volley { frames: 200, bytes: 1500, gap: FAST, patience: Duration::from_secs(1) };
        let came = volley.run(&a.tap("net1"), &b.tap("net1")).unwrap();
        assert!(PASS.contains(&came.len()), "{} came", came.len());
    });
}

#[test]
fn what_the_kernel_lacks_is_named_before_anything_is_touched() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        assert!(capability(&agent, "tbf").await.available);
        let netem = capability(&agent, "netem").await;
        let lossy = Impairment { loss_model: Some(LossModel::Loss(1.0)), ..Impairment::default() };
        if netem.available {
            agent.apply(one_wire(lossy)).await.unwrap();
            return;
        }
        let said = lab.podwire(&["doctor"]);
        assert!(String::from_utf8_lossy(&said.stdout).contains("netem"), "{said:?}");
        let status = refused(agent.apply(one_wire(lossy))).await;
        assert_eq!(status.code(), Code::Unimplemented, "{status}");
        assert!(status.message().contains("netem") && status.message().contains("w1"), "{status}");
        assert!(lab.panels().is_empty());
        let mut wanted = topology("12");
        wanted.links.push(wire());
        agent.apply(wanted).await.unwrap();
        let status = refused(agent.links().update_link(update(Some(lossy)))).await;
        assert_eq!(status.code(), Code::Unimplemented, "{status}");
    });
}

#[test]
fn what_makes_no_sense_is_refused_with_all_that_is_wrong() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let bad = Impairment { reorder: 10.0, loss_model: Some(LossModel::Loss(101.0)), ..at(0, 0, 0) };
        let status = refused(agent.apply(one_wire(bad))).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        let details = status.get_error_details();
        let mut fields: Vec<_> =
            details.bad_request().unwrap().field_violations.iter().map(|it| it.field.as_str()).collect();
        fields.sort_unstable();
        let of = |field: &str| format!("links[0].a_to_b.{field}");
        assert_eq!(fields, [of("loss"), of("rate.bits_per_second"), of("reorder")]);
        let status = refused(agent.apply(one_wire(at(1_000_000, 1517, 0)))).await;
        assert!(status.message().contains("1518"), "{status}");
        let mut direct = one_wire(at(1_000_000, 0, 0));
        direct.links[0].mode = LinkMode::Direct.into();
        let status = refused(agent.apply(direct.clone())).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("LINK_MODE_STITCHED"), "says what to do: {status}");
        direct.links[0].a_to_b = None;
        agent.apply(direct).await.unwrap();
        let status = refused(agent.links().update_link(update(Some(at(1_000_000, 0, 0))))).await;
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        assert!(status.message().contains("LINK_MODE_STITCHED"), "{status}");
    });
}
