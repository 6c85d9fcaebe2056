//! What the other tests stand on.

use std::{
    fs, iter, process,
    time::{Duration, SystemTime},
};

use podwire_tests::tap::LACP;

use crate::{private, private_without_root};

#[test]
fn a_private_kernel_starts_with_nothing_but_a_loopback() {
    private(async |lab| {
        assert_eq!(lab.links("").len(), 1);
        assert_eq!(lab.links("")[0]["flags"][1], "UP");
        assert!(lab.namespaces().is_empty());
        assert_eq!(fs::read_dir("/run").unwrap().count(), 2, "netns and lab");
        assert!(process::id() < 10, "a pid namespace of our own");
    });
}

#[test]
fn an_unprivileged_user_gets_one_too() {
    private_without_root(async |lab| {
        let map = fs::read_to_string("/proc/self/uid_map").unwrap();
        assert_ne!(map.split_whitespace().nth(1), Some("0"), "{map}");
        let pod = lab.pod("bb1").with_eth0();
        assert_eq!(pod.interfaces(), ["eth0"]);
    });
}

#[test]
fn pings_and_frames_pass_a_plain_veth_pair() {
    private(async |lab| {
        let [a, b] = lab.pods(["a", "b"]);
        lab.ip("-n a link add net1 type veth peer name net1 netns b");
        for (pod, address) in [(&a, "1"), (&b, "2")] {
            pod.ip(&format!("address add 10.0.0.{address}/24 dev net1"));
            pod.ip(&format!("address add fd00::{address}/64 dev net1 nodad"));
            pod.ip("link set net1 up");
        }
        a.ping(b.address("net1"));
        a.ping("fd00::2".parse().unwrap());
        assert!(!a.reaches("10.0.0.3".parse().unwrap()));
        let (from, to) = (a.tap("net1"), b.tap("net1"));
        let frame = from.send(LACP, b"\x88\x09hello").unwrap();
        to.expect(&frame, Duration::from_secs(5)).unwrap();
    });
}

#[test]
fn a_tap_says_when_the_first_frame_passed_and_not_when_it_was_read() {
    private(async |lab| {
        let pod = lab.pod("bb1").with_eth0();
        let now = || SystemTime::UNIX_EPOCH.elapsed().unwrap();
        for _ in 0..20 {
            let (from, seen) = (pod.tap("eth0"), pod.tap("eth0"));
            seen.enlarge().unwrap();
            let before = now();
            let frame = from.send(LACP, b"\x88\x09hello").unwrap();
            let sent = now();
            let times = iter::from_fn(|| seen.receive(Duration::from_secs(5)));
            let (time, _) = times.into_iter().find(|(_, seen)| *seen == frame).unwrap();
            assert!((before..=sent).contains(&time), "{before:?} {time:?} {sent:?}");
        }
    });
}

#[test]
fn a_snapshot_sees_what_changed_and_nothing_else() {
    private(async |lab| {
        let pod = lab.pod("bb1").with_eth0();
        let before = lab.snapshot();
        before.assert_same(&lab.snapshot());
        pod.ip("address add 10.0.0.1/24 dev eth0");
        let after = lab.snapshot();
        assert_ne!(before, after);
        assert_eq!(before.of("the node"), after.of("the node"));
        assert_ne!(before.of("bb1"), after.of("bb1"));
    });
}
