//! Links tried out from inside their pods.

use std::time::{Duration, Instant};

use podwire_proto::v1::{LinkDirection, LinkMode, VerifyLinkRequest, VerifyLinkResponse};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{ipam, link, nic, plug},
    lab::agent::{Agent, refused},
    netns::inside,
    tap::Tap,
};
use tonic::Code;

use crate::{
    capture::{lan, quiet, wire},
    inputs::said,
    private, private_without_root,
};

fn request(topology: &str, name: &str, timeout: Option<Duration>) -> VerifyLinkRequest {
    let timeout = timeout.and_then(|time| time.try_into().ok());
    VerifyLinkRequest { namespace: "lessons".into(), topology: topology.into(), name: name.into(), timeout }
}

/// In as much time as there may be: a busy machine needs more than the usual 2 s, and it is not waited for in vain.
async fn verified(agent: &Agent, name: &str) -> VerifyLinkResponse {
    let request = request("12", name, Some(Duration::from_secs(10)));
    agent.links().verify_link(request).await.unwrap().into_inner()
}

fn everything(mtu: u32) -> LinkDirection {
    LinkDirection {
        passes: true,
        largest_payload: mtu,
        largest_tagged_payload: mtu,
        group_addresses: (0..16).collect(),
    }
}

#[test]
fn a_link_of_each_kind_passes_everything() {
    private(async |lab| {
        quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        for (mode, mtu) in [
            (LinkMode::Stitched, 1500),
            (LinkMode::Direct, 1500),
            (LinkMode::Stitched, 9000),
            (LinkMode::Direct, 65535),
        ] {
            let mut wanted = wire(mode);
            wanted.links[0].a.as_mut().unwrap().mtu = mtu;
            agent.apply(wanted).await.unwrap();
            eventually("the panel before it is gone", async || holds(lab.panels().len() == 1, "not yet")).await;
            let before = lab.snapshot();
            let begin = Instant::now();
            let found = verified(&agent, "w1").await;
            println!("{mode:?}, MTU {mtu}: {:?}, {found:?}", begin.elapsed());
            assert_eq!(found.a_to_b, Some(everything(mtu)));
            assert_eq!(found.b_to_a, Some(everything(mtu)));
            assert_eq!((found.round_trips, found.mtu_a, found.mtu_b), (16, mtu, mtu));
            let (min, median) = (found.rtt_min.unwrap(), found.rtt_median.unwrap());
            assert!(min.seconds == 0 && min.nanos > 0 && min.nanos <= median.nanos, "{min:?} {median:?}");
            // No address, no promiscuous mode, no device more than before.
            before.assert_same(&lab.snapshot());
            agent.delete("12").await.unwrap();
        }
    });
}

#[test]
fn links_are_verified_without_root() {
    private_without_root(async |lab| {
        quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        assert_eq!(verified(&agent, "w1").await.a_to_b, Some(everything(1500)));
    });
}

#[test]
fn a_pulled_cable_passes_nothing_and_takes_no_longer_than_it_may() {
    private(async |lab| {
        quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        agent.client().await.update_link("lessons", "12", "w1").up(false).await.unwrap();
        let request = |time: Duration| request("12", "w1", Some(time));
        let begin = Instant::now();
        agent.links().verify_link(request(Duration::from_secs(6))).await.unwrap();
        let longer = begin.elapsed();
        let begin = Instant::now();
        let found = agent.links().verify_link(request(Duration::from_millis(500))).await.unwrap().into_inner();
        let took = begin.elapsed();
        assert!(took < longer, "{took:?} for half a second, {longer:?} for six");
        assert_eq!((found.a_to_b, found.b_to_a), (Some(LinkDirection::default()), Some(LinkDirection::default())));
        assert_eq!((found.rtt_min, found.round_trips), (None, 0));
    });
}

#[test]
fn what_does_not_pass_in_one_direction_is_found() {
    private(async |lab| {
        quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = wire(LinkMode::Direct);
        wanted.links[0].a.as_mut().unwrap().mtu = 9000;
        agent.apply(wanted).await.unwrap();
        // The pod's own doing: its shaper drops frames above its burst, headers included.
        lab.run("tc -n a qdisc add dev net1 root tbf rate 1gbit burst 3300 limit 1000000");
        let found = verified(&agent, "w1").await;
        println!("{found:?}");
        let (forth, back) = (found.a_to_b.unwrap(), found.b_to_a.unwrap());
        assert_eq!((forth.largest_payload, forth.largest_tagged_payload), (3300 - 14, 3300 - 18));
        assert_eq!((back.largest_payload, back.largest_tagged_payload), (found.mtu_b, found.mtu_b));
        assert_eq!(forth.group_addresses.len(), 16);
    });
}

