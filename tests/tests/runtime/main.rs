//! End-to-end tests with a container runtime: real containerds, and one that is made up and behaves badly. Each test has
//! a private kernel of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]
#![allow(missing_docs, reason = "the names of the tests say what they prove")]

mod announced;
mod as_pod;
mod bad;
mod cni;
mod cni_as_pod;
mod daemon;
mod delays;
mod fake;
mod found;
mod frr;
mod lifecycle;
mod lldp;
mod races;
mod recover;
mod refusals;
mod restarts;
mod routing;

use podwire_proto::v1::{State, Topology};
use podwire_tests::{
    condition::{eventually, holds},
    containerd::{self, Containerd, Version},
    elements::{lan, nic, plug, state, states, topology},
    lab::{Lab, agent::Agent},
    private::{self, User},
};

/// Runs a test in a private kernel of its own.
fn private(test: impl AsyncFnOnce(&Lab)) {
    private::run(env!("CARGO_BIN_EXE_private"), User::Caller, test);
}

/// The same, with a containerd in it. Skipped with a reason where there is none; fails there under CI.
fn with_containerd(version: Version, test: impl AsyncFnOnce(&Lab, &mut Containerd)) {
    if let Some(why) = containerd::missing(version) {
        private::skip(&why);
        return;
    }
    private(async |lab| {
        let mut containerd = Containerd::start(lab, version).await;
        test(lab, &mut containerd).await;
        containerd.clear().await;
    });
}

/// An agent that asks the container runtime.
async fn agent(lab: &Lab) -> Agent {
    lab.agent().with("--pods", "cri").start().await
}

/// One bridge with an interface `net1` of each of these pods.
fn lan_of(pods: &[&str]) -> Topology {
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        attachments: pods.iter().map(|pod| plug(&format!("p-{pod}"), nic(pod, "net1"), "lan")).collect(),
        ..topology("12")
    }
}

/// Waits until a topology is in a state.
async fn until(agent: &Agent, name: &str, wanted: State) -> Topology {
    eventually(&format!("`{name}` is {wanted:?}"), async || {
        let now = agent.get(name).await.map_err(|status| status.to_string())?;
        holds(state(&now) == wanted, format!("{:?} {now:?}", states(&now))).map(|()| now)
    })
    .await
}
