//! Checksums that the sender leaves to a NIC which is none.

use std::{
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use podwire_proto::v1::{Interface, Link, LinkMode, Toggle, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{bridge, ipam, link, nic, plug, topology},
    lab::{Lab, agent::refused, pod::Pod},
    netns,
};
use tonic::Code;

use crate::private;

const PATIENCE: Duration = Duration::from_secs(5);
const TCP: u8 = 6;
const UDP: u8 = 17;

fn strict(pod: &str, name: &str) -> Interface {
    Interface { tx_checksum: Toggle::Off.into(), ..nic(pod, name) }
}

/// The sum of 16-bit words of RFC 1071 without its complement: 0xffff where a checksum is among them and right.
fn sum(words: &[u8]) -> u16 {
    let pairs = words.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)));
    let mut sum: u32 = pairs.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap()
}

/// Whether the checksum of an IPv4 frame of this protocol is finished; `None`: it is another frame.
fn finished(frame: &[u8], protocol: u8) -> Option<bool> {
    let packet = frame.get(14..).filter(|_| frame[12..14] == [8, 0])?;
    let length = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let body = packet.get(20..length).filter(|_| packet[9] == protocol)?;
    let pseudo = [&packet[12..20], &[0, protocol], &u16::try_from(body.len()).ok()?.to_be_bytes()].concat();
    Some(sum(&[pseudo, body.to_vec()].concat()) == 0xffff)
}

/// Sends by UDP and TCP, and tells of both whether they come with a finished checksum.
fn arrive_finished(from: &Pod, to: &Pod, interface: &str) -> [bool; 2] {
    let tap = to.tap(interface);
    tap.enlarge().unwrap();
    let address: IpAddr = to.address(interface);
    netns::inside(from.name(), || {
        UdpSocket::bind("0.0.0.0:0")?.send_to(b"podwire", SocketAddr::new(address, 9))?;
        // Nobody listens; the first segment is all that is wanted.
        let _ = TcpStream::connect_timeout(&SocketAddr::new(address, 9), PATIENCE);
        Ok(())
    })
    .unwrap();
    let mut found = [None, None];
    while let Some((_, frame)) = tap.receive(if found.contains(&None) { PATIENCE } else { Duration::ZERO }) {
        // What it sends itself is seen too.
        if frame[..6] == tap.mac() {
            found = [found[0].or(finished(&frame, UDP)), found[1].or(finished(&frame, TCP))];
        }
    }
    found.map(|finished| finished.expect("a frame"))
}

fn wire(b: Interface) -> Link {
    Link { ipam: ipam("10.1.0.0/24"), ..link("w1", nic("a", "net1"), b) }
}

fn one(link: Link) -> Topology {
    Topology { links: vec![link], ..topology("12") }
}

#[test]
fn a_strict_end_of_a_link_gets_finished_checksums() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(one(wire(nic("b", "net1")))).await.unwrap();
        assert_eq!(arrive_finished(&a, &b, "net1"), [false, false], "or this test proves nothing");
        let made = agent.apply(one(wire(strict("b", "net1")))).await.unwrap();
        let link = &made.links[0];
        let Some(podwire_proto::v1::link::FarEnd::B(end)) = &link.far_end else { panic!("{link:?}") };
        assert_eq!(end.tx_checksum(), Toggle::Off);
        assert_eq!(arrive_finished(&a, &b, "net1"), [true, true]);
        assert_eq!(arrive_finished(&b, &a, "net1"), [false, false], "the other end is as before");
        healed(lab, &a, &b).await;
        agent.apply(one(wire(nic("b", "net1")))).await.unwrap();
        assert_eq!(arrive_finished(&a, &b, "net1"), [false, false]);
    });
}

/// Somebody turns it back by hand.
async fn healed(lab: &Lab, a: &Pod, b: &Pod) {
    let [panel] = lab.panels().try_into().unwrap();
    if std::process::Command::new("ethtool").arg("--version").output().is_err() {
        eprintln!("no ethtool: nobody turns it back");
        return;
    }
    lab.ip(&format!("netns exec {panel} ethtool -K b.net1 tx-checksum-ip-generic on"));
    eventually("it is put right", async || holds(arrive_finished(a, b, "net1") == [true, true], "unfinished")).await;
}

#[test]
fn a_strict_interface_of_a_bridge_gets_finished_checksums() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges.push(podwire_proto::v1::Bridge { ipam: ipam("10.2.0.0/24"), ..bridge("lan1") });
        wanted.attachments = vec![plug("a1", nic("a", "net1"), "lan1"), plug("b1", strict("b", "net1"), "lan1")];
        agent.apply(wanted).await.unwrap();
        assert_eq!(arrive_finished(&a, &b, "net1"), [true, true]);
        assert_eq!(arrive_finished(&b, &a, "net1"), [false, false]);
        // A new port of a restarted pod has it too.
        lab.ip("netns del b");
        let b = lab.pod("b");
        eventually("b is plugged again", async || {
            let now = agent.get("12").await.map_err(|status| status.to_string())?;
            holds(podwire_tests::elements::state(&now) == podwire_proto::v1::State::Ready, format!("{now:?}"))
        })
        .await;
        assert_eq!(arrive_finished(&a, &b, "net1"), [true, true]);
    });
}

#[test]
fn a_direct_link_has_nobody_to_finish_checksums() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let direct = Link { mode: LinkMode::Direct.into(), ..wire(strict("b", "net1")) };
        let status = refused(agent.apply(one(direct))).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        let message = status.message();
        assert!(message.contains("links[0].b.tx_checksum") && message.contains("LINK_MODE_STITCHED"), "{status}");
    });
}