#[test]
fn verification_is_refused_where_there_is_no_wire() {
    private(async |lab| {
        lab.pod("a");
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let request = |topology: &str, name: &str| request(topology, name, None);
        let status = refused(agent.links().verify_link(request("12", "w1"))).await;
        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
        for (topology, name, code) in
            [("12", "w2", Code::NotFound), ("13", "w1", Code::NotFound), ("12", "", Code::InvalidArgument)]
        {
            let status = refused(agent.links().verify_link(request(topology, name))).await;
            assert_eq!(status.code(), code, "{status}");
        }
        for (seconds, nanos) in [(0, 1), (11, 0), (-1, 0)] {
            let timeout = Some(prost_types::Duration { seconds, nanos });
            let status = refused(agent.links().verify_link(VerifyLinkRequest { timeout, ..request("12", "w1") })).await;
            assert!(status.code() == Code::InvalidArgument && status.message().contains("timeout"), "{status}");
        }
    });
}

/// Whether a frame to each group address passes from `a` to `b`, sent and seen by the test itself.
fn groups_seen(from: &str, to: &str) -> Vec<bool> {
    let (from, to) = (Tap::open(from, "net1").unwrap(), Tap::open(to, "net1").unwrap());
    let frames: Vec<_> =
        (0..16).map(|last| from.send([0x01, 0x80, 0xc2, 0, 0, last], b"\x88\xb6group").unwrap()).collect();
    // A frame that always passes, behind them: what has not come before it does not come.
    let last = from.send(to.mac(), b"\x88\xb6last").unwrap();
    let seen = to.gather(&last, Duration::from_secs(5)).unwrap();
    frames.iter().map(|frame| seen.contains(frame)).collect()
}

#[test]
fn the_16_group_addresses_over_each_kind_of_wire() {
    private(async |lab| {
        quiet(lab, ["a", "b", "c"]);
        let agent = lab.agent().start().await;
        let mut columns = Vec::new();
        for (name, mode) in [("STITCHED", LinkMode::Stitched), ("DIRECT", LinkMode::Direct)] {
            agent.apply(wire(mode)).await.unwrap();
            let found = verified(&agent, "w1").await;
            let both = |last| {
                [&found.a_to_b, &found.b_to_a].iter().all(|d| d.as_ref().unwrap().group_addresses.contains(&last))
            };
            let verified: Vec<bool> = (0..16).map(both).collect();
            assert_eq!(verified, groups_seen("a", "b"), "{name}: what verify says is what a stranger sees");
            columns.push((name, verified));
            agent.delete("12").await.unwrap();
        }
        let mut wanted = lan();
        wanted.attachments.push(plug("more", nic("a", "net2"), "lan"));
        agent.apply(wanted).await.unwrap();
        columns.push(("bridge", groups_seen("b", "c")));
        let row = |head: &str, cells: Vec<&str>| {
            let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>9}")).collect();
            println!("{head}  {}", cells.join(""));
        };
        row("group address    ", columns.iter().map(|(name, _)| *name).collect());
        for last in 0..16 {
            let cells = columns.iter().map(|(_, passes)| if passes[last] { "passes" } else { "-" });
            row(&format!("01:80:c2:00:00:{last:02x}"), cells.collect());
        }
        for (name, passes) in columns {
            let expected: Vec<bool> = (0..16).map(|last| name != "bridge" || last != 1).collect();
            assert_eq!(passes, expected, "{name}: a bridge keeps PAUSE (:01), a link nothing");
        }
    });
}

#[test]
fn podwire_verify_prints_the_table() {
    private(async |lab| {
        quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = wire(LinkMode::Stitched);
        wanted.links.push(link("w2", nic("a", "net2"), nic("b", "net2")));
        wanted.links.push(link("w3", nic("a", "net3"), nic("nobody", "net3")));
        agent.apply(wanted).await.unwrap();
        let shown = lab.podwire_ok(&["verify", "12", "-n", "lessons", "--link", "w1"]);
        println!("{shown}");
        assert!(shown.contains("a/net1") && shown.contains("all 16") && !shown.contains("w2"), "{shown}");
        assert_eq!(shown.matches("1500").count(), 4, "{shown}");
        agent.client().await.update_link("lessons", "12", "w2").up(false).await.unwrap();
        let output = lab.podwire(&["verify", "12", "-n", "lessons"]);
        println!("{}", said(&output));
        assert_eq!(output.status.code(), Some(7), "{}", said(&output));
        let (table, notes) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(table.contains("w1") && table.contains("w2") && table.contains("none"), "{table}");
        assert!(notes.contains("w3") && notes.contains("2 links"), "{notes}");
        let output = lab.podwire(&["verify", "12", "-n", "lessons", "--link", "w9"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let json = lab.podwire_ok(&["verify", "12", "-n", "lessons", "--link", "w1", "-o", "json"]);
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(json["name"] == "w1" && json["a_to_b"]["largest_payload"] == 1500, "{json}");
    });
}

#[test]
fn a_program_of_the_pod_that_listens_is_not_disturbed() {
    private(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = wire(LinkMode::Stitched);
        wanted.links[0].ipam = ipam("10.1.0.0/24");
        agent.apply(wanted).await.unwrap();
        let flags = |pod: &str| inside(pod, || Ok(std::fs::read_to_string("/proc/net/packet")?)).unwrap();
        let before = flags("a");
        verified(&agent, "w1").await;
        assert_eq!(flags("a"), before, "no socket stays");
        a.ping(b.address("net1"));
    });
}
