//! An agent that starts without its runtime, or without its state, while pods of the runtime are wired.

use std::fs;

use nix::sys::signal::Signal;
use podwire_proto::v1::{GetNodeRequest, State};
use podwire_tests::{
    condition::{eventually, holds},
    containerd::Version,
    elements::{interfaces, state},
};

use crate::{agent, lan_of, until, with_containerd};

#[test]
fn an_agent_that_starts_before_the_runtime_cuts_no_wires() {
    with_containerd(Version::System, async |lab, containerd| {
        let mut first = agent(lab).await;
        let ids = [containerd.pod("a").await, containerd.pod("b").await];
        let mut wanted = lan_of(&["a", "b"]);
        let at = |pod: &str, address: &str| podwire_tests::elements::nic_at(pod, "net2", &[address]);
        let wire = podwire_tests::elements::link("w", at("a", "10.1.0.1/24"), at("b", "10.1.0.2/24"));
        let cable = podwire_proto::v1::Link {
            mode: podwire_proto::v1::LinkMode::Direct.into(),
            ..podwire_tests::elements::link(
                "c",
                podwire_tests::elements::nic_at("a", "net3", &["10.2.0.1/24"]),
                podwire_tests::elements::nic_at("b", "net3", &["10.2.0.2/24"]),
            )
        };
        wanted.links = vec![wire, cable];
        let made = first.apply(wanted).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        let (a, b) = (containerd.netns(&ids[0]).await, containerd.netns(&ids[1]).await);
        let indexes = || ["net1", "net2", "net3"].map(|name| a.link(name)["ifindex"].clone());
        let before = indexes();
        first.kill();
        containerd.kill(Signal::SIGKILL);

        let second = agent(lab).await;
        eventually("it says why the pods are not known", async || {
            let now = second.get("12").await.map_err(|status| status.to_string())?;
            let reason = interfaces(&now).next().unwrap().status.clone().unwrap().reason;
            holds(reason.contains("not known yet") && reason.contains("containerd.sock"), reason)
        })
        .await;
        for address in ["10.1.0.2", "10.2.0.2"] {
            a.ping(address.parse().unwrap());
        }
        a.ping(b.address("net1"));
        containerd.again().await;
        until(&second, "12", State::Ready).await;
        assert_eq!(indexes(), before, "no NIC was made anew");
    });
}

#[test]
fn wires_of_pods_of_a_runtime_are_adopted_where_the_state_is_gone() {
    with_containerd(Version::System, async |lab, containerd| {
        let mut first = agent(lab).await;
        let ids = [containerd.pod("a").await, containerd.pod("b").await];
        first.apply(lan_of(&["a", "b"])).await.unwrap();
        let (a, b) = (containerd.netns(&ids[0]).await, containerd.netns(&ids[1]).await);
        let index = a.link("net1")["ifindex"].clone();
        first.kill();
        fs::remove_dir_all(lab.directory().join("state")).unwrap();
        containerd.kill(Signal::SIGTERM);

        // Whether panels are there is known without the runtime.
        let mut second = agent(lab).await;
        let node = second.node().get_node(GetNodeRequest::default()).await.unwrap().into_inner();
        assert!(node.store_problem.contains("is new"), "{node:?}");
        a.ping(b.address("net1"));
        second.kill();

        let recover = |args: &[&str]| lab.agent().with("--pods", "cri").run("recover", args);
        let refused = recover(&["--yes"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("container runtime does not answer"), "{said}");
        containerd.again().await;
        let adopted = recover(&["--yes"]);
        let said = String::from_utf8_lossy(&adopted.stdout).into_owned();
        assert!(adopted.status.success() && said.contains("1 topologies"), "{adopted:?}");

        let third = agent(lab).await;
        until(&third, "12", State::Ready).await;
        a.ping(b.address("net1"));
        assert_eq!(a.link("net1")["ifindex"], index, "it is the same one");
    });
}

#[test]
fn purge_removes_the_interfaces_of_pods_of_a_runtime() {
    with_containerd(Version::System, async |lab, containerd| {
        let mut agent = agent(lab).await;
        let id = containerd.pod("a").await;
        agent.apply(lan_of(&["a"])).await.unwrap();
        agent.terminate().await;
        let purged = lab.agent().with("--pods", "cri").run("purge", &["--yes"]);
        assert!(purged.status.success(), "{purged:?}");
        assert_eq!(containerd.netns(&id).await.interfaces(), ["eth0"]);
        assert!(lab.panels().is_empty(), "{:?}", lab.panels());
    });
}
