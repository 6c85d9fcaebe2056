//! Captures: what is in the file, read by the programs that people read it with.

use std::{fs, time::Duration};

use podwire_client::CaptureRequest;
use podwire_proto::v1::{BpfInstruction, Link, LinkMode, MacvlanMode, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, ipam, link, nic, plug, topology},
    film::{Film, capinfos, nothing, program, tcpdump, tshark},
    lab::{Lab, pod::Pod},
    netns::inside,
    private::skip,
};

use crate::{
    devices::{on, sharing},
    private,
};

/// Runs a test with Debian's readers of captures, or says that they are missing.
pub(crate) fn with_readers(test: impl AsyncFnOnce(&Lab)) {
    if ["tshark", "capinfos", "tcpdump"].iter().any(|name| program(name).is_none()) {
        skip("no `tshark` or `tcpdump`: apt install tshark tcpdump");
        return;
    }
    private(test);
}

/// Makes pods that say nothing by themselves: without IPv6 there are no router solicitations and no reports.
pub(crate) fn quiet<const N: usize>(lab: &Lab, names: [&str; N]) -> [Pod; N] {
    let pods = lab.pods(names);
    for (pod, which) in pods.iter().flat_map(|pod| [(pod, "all"), (pod, "default")]) {
        // A kernel without IPv6 has no such file.
        let silence = || Ok(fs::write(format!("/proc/sys/net/ipv6/conf/{which}/disable_ipv6"), "1").ok());
        inside(pod.name(), silence).unwrap();
    }
    pods
}

/// A link `w1` between `a` and `b`.
pub(crate) fn wire(mode: LinkMode) -> Topology {
    let mut wanted = topology("12");
    wanted.links.push(Link { mode: mode.into(), ..link("w1", nic("a", "net1"), nic("b", "net1")) });
    wanted
}

/// A bridge `lan` with three pods.
pub(crate) fn lan() -> Topology {
    let mut wanted = topology("12");
    wanted.bridges.push(bridge("lan"));
    wanted.attachments = ["a", "b", "c"].map(|pod| plug(&format!("{pod}-lan"), nic(pod, "net1"), "lan")).to_vec();
    wanted
}

pub(crate) fn of_a() -> CaptureRequest {
    CaptureRequest::interface("lessons", "a", "net1")
}

const FIELDS: [&str; 5] =
    ["frame.interface_name", "frame.packet_flags_direction", "eth.type", "frame.len", "frame.cap_len"];

#[test]
fn both_directions_are_flagged_as_the_pods_interface_sees_them() {
    with_readers(async |lab| {
        let agent = lab.agent().start().await;
        for (mode, name) in [(LinkMode::Stitched, "stitched"), (LinkMode::Direct, "direct")] {
            let [a, b] = quiet(lab, ["a", "b"]);
            agent.apply(wire(mode)).await.unwrap();
            let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
            let mut film = Film::start(&agent, of_a()).await.unwrap();
            at_a.send(at_b.mac(), b"\x88\xb6from a").unwrap();
            film.until_frames(1).await;
            at_b.send(at_a.mac(), b"\x88\xb7from b").unwrap();
            film.until_frames(2).await;
            let seen = tshark(lab, film.file(), &FIELDS).unwrap();
            println!("{name}: {seen:?}");
            let row = |direction: &str, kind: &str| ["a/net1", direction, kind, "60", "60"].map(str::to_owned).to_vec();
            assert_eq!(seen, [row("0x00000002", "0x88b6"), row("0x00000001", "0x88b7")], "{name}");
            agent.delete("12").await.unwrap();
            lab.ip("netns del a");
            lab.ip("netns del b");
        }
    });
}

#[test]
fn stamps_are_nanoseconds_of_the_nodes_clock() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let mut film = Film::start(&agent, of_a()).await.unwrap();
        let before = now();
        for _ in 0..8 {
            at_a.send(at_b.mac(), b"\x88\xb6").unwrap();
        }
        let after = now();
        film.until_frames(8).await;
        let seen = tshark(lab, film.file(), &["frame.time_epoch"]).unwrap();
        let stamps: Vec<u128> = seen.iter().map(|row| row[0].replace('.', "").parse().unwrap()).collect();
        assert!(stamps.iter().all(|stamp| (before..=after).contains(stamp)), "{before} {stamps:?} {after}");
        assert!(stamps.is_sorted() && stamps.iter().any(|stamp| stamp % 1000 != 0), "nanoseconds: {stamps:?}");
        let told = capinfos(lab, film.file()).unwrap();
        assert!(told.contains("nanoseconds (9)"), "{told}");
    });
}

