//! The CNI plugin, called as the specification says: by environment and standard input.

mod attachments;
mod away;
mod chain;
mod input;
mod restarted;
mod waiting;

use podwire_proto::v1::Topology;
use podwire_tests::{
    elements::{lan, nic, plug, topology},
    lab::{
        Lab,
        agent::{Agent, AgentBuilder},
    },
};
use serde_json::{Value, json};

pub(crate) use podwire_tests::plugin::{Sandbox, call, call_at, names};

/// A configuration with what the plugins before it came to.
pub(crate) fn config(version: &str) -> Value {
    let ips = if version < "1.0.0" {
        json!([{"address": "10.88.0.2/16", "interface": 0, "version": "4"}])
    } else {
        json!([{"address": "10.88.0.2/16", "interface": 0}])
    };
    json!({
        "cniVersion": version, "name": "cluster", "type": "podwire-cni",
        "prevResult": {"cniVersion": version, "interfaces": [{"name": "eth0", "sandbox": "/x"}], "ips": ips, "dns": {}},
    })
}

/// An agent whose pods are those that the plugin announces.
pub(crate) fn agent(lab: &Lab) -> AgentBuilder {
    lab.agent().with("--pods", "announced")
}

pub(crate) async fn running(lab: &Lab) -> Agent {
    agent(lab).start().await
}

/// `a` and `b` in one LAN.
pub(crate) fn pair() -> Topology {
    Topology {
        bridges: vec![lan("lan", "10.0.0.0/24")],
        attachments: vec![plug("pa", nic("a", "net1"), "lan"), plug("pb", nic("b", "net1"), "lan")],
        ..topology("12")
    }
}
