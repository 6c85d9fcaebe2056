//! Who only looks writes nothing, sysctls of a panel included.

use std::fs;

use podwire_agent::kernel::{Netns, NetnsError};
use podwire_proto::v1::State;
use podwire_proto::v1::Topology;
use podwire_tests::elements::{lan, nic, plug, state, topology};

use crate::{
    private,
    recover::{lose_state, said},
};

const IPV6: &str = "/proc/sys/net/ipv6/conf/all/disable_ipv6";

fn panel() -> Result<Netns, NetnsError> {
    Netns::open("/run/netns/podwire.lessons.12".as_ref())
}

fn is_off() -> String {
    panel().unwrap().run(|| fs::read_to_string(IPV6)).unwrap().unwrap().trim().to_owned()
}

fn one(pods: &[&str]) -> Topology {
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        attachments: pods.iter().map(|pod| plug(pod, nic(pod, "net1"), "lan")).collect(),
        ..topology("12")
    }
}

#[test]
fn looks_write_no_setting_of_a_panel_and_the_next_work_on_it_does() {
    private(async |lab| {
        lab.pods(["a", "b"]);
        let mut agent = lab.agent().start().await;
        agent.apply(one(&["a"])).await.unwrap();
        assert_eq!(is_off(), "1", "of a panel that was made by now");
        panel().unwrap().run(|| fs::write(IPV6, "0")).unwrap().unwrap();
        assert_eq!(state(&agent.get("12").await.unwrap()), State::Ready);
        assert_eq!(is_off(), "0", "a look");
        agent.apply(one(&["a", "b"])).await.unwrap();
        assert_eq!(is_off(), "1", "a change puts it right");

        agent.kill();
        panel().unwrap().run(|| fs::write(IPV6, "0")).unwrap().unwrap();
        lose_state(lab);
        for subcommand in ["recover", "purge"] {
            said(&lab.agent().run(subcommand, &[]), 0);
            assert_eq!(is_off(), "0", "{subcommand} only shows");
        }
        let agent = lab.agent().start().await;
        assert_eq!(state(&agent.get("12").await.unwrap()), State::Ready);
        assert_eq!(is_off(), "0", "an agent that takes no changes");
    });
}