#[test]
fn vlan_tags_that_the_kernel_keeps_beside_a_frame_are_put_back() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        for mode in [LinkMode::Stitched, LinkMode::Direct] {
            agent.apply(wire(mode)).await.unwrap();
            let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
            let mut film = Film::start(&agent, of_a()).await.unwrap();
            at_a.send(at_b.mac(), b"\x81\x00\x60\x2a\x88\xb6one tag").unwrap();
            at_b.send(at_a.mac(), b"\x88\xa8\x00\x64\x81\x00\x00\x07\x88\xb6two tags").unwrap();
            film.until_frames(2).await;
            let fields = ["eth.type", "vlan.id", "vlan.priority", "ieee8021ad.id", "frame.len"];
            let mut seen = tshark(lab, film.file(), &fields).unwrap();
            for row in &mut seen {
                row.resize(5, String::new());
            }
            println!("{seen:?}");
            assert_eq!(seen[0], ["0x8100", "42", "3", "", "60"], "{mode:?}");
            assert!(seen[1][0].starts_with("0x88a8") && seen[1][1] == "7" && seen[1][3] == "100", "{mode:?} {seen:?}");
            agent.delete("12").await.unwrap();
        }
    });
}

#[test]
fn tcpdump_and_tshark_read_whole_traffic() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = wire(LinkMode::Stitched);
        wanted.links[0].ipam = ipam("10.1.0.0/24");
        agent.apply(wanted).await.unwrap();
        let mut film = Film::start(&agent, of_a()).await.unwrap();
        a.ping(b.address("net1"));
        // The question for the address, its answer, the ping, its answer.
        film.until_frames(4).await;
        let printed = tcpdump(lab, film.file()).unwrap();
        println!("{printed}");
        for words in ["Request who-has", "Reply 10.1.0.3 is-at", "ICMP echo request", "ICMP echo reply"] {
            assert_eq!(printed.matches(words).count(), 1, "{words}: {printed}");
        }
        let seen = tshark(lab, film.file(), &["_ws.col.Protocol", "icmp.checksum.status"]).unwrap();
        assert_eq!(seen.iter().map(|row| row[0].as_str()).collect::<Vec<_>>(), ["ARP", "ARP", "ICMP", "ICMP"]);
    });
}

#[test]
fn a_bridge_shows_each_frame_once_where_it_enters() {
    with_readers(async |lab| {
        let pods = quiet(lab, ["a", "b", "c"]);
        let agent = lab.agent().start().await;
        agent.apply(lan()).await.unwrap();
        let mut film = Film::start(&agent, CaptureRequest::bridge("lessons", "12", "lan")).await.unwrap();
        let taps = pods.each_ref().map(|pod| pod.tap("net1"));
        for (tap, kind) in taps.iter().zip([b"\x88\xb6", b"\x88\xb7", b"\x88\xb8"]) {
            let frame = tap.send([0xff; 6], kind).unwrap();
            for other in taps.iter().filter(|other| other.mac() != tap.mac()) {
                other.expect(&frame, Duration::from_secs(5)).unwrap();
            }
        }
        film.until_frames(3).await;
        let seen = tshark(lab, film.file(), &FIELDS[..3]).unwrap();
        let row = |name: &str, kind: &str| [name, "0x00000002", kind].map(str::to_owned).to_vec();
        assert_eq!(seen, [row("a/net1", "0x88b6"), row("b/net1", "0x88b7"), row("c/net1", "0x88b8")]);
        // One that is plugged later joins.
        let [d] = quiet(lab, ["d"]);
        let mut wanted = lan();
        wanted.attachments.push(plug("d-lan", nic("d", "net1"), "lan"));
        agent.apply(wanted).await.unwrap();
        let at_d = d.tap("net1");
        eventually("the new port is captured", async || {
            at_d.send([0xff; 6], b"\x88\xb9").unwrap();
            film.glance().await;
            holds(film.frames() >= 4, film.frames())
        })
        .await;
        let seen = tshark(lab, film.file(), &FIELDS[..3]).unwrap();
        assert!(seen.contains(&row("d/net1", "0x88b9")), "{seen:?}");
    });
}

