//! What a bridge does with frames, by profile and options.

use std::time::{Duration, Instant};

use podwire_proto::v1::{Bridge, L2Profile, State, Toggle, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    elements::{attachment_cable, bridge, cable, ipam, link, nic, plug, state, topology},
    lab::{Lab, pod::Pod},
    tap::Tap,
};

use crate::private;

const PATIENCE: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(200);

fn lan(profile: L2Profile) -> Topology {
    let mut wanted = topology("12");
    wanted.bridges.push(Bridge { l2_profile: profile.into(), ..bridge("lan1") });
    wanted.attachments.extend(["a", "b", "c"].map(|pod| plug(&format!("{pod}1"), nic(pod, "net1"), "lan1")));
    wanted
}

fn taps(pods: &[Pod; 3]) -> [Tap; 3] {
    [0, 1, 2].map(|n: usize| pods[n].tap("net1"))
}

/// Whether a frame from the first to this address comes to the second.
fn passes(from: &Tap, to: &Tap, address: [u8; 6], patience: Duration) -> bool {
    let body = [&b"\x88\xb5"[..], format!("{:?}", Instant::now()).as_bytes()].concat();
    let frame = from.send(address, &body).unwrap();
    to.expect(&frame, patience).is_ok()
}

fn panel(lab: &Lab) -> String {
    let [panel] = lab.panels().try_into().unwrap();
    panel
}

#[test]
fn each_profile_passes_the_group_addresses_that_it_says() {
    private(async |lab| {
        let pods = lab.pods(["a", "b", "c"]);
        let agent = lab.agent().start().await;
        for profile in [L2Profile::Transparent, L2Profile::Hub, L2Profile::Standard] {
            let made = agent.apply(lan(profile)).await.unwrap();
            assert_eq!((state(&made), made.bridges[0].l2_profile()), (State::Ready, profile));
            let [a, b, _] = taps(&pods);
            let passed: Vec<u8> = (0..16)
                .filter(|last| {
                    // PAUSE never passes a bridge of the kernel; without spanning tree :00 passes every one.
                    let expected = *last != 1 && (profile != L2Profile::Standard || *last == 0);
                    let patience = if expected { PATIENCE } else { QUIET };
                    passes(&a, &b, [0x01, 0x80, 0xc2, 0, 0, *last], patience)
                })
                .collect();
            println!("{profile:?} passes {passed:02x?}");
            let wanted: Vec<u8> = match profile {
                L2Profile::Standard => vec![0],
                _ => (0..16).filter(|last| *last != 1).collect(),
            };
            assert_eq!(passed, wanted, "{profile:?}");
        }
    });
}

#[test]
fn a_hub_shows_every_port_all_and_a_switch_does_not() {
    private(async |lab| {
        let pods = lab.pods(["a", "b", "c"]);
        let agent = lab.agent().start().await;
        for (profile, seen) in [(L2Profile::Transparent, false), (L2Profile::Hub, true), (L2Profile::Standard, false)] {
            agent.apply(lan(profile)).await.unwrap();
            let [a, b, c] = taps(&pods);
            assert!(passes(&b, &a, a.mac(), PATIENCE), "who has learnt knows b now");
            eventually("what a switch learnt is forgotten by a hub, and the reverse", async || {
                holds(passes(&a, &c, b.mac(), if seen { PATIENCE } else { QUIET }) == seen, profile.as_str_name())
            })
            .await;
        }
    });
}

#[test]
fn options_are_what_was_asked_and_are_put_right() {
    private(async |lab| {
        lab.pods(["a", "b", "c"]);
        let agent = lab.agent().start().await;
        let mut wanted = lan(L2Profile::Transparent);
        wanted.bridges[0].stp = true;
        wanted.bridges[0].multicast_snooping = true;
        wanted.bridges[0].ageing = Duration::from_secs(15).try_into().ok();
        wanted.attachments[0].set_flood(Toggle::Off);
        wanted.attachments[1].set_multicast_flood(Toggle::Off);
        // Spanning tree takes 30 s more to forward, and the call has 20.
        let made = agent.apply(wanted.clone()).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        assert_eq!((made.bridges[0].ageing, made.bridges[0].stp), (wanted.bridges[0].ageing, true));
        let panel = panel(lab);
        let shown = || {
            let links = lab.links(&panel);
            let lan = links.iter().find(|link| link["ifname"] == "lan1").unwrap()["linkinfo"]["info_data"].clone();
            let bridge = (lan["stp_state"].as_u64(), lan["mcast_snooping"].as_u64(), lan["ageing_time"].as_u64());
            let ports = lab.ports(&panel);
            let port = |pod: &str| ports.iter().find(|port| port["ifname"] == format!("{pod}.net1")).unwrap().clone();
            let (a, b, c) = (port("a"), port("b"), port("c"));
            (bridge, [a["flood"].clone(), b["flood"].clone()], [b["mcast_flood"].clone(), c["learning"].clone()])
        };
        let expected = ((Some(1), Some(1), Some(1500)), [false.into(), true.into()], [false.into(), true.into()]);
        assert_eq!(shown(), expected);
        for damage in [
            "ip -n PANEL link set lan1 type bridge stp_state 0",
            "ip -n PANEL link set lan1 type bridge ageing_time 100",
            "bridge -n PANEL link set dev a.net1 flood on",
            "bridge -n PANEL link set dev c.net1 learning off",
            "bridge -n PANEL link set dev b.net1 mcast_flood on",
        ] {
            lab.run(&damage.replace("PANEL", &panel));
            eventually("it is put right", async || holds(shown() == expected, format!("{:?}", shown()))).await;
        }
        let mut hub = lan(L2Profile::Hub);
        hub.bridges[0].ageing = wanted.bridges[0].ageing;
        let status = podwire_tests::lab::agent::refused(agent.apply(hub)).await;
        assert!(status.message().contains("bridges[0].ageing"), "{status}");
    });
}

#[test]
fn carrier_is_gone_when_the_reply_comes() {
    private(async |lab| {
        let pods = lab.pods(["a", "b"]);
        let agent = lab.agent().start().await;
        let mut wanted = topology("12");
        wanted.bridges.push(Bridge { ipam: ipam("10.2.0.0/24"), ..bridge("lan1") });
        wanted.links.push(link("w1", nic("a", "net1"), nic("b", "net1")));
        wanted.attachments.push(plug("a2", nic("a", "net2"), "lan1"));
        agent.apply(wanted).await.unwrap();
        let carrier = |pod: &Pod, name: &str| {
            let flags = pod.link(name)["flags"].clone();
            flags.as_array().unwrap().iter().any(|flag| flag == "LOWER_UP")
        };
        for up in [false, true, false, true] {
            let link = agent.links().update_link(cable("w1", up)).await.unwrap().into_inner().link.unwrap();
            assert_eq!([0, 1].map(|n: usize| carrier(&pods[n], "net1")), [up, up]);
            let seen = link.a.unwrap().status.unwrap();
            assert_eq!((seen.carrier, seen.state()), (up, State::Ready), "as asked, so READY");
            assert!(carrier(&pods[0], "net2"), "nobody else loses it");
        }
        for up in [false, true] {
            let answer = agent.attachments().update_attachment(attachment_cable("a2", up)).await.unwrap().into_inner();
            assert_eq!(carrier(&pods[0], "net2"), up);
            assert_eq!(answer.attachment.unwrap().interface.unwrap().status.unwrap().carrier, up);
        }
    });
}
