//! Callers who ask and do not take the answers.

use podwire_proto::v1::Topology;
use podwire_tests::{
    condition::eventually,
    elements::{link, nic, plug, topology},
};

use super::{
    Bounds, Siege, Way,
    raw::{DATA, END_HEADERS, END_STREAM, HEADERS, Raw, call, frame, message},
};
use crate::private;

const LIST: &str = "/podwire.v1.TopologyService/ListTopologies";
const WATCH: &str = "/podwire.v1.TopologyService/WatchTopologies";
const CAPTURE: &str = "/podwire.v1.CaptureService/Capture";

/// A large topology: an answer with it has some hundred KiB.
fn large(name: &str) -> Topology {
    let nics = |n: u32| nic(&format!("not-there-{name}-{n}"), "net1");
    let attachments = (0..500).map(|n| plug(&format!("p{n}"), nics(n), "lan")).collect();
    Topology {
        namespace: "attack".into(),
        bridges: vec![podwire_tests::elements::bridge("lan")],
        attachments,
        ..topology(name)
    }
}

/// Calls with windows that let one byte through.
async fn ask(siege: &Siege, method: &str, body: &[u8], connections: usize, calls: u32) -> Vec<Raw> {
    let mut held = Vec::new();
    for _ in 0..connections {
        let mut raw = siege.attacker().await.unwrap();
        raw.greet(&[(4, 1)]).await.unwrap();
        for number in 0..calls {
            let mut bytes = frame(HEADERS, END_HEADERS, number * 2 + 1, &call(method));
            bytes.extend(frame(DATA, END_STREAM, number * 2 + 1, &message(body)));
            raw.send(&bytes).await.unwrap();
        }
        held.push(raw);
    }
    eventually("each is answered as far as it may be", async || {
        let answered: usize = held.iter().map(|raw| raw.seen.count(HEADERS)).sum();
        anyhow::ensure!(answered >= connections * usize::try_from(calls)?, "{answered}");
        Ok(())
    })
    .await;
    held
}

#[test]
fn large_answers_that_nobody_takes() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Tls).await;
        let root = siege.agent().client().await;
        for name in ["a", "b"] {
            root.apply(large(name)).await.unwrap();
        }
        // 16 MiB of one peer, as bytes and as what they are made of, and the work for 128 at a time.
        let bounds = Bounds { memory: 96, descriptors: 64 };
        let namespace = b"\x0a\x06attack";
        siege.endure("128 large answers that nobody takes", bounds, ask(&siege, LIST, namespace, 1, 128)).await;
        let bounds = Bounds { memory: 128, descriptors: 64 };
        siege.endure("128 watches that nobody reads", bounds, ask(&siege, WATCH, namespace, 1, 128)).await;
    });
}

#[test]
fn captures_that_nobody_reads() {
    private(async |lab| {
        let siege = Siege::lay(lab, Way::Plain).await;
        let root = siege.agent().client().await;
        let wire = Topology { links: vec![link("w", nic("a", "net7"), nic("b", "net7"))], ..topology("filmed") };
        root.apply(wire).until_ready().await.unwrap();
        lab.ip("-n a address add 192.0.2.1/24 dev net7");
        lab.ip("-n b address add 192.0.2.2/24 dev net7");
        // namespace, topology, link
        let request = b"\x0a\x07lessons\x12\x06filmed\x22\x01w";
        // 16 captures at a time are the most, with 1 MiB each in the agent and 8 MiB in the kernel.
        let bounds = Bounds { memory: 64, descriptors: 128 };
        let attack = async {
            let held = ask(&siege, CAPTURE, request, 1, 64).await;
            let mut ping = tokio::process::Command::new("ip");
            ping.args("netns exec a ping -q -f -s 1400 -c 20000 -w 5 192.0.2.2".split(' '));
            let _ = ping.output().await;
            held
        };
        siege.endure("64 captures of a busy link that nobody reads", bounds, attack).await;
    });
}