#[test]
fn a_link_shows_each_frame_once_at_the_end_that_sent_it() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        for mode in [LinkMode::Stitched, LinkMode::Direct] {
            agent.apply(wire(mode)).await.unwrap();
            let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
            let request = CaptureRequest::link("lessons", "12", "w1").max_frames(2);
            let film = Film::start(&agent, request).await.unwrap();
            at_a.send(at_b.mac(), b"\x88\xb6").unwrap();
            at_b.send(at_a.mac(), b"\x88\xb7").unwrap();
            let (file, frames, drops, error) = film.until_end().await;
            assert!((frames, drops) == (2, 0) && error.is_none(), "{frames} {drops} {error:?}");
            let mut seen = tshark(lab, &file, &FIELDS[..3]).unwrap();
            seen.sort();
            let row = |name: &str, kind: &str| [name, "0x00000002", kind].map(str::to_owned).to_vec();
            assert_eq!(seen, [row("a/net1", "0x88b6"), row("b/net1", "0x88b7")], "{mode:?}");
            agent.delete("12").await.unwrap();
        }
    });
}

#[test]
fn snap_length_keeps_the_beginning_and_the_length() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        // One filter that returns more than the snap length, and none.
        let everything = vec![BpfInstruction { code: 6, jt: 0, jf: 0, k: 65535 }];
        for filter in [everything, vec![]] {
            let mut film = Film::start(&agent, of_a().snap_length(40).filter(filter)).await.unwrap();
            at_a.send(at_b.mac(), &[&b"\x88\xb6"[..], &[7; 1000]].concat()).unwrap();
            at_a.send(at_b.mac(), &[&b"\x81\x00\x00\x2a\x88\xb6"[..], &[7; 1000]].concat()).unwrap();
            film.until_frames(2).await;
            let seen = tshark(lab, film.file(), &["frame.len", "frame.cap_len", "vlan.id"]).unwrap();
            assert_eq!(seen[0][..2], ["1014", "40"]);
            assert_eq!(seen[1], ["1018", "40", "42"], "with the tag put back");
        }
    });
}

#[test]
fn a_filter_is_asked_by_the_kernel() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        // ether proto 0x88b7
        let program = [(40, 0, 0, 12), (21, 0, 1, 0x88b7), (6, 0, 0, 262_144), (6, 0, 0, 0)];
        let program = program.map(|(code, jt, jf, k)| BpfInstruction { code, jt, jf, k });
        for request in [of_a(), CaptureRequest::link("lessons", "12", "w1")] {
            let film = Film::start(&agent, request.filter(program).max_frames(1)).await.unwrap();
            at_a.send(at_b.mac(), b"\x88\xb6").unwrap();
            at_a.send(at_b.mac(), b"\x88\xb7").unwrap();
            let (file, ..) = film.until_end().await;
            assert_eq!(tshark(lab, &file, &["eth.type"]).unwrap(), [["0x88b7"]]);
        }
        let short = Duration::from_millis(300);
        let film = Film::start(&agent, of_a().filter(nothing()).duration(short)).await.unwrap();
        at_a.send(at_b.mac(), b"\x88\xb6").unwrap();
        let (_, frames, drops, error) = film.until_end().await;
        assert!((frames, drops) == (0, 0) && error.is_none(), "{frames} {drops} {error:?}");
    });
}

#[test]
fn an_interface_on_a_device_of_the_node_is_captured_in_its_pod() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = sharing(lab).await;
        let attachments = vec![on("a", MacvlanMode::Bridge), on("b", MacvlanMode::Bridge)];
        agent.apply(Topology { attachments, ..topology("12") }).await.unwrap();
        for pod in [&a, &b] {
            // It has carrier at once; the kernel calls it up a little later.
            eventually("net1 is up", async || {
                let state = pod.link("net1")["operstate"].to_string();
                holds(state.contains("UP"), state)
            })
            .await;
        }
        let before = lab.snapshot();
        let mut film = Film::start(&agent, of_a()).await.unwrap();
        before.assert_same(&lab.snapshot());
        a.tap("net1").send([0xff; 6], b"\x88\xb6").unwrap();
        film.until_frames(1).await;
        b.tap("net1").send([0xff; 6], b"\x88\xb7").unwrap();
        film.until_frames(2).await;
        let seen = tshark(lab, film.file(), &FIELDS[..3]).unwrap();
        let row = |direction: &str, kind: &str| ["a/net1", direction, kind].map(str::to_owned).to_vec();
        assert_eq!(seen, [row("0x00000002", "0x88b6"), row("0x00000001", "0x88b7")]);
        lab.ip("netns del a");
        let (_, frames, _, error) = film.until_end().await;
        assert!(frames == 2 && error.as_ref().is_some_and(podwire_client::Error::is_gone), "{frames} {error:?}");
    });
}
