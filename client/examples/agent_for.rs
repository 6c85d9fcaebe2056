//! Asks the agent of a pod how its node is: by the Kubernetes API, so no node and no address is named.
//!
//! ```text
//! cargo run -p podwire-client --features kube --example agent_for -- lessons bb1
//! ```
//!
//! It runs in a pod with the rights of `deploy/kustomize/components/scheduler`, or anywhere with a kubeconfig.

#![allow(clippy::print_stdout, reason = "it shows what it does")]

use anyhow::Context;
use podwire_client::Cluster;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut argument = || arguments.next().context("usage: agent_for NAMESPACE POD");
    let (namespace, pod) = (argument()?, argument()?);
    let cluster = Cluster::try_default().await?;
    println!("{namespace}/{pod} is on node {}", cluster.node_of(&namespace, &pod).await?);
    let agent = cluster.agent_for(&namespace, &pod).await?;
    let node = agent.get_node().await?;
    println!("its agent, {}, is podwire {} on kernel {}", agent.target(), node.version, node.kernel);
    Ok(())
}
