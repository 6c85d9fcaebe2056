//! What each kind of wire passes, as a table: the 16 link-local group addresses, what else network systems say to each other,
//! tags, and frames of all sizes.

use std::time::Duration;

use podwire_proto::v1::{L2Profile, LinkMode, State, Topology};
use podwire_tests::{
    elements::{nic, plug, state, topology},
    tap::Tap,
};

use crate::{
    capture::{quiet, wire},
    private,
};

const MTU: u32 = 9000;

/// 802.1Q and 802.1ad tags.
const C_TAG: [u8; 4] = [0x81, 0x00, 0x00, 0x2a];
const S_TAG: [u8; 4] = [0x88, 0xa8, 0x00, 0x07];

/// A frame that is sent.
struct Sample {
    name: String,
    to: [u8; 6],
    /// From the type or length on.
    body: Vec<u8>,
}

impl Sample {
    fn new(name: &str, to: [u8; 6], body: &[u8]) -> Self {
        Self { name: name.to_owned(), to, body: body.to_vec() }
    }

    /// An 802.3 frame: length, LLC header, content.
    fn llc(name: &str, to: [u8; 6], header: &[u8]) -> Self {
        let content = [header, name.as_bytes()].concat();
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        Self::new(name, to, &[&length[..], &content].concat())
    }

    /// Frames of a size: so many bytes behind tags and type.
    fn sized(name: &str, to: [u8; 6], tags: &[u8], payload: u32) -> Self {
        let payload = vec![0x5a; usize::try_from(payload).unwrap()];
        Self::new(name, to, &[tags, b"\x88\xb5", &payload].concat())
    }
}

/// Everything that is tried. `to`: the receiver.
fn samples(to: [u8; 6]) -> Vec<Sample> {
    let cisco = |last| [0x01, 0x00, 0x0c, 0xcc, 0xcc, last];
    let group = |last| [0x01, 0x80, 0xc2, 0, 0, last];
    let snap = |protocol: [u8; 2]| [&[0xaa, 0xaa, 0x03, 0x00, 0x00, 0x0c][..], &protocol].concat();
    let mut all: Vec<_> =
        (0..16).map(|last| Sample::new(&format!("01:80:c2:00:00:{last:02x}"), group(last), b"\x88\xb5group")).collect();
    all.extend([
        Sample::llc("CDP", cisco(0xcc), &snap([0x20, 0x00])),
        Sample::llc("PVST", cisco(0xcd), &snap([0x01, 0x0b])),
        Sample::llc("IS-IS level 1", group(0x14), &[0xfe, 0xfe, 0x03]),
        Sample::llc("IS-IS level 2", group(0x15), &[0xfe, 0xfe, 0x03]),
        Sample::new("OSPF", [0x01, 0x00, 0x5e, 0, 0, 5], b"\x88\xb5hello"),
        Sample::sized("802.1Q tag", to, &C_TAG, 100),
        Sample::sized("802.1ad and 802.1Q tags", to, &[S_TAG, C_TAG].concat(), 100),
        Sample::sized("MTU 9000, untagged", to, &[], MTU),
        Sample::sized("MTU 9000, one tag", to, &C_TAG, MTU),
        Sample::sized("MTU 9000, two tags", to, &[C_TAG, C_TAG].concat(), MTU - 4),
    ]);
    all
}

/// Which of them pass from one to the other.
fn passes(from: &Tap, to: &Tap) -> Vec<bool> {
    let sent: Vec<_> = samples(to.mac())
        .iter()
        .map(|sample| {
            let frame = from.send(sample.to, &sample.body).unwrap();
            let tagged = [C_TAG, S_TAG].iter().any(|tag| sample.body.starts_with(&tag[..2]));
            // A packet socket sees a frame without its outer tag, which the kernel keeps beside it.
            if tagged { [&frame[..12], &frame[16..]].concat() } else { frame }
        })
        .collect();
    // One that always passes, behind them: what has not come before it does not come.
    let last = from.send(to.mac(), b"\x88\xb5last").unwrap();
    let seen = to.gather(&last, Duration::from_secs(10)).unwrap();
    sent.iter().map(|frame| seen.contains(frame)).collect()
}

fn link(mode: LinkMode) -> Topology {
    let mut wanted = wire(mode);
    wanted.links[0].a.as_mut().unwrap().mtu = MTU;
    wanted
}

fn bridge(profile: L2Profile) -> Topology {
    let mut wanted = topology("12");
    let lan = podwire_tests::elements::bridge("lan");
    wanted.bridges.push(podwire_proto::v1::Bridge { mtu: MTU, l2_profile: profile.into(), ..lan });
    wanted.attachments.extend(["a", "b"].map(|pod| plug(&format!("{pod}-lan"), nic(pod, "net1"), "lan")));
    wanted
}

#[test]
fn each_kind_of_wire_passes_what_it_says() {
    private(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        let kinds = [
            ("STITCHED", link(LinkMode::Stitched)),
            ("DIRECT", link(LinkMode::Direct)),
            ("TRANSPARENT", bridge(L2Profile::Transparent)),
            ("HUB", bridge(L2Profile::Hub)),
            ("STANDARD", bridge(L2Profile::Standard)),
        ];
        let mut columns = Vec::new();
        for (kind, wanted) in kinds {
            let made = agent.apply(wanted).await.unwrap();
            assert_eq!(state(&made), State::Ready, "{kind}");
            let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
            at_b.enlarge().unwrap();
            let forth = passes(&at_a, &at_b);
            at_a.enlarge().unwrap();
            assert_eq!(forth, passes(&at_b, &at_a), "{kind}: the same in both directions");
            columns.push((kind, forth));
            agent.delete("12").await.unwrap();
        }
        let names: Vec<_> = samples([0; 6]).into_iter().map(|sample| sample.name).collect();
        let row = |head: &str, cells: Vec<&str>| {
            let cells: Vec<_> = cells.into_iter().map(|cell| format!("{cell:>13}")).collect();
            println!("{head:<24}{}", cells.concat());
        };
        row("frame", columns.iter().map(|(kind, _)| *kind).collect());
        for (at, name) in names.iter().enumerate() {
            row(name, columns.iter().map(|(_, passes)| if passes[at] { "passes" } else { "-" }).collect());
        }
        for (kind, passed) in &columns {
            for (row, name) in names.iter().enumerate() {
                // A bridge of the kernel keeps PAUSE (:01); a standard one all 16 but :00, which it passes without spanning tree.
                let kept = match *kind {
                    "TRANSPARENT" | "HUB" => row == 1,
                    "STANDARD" => (1..16).contains(&row),
                    _ => false,
                };
                assert_eq!(passed[row], !kept, "{name} over {kind}");
            }
        }
    });
}
