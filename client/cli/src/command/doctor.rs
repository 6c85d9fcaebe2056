//! `podwire doctor`.

use podwire_client::{Error, v1};

use super::{connect, node};
use crate::{arguments::Agent, exit::Failure, output::Output, state, table::Table, view};

/// Capabilities without which no topology works; the others are missed only by those who ask for what they are for.
const NEEDED: [&str; 4] = ["veth", "bridge", "mirred", "altname"];

/// Looks at everything and says what needs a look.
pub(super) async fn run(agent: &Agent, output: &mut Output) -> Result<(), Failure> {
    let client = connect(agent).await?;
    let node = client.get_node().await?;
    if !output.is_table() {
        output.document("GetNodeResponse", &node)?;
    }
    let width = Output::width();
    let mut found = Vec::new();
    let needed = node.capabilities.iter().filter(|capability| NEEDED.contains(&capability.name.as_str()));
    let missing = needed.filter(|capability| !capability.available).count();
    found.extend(count(missing, "needed capability missing", "needed capabilities missing"));
    if output.is_table() {
        output.text(&format!("the agent at {agent} answers\n"))?;
        output.text(&format!("{}\n\n{}", node::summary(&node, width), node::capabilities(&node, width)))?;
    }

    if !node.store_problem.is_empty() {
        output.warning(&format!("the agent takes no changes: {}", node.store_problem));
        output.note("what it shows is what it sees in the kernel; stop it and run `podwire-agent recover` on its node");
        found.push("store that cannot be read".to_owned());
    }

    let listed = client.list_topologies(None).await;
    let mut pods = Table::new(["POD", "CANNOT BE PLUGGED"]);
    match client.list_pods(None).await {
        Ok(all) => {
            // Every node has pods with hostNetwork and pods that have ended: only who is asked for ails.
            let ailing = all.iter().filter(|pod| !pod.problem.is_empty() && is_wanted(pod, listed.as_deref()));
            ailing.clone().for_each(|pod| pods.row([named(&pod.namespace, &pod.name), pod.problem.clone()]));
            found.extend(count(ailing.count(), "pod that cannot be plugged", "pods that cannot be plugged"));
            if output.is_table() {
                output
                    .text(&format!("\n{}", count(all.len(), "pod", "pods").unwrap_or_else(|| "no pods".to_owned())))?;
            }
        }
        Err(error) => found.push(unanswered("pods", &error, output)),
    }
    let mut topologies = Table::new(["NOT READY", "STATE", "REASON"]);
    match &listed {
        Ok(all) => {
            let mut ailing = 0;
            for topology in all {
                let Some(status) = topology.status.as_ref().filter(|status| state::word(status.state) != "READY")
                else {
                    continue;
                };
                ailing += 1;
                topologies.row([
                    named(&topology.namespace, &topology.name),
                    state::word(status.state),
                    status.reason.clone(),
                ]);
                for interface in view::interfaces(topology) {
                    let Some(status) = &interface.status else {
                        continue;
                    };
                    if state::word(status.state) != "READY" {
                        let name = format!("  {}", view::name(interface));
                        topologies.row([name, state::word(status.state), status.reason.clone()]);
                    }
                }
            }
            found.extend(count(ailing, "topology not READY", "topologies not READY"));
            if output.is_table() {
                output
                    .text(&count(all.len(), "topology", "topologies").unwrap_or_else(|| "no topologies".to_owned()))?;
            }
        }
        Err(error) => found.push(unanswered("topologies", error, output)),
    }
    if output.is_table() {
        for table in [pods, topologies].iter().filter(|table| !table.is_empty()) {
            output.text(&format!("\n{}", table.render(width)))?;
        }
    }
    if found.is_empty() {
        output.note("\nall is well");
        return Ok(());
    }
    Err(Failure::Ailing(found.join(", ")))
}

/// Whether a topology asks for a pod; where they are not known, each may.
fn is_wanted(pod: &v1::Pod, topologies: Result<&[v1::Topology], &Error>) -> bool {
    let Ok(topologies) = topologies else { return true };
    // A named network namespace belongs to every Kubernetes namespace.
    let near = |topology: &&v1::Topology| pod.namespace.is_empty() || pod.namespace == topology.namespace;
    let names = |owner: &v1::interface::Owner| match owner {
        v1::interface::Owner::Pod(name) | v1::interface::Owner::Netns(name) => *name == pod.name,
    };
    topologies
        .iter()
        .filter(near)
        .any(|topology| view::interfaces(topology).any(|each| each.owner.as_ref().is_some_and(names)))
}

/// Says that a list did not come.
fn unanswered(what: &str, error: &Error, output: &mut Output) -> String {
    output.warning(&format!("the agent does not list its {what}: {error}"));
    format!("no list of {what}")
}

fn count(number: usize, one: &str, many: &str) -> Option<String> {
    match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{number} {many}")),
    }
}

fn named(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}
