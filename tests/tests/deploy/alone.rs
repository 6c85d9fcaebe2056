//! Two agents on one node: the second says so and leaves, whatever the two listen on.

use podwire_proto::v1::GetNodeRequest;

use crate::{must_stop, private};

#[test]
fn a_second_agent_with_the_same_directories_says_so_and_leaves() {
    private(async |lab| {
        let mut first = lab.agent().start().await;
        let second = || lab.agent().listen("tcp://127.0.0.1:7411").arg("--insecure-plaintext-tcp");
        let (state, netns) = ("/run/lab/other-state", "/run/lab/other-netns");
        let log =
            must_stop(second().with("--netns-dir", netns).spawn(), &["in use by another process", "--state-dir"]).await;
        assert!(log.contains("/run/lab/state"), "{log}");
        let log = must_stop(second().with("--state-dir", state).spawn(), &["another agent", "--netns-dir"]).await;
        assert!(log.contains("/run/netns"), "{log}");
        first.node().get_node(GetNodeRequest {}).await.expect("the first one is not disturbed");
        let _beside = second().with("--state-dir", state).with("--netns-dir", netns).start().await;
        first.kill();
        lab.agent().start().await;
    });
}

#[test]
fn of_two_that_start_at_once_never_do_both_stay() {
    private(async |lab| {
        for round in 0..5 {
            let start = |number| {
                let socket = format!("unix:///run/lab/{round}-{number}.sock");
                lab.agent().listen(socket).with("--state-dir", format!("/run/lab/{round}-{number}")).spawn()
            };
            let (mut one, mut two) = (start(1), start(2));
            let ended = tokio::select! {
                status = one.ended() => status,
                status = two.ended() => status,
            };
            assert_eq!(ended.code(), Some(1));
            assert!(format!("{}{}", one.log(), two.log()).contains("another agent works with /run/netns"));
        }
    });
}
